// SPDX-License-Identifier: Apache-2.0
//
// Scenario open_loop: messages leave at a rate, whatever the receiver does.
//
// Message i is due at i / rate. Its first word says when that was, and its latency counts from
// then, not from when it really left: a stall counts for every message that it delayed. The rate at
// which messages really left is reported too; if it is not the one asked for, the latencies belong
// to another experiment and are not to be trusted.
#ifndef WEIR_BENCH_SCENARIOS_OPEN_LOOP_HPP
#define WEIR_BENCH_SCENARIOS_OPEN_LOOP_HPP

#include "bench/probes/process_pair.hpp"
#include "bench/scenarios/content.hpp"
#include "bench/scenarios/leg.hpp"

namespace weir::bench {

template <class Carrier>
Probed<void> send_paced(const Scene& scene, Carrier& carrier, const Cell& cell, LegArea& area,
                        std::uint64_t messages, Meeting& meeting) {
    auto sender = carrier.sender(Way::there);
    if (!sender) return fail(sender.error());
    Content content(cell.size);
    const TickClock& clock = scene.stage.clock;
    const double apart_ticks =
        static_cast<double>(clock.to_ticks(ns_per_s)) / std::max(cell.rate_per_s, 1e-3);
    meeting.begin();
    const std::uint64_t began_ns = monotonic_ns();
    const std::uint64_t began = clock.now_ticks();
    for (std::uint64_t index = 0; index < messages; ++index) {
        const std::uint64_t due =
            began + static_cast<std::uint64_t>(apart_ticks * static_cast<double>(index));
        for (std::uint64_t now = clock.now_ticks(); now < due; now = clock.now_ticks())
            clock.spin(std::min<std::uint64_t>(due - now, 64));
        if (!sender->send(content.from(due)) || !sender->flush()) return fail(sender->why());
    }
    area.paced_ns = monotonic_ns() - began_ns;
    area.await_done();
    return {};
}

template <class Carrier>
Probed<void> receive_paced(const Scene& scene, Carrier& carrier, const Cell& cell, LegArea& area,
                           std::uint64_t warm_up, std::uint64_t messages, Meeting& meeting) {
    auto receiver = carrier.receiver(Way::there, cell.mode);
    if (!receiver) return fail(receiver.error());
    const TickClock& clock = scene.stage.clock;
    std::uint64_t wrong = 0;
    const std::uint64_t words = whole_words(cell.size) / 8;
    meeting.begin();
    std::uint64_t began_ns = 0;
    for (std::uint64_t index = 0; index < warm_up + messages; ++index) {
        if (index == warm_up) {
            area.ticks.clear();
            began_ns = monotonic_ns();
        }
        const auto bytes = receiver->receive();
        if (bytes.data() == nullptr) return fail(receiver->why());
        const std::uint64_t due = first_word(bytes);
        // What begins at `due` and counts on: the sum of such a run, times two.
        wrong |= 2 * sum_words(bytes) ^ (words * (2 * due + words - 1));
        area.ticks.record(clock.sample_ticks(due, std::max(due, clock.now_ticks())));
    }
    area.elapsed_ns = monotonic_ns() - began_ns;
    area.say_done();
    if (wrong != 0) return fail(ProbeFault::corrupted, "the sum of a message's words is wrong");
    return {};
}

template <class Carrier>
Probed<Measured> open_loop_scenario(const Scene& scene, const Cell& cell, std::uint64_t count) {
    auto area = SharedArea::create(sizeof(LegArea));
    if (!area) return fail(area.error());
    auto& shared = area->front<LegArea>();
    auto carrier = Carrier::wire(scene, whole_words(cell.size));
    if (!carrier) return fail(carrier.error());
    const std::uint64_t warm_up = count / 10 + 1;
    auto done = run_pair(
        scene.stage.plan(cell.system + " open_loop"),
        [&](Meeting& meeting) {
            return send_paced(scene, *carrier, cell, shared, warm_up + count, meeting);
        },
        [&](Meeting& meeting) {
            return receive_paced(scene, *carrier, cell, shared, warm_up, count, meeting);
        });
    if (!done) return fail(done.error());
    Measured measured;
    measured.latency = latency_figures(shared.ticks, scene.stage.clock);
    measured.elapsed_ns = shared.elapsed_ns;
    measured.rate_per_s = per_second(warm_up + count, shared.paced_ns);
    measured.msgs_per_s = per_second(count, shared.elapsed_ns);
    measured.bytes_per_s = measured.msgs_per_s * static_cast<double>(whole_words(cell.size));
    measured.spinning = cell.mode == Mode::spin ? 2 : 1;  // the sender spins until a message is due
    return measured;
}

}  // namespace weir::bench

#endif  // WEIR_BENCH_SCENARIOS_OPEN_LOOP_HPP
