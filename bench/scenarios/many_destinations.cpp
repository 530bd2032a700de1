// SPDX-License-Identifier: Apache-2.0
//
// Scenario many_destinations: one process sends to a hundred topics in turn, another reads them all
// through one pattern.
//
// Each topic has a lane of its own, so order holds within a topic only: the first word names the
// topic (from bit 48 on) and the place in it.
#include <array>
#include <optional>
#include <string>
#include <vector>

#include "bench/probes/words.hpp"
#include "bench/scenarios/leg.hpp"
#include "bench/scenarios/weir_ends.hpp"
#include "bench/scenarios/weir_scenarios.hpp"

namespace weir::bench {
namespace {

constexpr std::uint64_t topics = 100;
constexpr unsigned topic_shift = 48;

constexpr std::uint64_t first_of(std::uint64_t topic, std::uint64_t index, std::uint64_t words) {
    return (topic << topic_shift) + index * words;
}

Probed<void> produce(const Scene& scene, LegArea& area, std::uint64_t bytes, std::uint64_t each,
                     Meeting& meeting) {
    ConnectOptions options;
    options.client_name = "weir bench";
    auto session = connect(weir_broker_name(scene), options);
    if (!session) return fail(ProbeFault::subject_failed, session.error().sentence);
    std::vector<Producer> producers;
    for (std::uint64_t topic = 0; topic < topics; ++topic) {
        auto producer = session->producer("topic://bench.many." + std::to_string(topic));
        if (!producer) return fail(ProbeFault::subject_failed, producer.error().sentence);
        producers.push_back(std::move(*producer));
    }
    std::vector<std::byte> message(bytes);
    meeting.begin();
    for (std::uint64_t index = 0; index < each; ++index) {
        for (std::uint64_t topic = 0; topic < topics; ++topic) {
            fill_words(message, first_of(topic, index, bytes / 8));
            auto sent = producers[topic].send(message);
            if (!sent) return fail(ProbeFault::subject_failed, std::string(sentence(sent.error())));
        }
    }
    area.await_done();
    return {};
}

Probed<void> consume(const Scene& scene, LegArea& area, Mode mode, std::uint64_t bytes,
                     std::uint64_t each, Meeting& meeting) {
    auto receiver = WeirReceiver::open(weir_broker_name(scene), "topic://bench.many.*", mode);
    if (!receiver) return fail(receiver.error());
    const std::uint64_t words = bytes / 8;
    std::array<std::uint64_t, topics> next{};
    std::uint64_t sum = 0;
    meeting.begin();
    const std::uint64_t began_ns = monotonic_ns();
    for (std::uint64_t index = 0; index < topics * each; ++index) {
        const auto message = receiver->receive();
        if (message.data() == nullptr) return fail(receiver->why());
        const std::uint64_t first = first_word(message);
        const std::uint64_t topic = first >> topic_shift;
        if (topic >= topics || first != first_of(topic, next[topic]++, words))
            return fail(ProbeFault::corrupted, "a topic's message is missing or out of order");
        sum += sum_words(message) - words * (topic << topic_shift);
    }
    area.elapsed_ns = monotonic_ns() - began_ns;
    area.say_done();
    if (sum != topics * sum_of_run(each * words))
        return fail(ProbeFault::corrupted, "the sum of all words is wrong");
    return {};
}

}  // namespace

Probed<Measured> many_destinations(const Scene& scene, const Cell& cell, std::uint64_t count) {
    auto area = SharedArea::create(sizeof(LegArea));
    if (!area) return fail(area.error());
    auto& shared = area->front<LegArea>();
    const std::uint64_t bytes = whole_words(cell.size);
    const std::uint64_t each = count / topics + 1;
    const std::vector<Member> members{
        {[&](Meeting& m) { return produce(scene, shared, bytes, each, m); }, Seat::first},
        {[&](Meeting& m) { return consume(scene, shared, cell.mode, bytes, each, m); },
         Seat::second}};
    auto done = run_group(scene.stage.plan("weir many_destinations"), members);
    if (!done) return fail(done.error());
    Measured measured;
    measured.elapsed_ns = shared.elapsed_ns;
    measured.msgs_per_s = per_second(topics * each, shared.elapsed_ns);
    measured.bytes_per_s = measured.msgs_per_s * static_cast<double>(bytes);
    measured.spinning = cell.mode == Mode::spin ? 2 : 0;
    return measured;
}

}  // namespace weir::bench
