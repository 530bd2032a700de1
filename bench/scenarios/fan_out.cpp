// SPDX-License-Identifier: Apache-2.0
//
// Scenario fan_out: one producer, several subscribers that all read everything.
//
// After a warm-up as long as that of one to one, the clock runs from the first subscriber that has
// read that until the slowest one has read the last byte, so a system gets nothing for serving one
// of them first.
#include <vector>

#include "bench/scenarios/content.hpp"
#include "bench/scenarios/leg.hpp"
#include "bench/scenarios/weir_ends.hpp"
#include "bench/scenarios/weir_scenarios.hpp"

namespace weir::bench {
namespace {

const char* const destination = "topic://bench.fan-out";

struct FanArea {
    LegArea leg;
    std::array<std::uint64_t, fan_width> began_ns;  // by each subscriber
    std::array<std::uint64_t, fan_width> ended_ns;
};

Probed<void> produce(const Scene& scene, FanArea& area, const Cell& cell, std::uint64_t messages,
                     Meeting& meeting) {
    auto sender = WeirSender::open(weir_broker_name(scene), destination);
    if (!sender) return fail(sender.error());
    Content content(cell.size);
    meeting.begin();
    for (std::uint64_t index = 0; index < messages; ++index) {
        if (!sender->send(content.of(index))) return fail(sender->why());
    }
    area.leg.await_done(fan_width);
    return {};
}

Probed<void> subscribe(const Scene& scene, FanArea& area, std::size_t who, const Cell& cell,
                       std::uint64_t warm_up, std::uint64_t messages, Meeting& meeting) {
    auto receiver = WeirReceiver::open(weir_broker_name(scene), destination, cell.mode);
    if (!receiver) return fail(receiver.error());
    Reader reader(cell.size, 0);
    meeting.begin();
    for (std::uint64_t index = 0; index < warm_up + messages; ++index) {
        if (index == warm_up) area.began_ns[who] = monotonic_ns();
        const auto bytes = receiver->receive();
        if (bytes.data() == nullptr) return fail(receiver->why());
        if (!reader.take(bytes)) return reader.wrong();
    }
    area.ended_ns[who] = monotonic_ns();
    area.leg.say_done();
    return reader.verdict();
}

}  // namespace

Probed<Measured> fan_out(const Scene& scene, const Cell& cell, std::uint64_t count) {
    auto area = SharedArea::create(sizeof(FanArea));
    if (!area) return fail(area.error());
    auto& shared = area->front<FanArea>();
    const std::uint64_t bytes = whole_words(cell.size);
    const std::uint64_t messages = std::max(count / fan_width, WeirTopic::bytes_min / bytes) + 1;
    const std::uint64_t warm_up = WeirTopic::warm_up_bytes / bytes + 1;
    std::vector<Member> members{{[&](Meeting& meeting) {
                                     return produce(scene, shared, cell, warm_up + messages,
                                                    meeting);
                                 },
                                 Seat::either}};
    for (std::size_t who = 0; who < fan_width; ++who) {
        members.push_back({[&, who](Meeting& meeting) {
                               return subscribe(scene, shared, who, cell, warm_up, messages,
                                                meeting);
                           },
                           Seat::either});
    }
    auto done = run_group(scene.stage.plan("weir fan_out"), members);
    if (!done) return fail(done.error());
    Measured measured;
    measured.elapsed_ns = *std::max_element(shared.ended_ns.begin(), shared.ended_ns.end()) -
                          *std::min_element(shared.began_ns.begin(), shared.began_ns.end());
    measured.msgs_per_s = per_second(fan_width * messages, measured.elapsed_ns);
    measured.bytes_per_s = measured.msgs_per_s * static_cast<double>(bytes);
    return measured;
}

}  // namespace weir::bench
