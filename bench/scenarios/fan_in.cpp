// SPDX-License-Identifier: Apache-2.0
//
// Scenario fan_in: several producers send to one consumer.
//
// The first word of a message names its producer (from bit 48 on) and its place among that
// producer's. The consumer checks that each producer's messages come in order, and the sum of all.
#include <array>
#include <vector>

#include "bench/probes/words.hpp"
#include "bench/scenarios/leg.hpp"
#include "bench/scenarios/weir_ends.hpp"
#include "bench/scenarios/weir_scenarios.hpp"

namespace weir::bench {
namespace {

constexpr unsigned who_shift = 48;
const char* const destination = "topic://bench.fan-in";

constexpr std::uint64_t first_of(std::uint64_t who, std::uint64_t index, std::uint64_t words) {
    return (who << who_shift) + index * words;
}

Probed<void> produce(const Scene& scene, LegArea& area, std::uint64_t who, std::uint64_t bytes,
                     std::uint64_t messages, Meeting& meeting) {
    auto sender = WeirSender::open(weir_broker_name(scene), destination);
    if (!sender) return fail(sender.error());
    std::vector<std::byte> message(bytes);
    meeting.begin();
    for (std::uint64_t index = 0; index < messages; ++index) {
        fill_words(message, first_of(who, index, bytes / 8));
        if (!sender->send(message)) return fail(sender->why());
    }
    area.await_done();
    return {};
}

Probed<void> consume(const Scene& scene, LegArea& area, Mode mode, std::uint64_t bytes,
                     std::uint64_t warm_up, std::uint64_t messages, Meeting& meeting) {
    auto receiver = WeirReceiver::open(weir_broker_name(scene), destination, mode);
    if (!receiver) return fail(receiver.error());
    const std::uint64_t words = bytes / 8;
    std::array<std::uint64_t, fan_width> next{};
    std::uint64_t sum = 0;
    meeting.begin();
    std::uint64_t began_ns = 0;
    for (std::uint64_t index = 0; index < fan_width * messages; ++index) {
        if (index == warm_up) began_ns = monotonic_ns();
        const auto message = receiver->receive();
        if (message.data() == nullptr) return fail(receiver->why());
        const std::uint64_t first = first_word(message);
        const std::uint64_t who = first >> who_shift;
        if (who >= fan_width || first != first_of(who, next[who]++, words))
            return fail(ProbeFault::corrupted, "a producer's message is missing or out of order");
        // Each word carries its producer's number: taken out, the runs are those of words.hpp.
        sum += sum_words(message) - words * (who << who_shift);
    }
    area.elapsed_ns = monotonic_ns() - began_ns;
    area.say_done();
    if (sum != fan_width * sum_of_run(messages * words))
        return fail(ProbeFault::corrupted, "the sum of all words is wrong");
    return {};
}

}  // namespace

Probed<Measured> fan_in(const Scene& scene, const Cell& cell, std::uint64_t count) {
    auto area = SharedArea::create(sizeof(LegArea));
    if (!area) return fail(area.error());
    auto& shared = area->front<LegArea>();
    const std::uint64_t bytes = whole_words(cell.size);
    const std::uint64_t messages = std::max(count, WeirTopic::bytes_min / bytes);
    const std::uint64_t each = (WeirTopic::warm_up_bytes / bytes + messages) / fan_width + 1;
    const std::uint64_t warm_up = fan_width * each - messages;
    std::vector<Member> members{{[&](Meeting& meeting) {
                                     return consume(scene, shared, cell.mode, bytes, warm_up, each,
                                                    meeting);
                                 },
                                 Seat::either}};
    for (std::uint64_t who = 0; who < fan_width; ++who) {
        members.push_back({[&, who](Meeting& meeting) {
                               return produce(scene, shared, who, bytes, each, meeting);
                           },
                           Seat::either});
    }
    auto done = run_group(scene.stage.plan("weir fan_in"), members);
    if (!done) return fail(done.error());
    Measured measured;
    measured.elapsed_ns = shared.elapsed_ns;
    measured.msgs_per_s = per_second(messages, shared.elapsed_ns);
    measured.bytes_per_s = measured.msgs_per_s * static_cast<double>(bytes);
    return measured;
}

}  // namespace weir::bench
