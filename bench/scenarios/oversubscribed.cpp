// SPDX-License-Identifier: Apache-2.0
//
// Scenario oversubscribed: four pairs on two processors, eight processes that all want to run.
//
// Each pair has a topic of its own. Systems whose waiting sides spin fall to a fraction here; the
// figure is the sum over the pairs, until the slowest has ended.
#include <array>
#include <string>
#include <vector>

#include "bench/scenarios/content.hpp"
#include "bench/scenarios/leg.hpp"
#include "bench/scenarios/weir_ends.hpp"
#include "bench/scenarios/weir_scenarios.hpp"

namespace weir::bench {
namespace {

struct PairsArea {
    LegArea leg;
    std::array<std::uint64_t, fan_width> elapsed_ns;  // by each receiver
};

std::string topic_of(std::size_t pair) { return "topic://bench.crowd." + std::to_string(pair); }

Probed<void> produce(const Scene& scene, PairsArea& area, std::size_t pair, const Cell& cell,
                     std::uint64_t messages, Meeting& meeting) {
    auto sender = WeirSender::open(weir_broker_name(scene), topic_of(pair));
    if (!sender) return fail(sender.error());
    Content content(cell.size);
    meeting.begin();
    for (std::uint64_t index = 0; index < messages; ++index) {
        if (!sender->send(content.of(index))) return fail(sender->why());
    }
    area.leg.await_done(fan_width);
    return {};
}

Probed<void> consume(const Scene& scene, PairsArea& area, std::size_t pair, const Cell& cell,
                     std::uint64_t messages, Meeting& meeting) {
    auto receiver = WeirReceiver::open(weir_broker_name(scene), topic_of(pair), cell.mode);
    if (!receiver) return fail(receiver.error());
    Reader reader(cell.size, 0);
    meeting.begin();
    const std::uint64_t began_ns = monotonic_ns();
    for (std::uint64_t index = 0; index < messages; ++index) {
        const auto bytes = receiver->receive();
        if (bytes.data() == nullptr) return fail(receiver->why());
        if (!reader.take(bytes)) return reader.wrong();
    }
    area.elapsed_ns[pair] = monotonic_ns() - began_ns;
    area.leg.say_done();
    return reader.verdict();
}

}  // namespace

Probed<Measured> oversubscribed(const Scene& scene, const Cell& cell, std::uint64_t count) {
    auto area = SharedArea::create(sizeof(PairsArea));
    if (!area) return fail(area.error());
    auto& shared = area->front<PairsArea>();
    const std::uint64_t each = count / fan_width + 1;
    std::vector<Member> members;
    for (std::size_t pair = 0; pair < fan_width; ++pair) {
        members.push_back(
            {[&, pair](Meeting& m) { return produce(scene, shared, pair, cell, each, m); },
             Seat::either});
        members.push_back(
            {[&, pair](Meeting& m) { return consume(scene, shared, pair, cell, each, m); },
             Seat::either});
    }
    auto done = run_group(scene.stage.plan("weir oversubscribed"), members);
    if (!done) return fail(done.error());
    Measured measured;
    measured.elapsed_ns = *std::max_element(shared.elapsed_ns.begin(), shared.elapsed_ns.end());
    measured.msgs_per_s = per_second(fan_width * each, measured.elapsed_ns);
    measured.bytes_per_s = measured.msgs_per_s * static_cast<double>(whole_words(cell.size));
    return measured;
}

}  // namespace weir::bench
