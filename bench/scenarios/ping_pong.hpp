// SPDX-License-Identifier: Apache-2.0
//
// Scenario ping_pong: a message there, the same bytes back; closed loop.
//
//   first:  fill, send there, receive back, check, sum: one sample
//   second: receive there, read every byte by copying it, send back
//
// Beside the latency it counts what each side asked of the kernel per trip (counted.hpp), which
// says whether a parked trip needs more than one wait, one wake and one membarrier a side.
#ifndef WEIR_BENCH_SCENARIOS_PING_PONG_HPP
#define WEIR_BENCH_SCENARIOS_PING_PONG_HPP

#include "bench/probes/process_pair.hpp"
#include "bench/scenarios/content.hpp"
#include "bench/scenarios/leg.hpp"

namespace weir::bench {

template <class Carrier>
Probed<void> ask(const Scene& scene, Carrier& carrier, const Cell& cell, LegArea& area,
                 std::uint64_t warm_up, std::uint64_t round_trips, Meeting& meeting) {
    auto receiver = carrier.receiver(Way::back, cell.mode);
    if (!receiver) return fail(receiver.error());
    auto sender = carrier.sender(Way::there);
    if (!sender) return fail(sender.error());
    Content content(cell.size);
    Reader reader(cell.size, 0);
    const TickClock& clock = scene.stage.clock;
    Calls before;
    std::uint64_t began_ns = 0;
    meeting.begin();
    for (std::uint64_t turn = 0; turn < warm_up + round_trips; ++turn) {
        if (turn == warm_up) {
            area.ticks.clear();
            before = calls_so_far();
            began_ns = monotonic_ns();
        }
        const std::uint64_t from = clock.now_ticks();
        if (!sender->send(content.of(turn)) || !sender->flush()) return fail(sender->why());
        const auto bytes = receiver->receive();
        if (bytes.data() == nullptr) return fail(receiver->why());
        if (!reader.take(bytes)) return reader.wrong();
        area.ticks.record(clock.sample_ticks(from, clock.now_ticks()));
    }
    area.elapsed_ns = monotonic_ns() - began_ns;
    area.calls[0] = calls_so_far() - before;
    area.say_done();
    return reader.verdict();
}

template <class Carrier>
Probed<void> answer(Carrier& carrier, const Cell& cell, LegArea& area, std::uint64_t warm_up,
                    std::uint64_t round_trips, Meeting& meeting) {
    auto receiver = carrier.receiver(Way::there, cell.mode);
    if (!receiver) return fail(receiver.error());
    auto sender = carrier.sender(Way::back);
    if (!sender) return fail(sender.error());
    Calls before;
    meeting.begin();
    for (std::uint64_t turn = 0; turn < warm_up + round_trips; ++turn) {
        if (turn == warm_up) before = calls_so_far();
        const auto bytes = receiver->receive();
        if (bytes.data() == nullptr) return fail(receiver->why());
        if (!sender->send(bytes) || !sender->flush()) return fail(sender->why());
    }
    area.calls[1] = calls_so_far() - before;
    area.await_done();
    return {};
}

template <class Carrier>
Probed<Measured> ping_pong_scenario(const Scene& scene, const Cell& cell,
                                    std::uint64_t round_trips) {
    auto area = SharedArea::create(sizeof(LegArea));
    if (!area) return fail(area.error());
    auto& shared = area->front<LegArea>();
    auto carrier = Carrier::wire(scene, whole_words(cell.size));
    if (!carrier) return fail(carrier.error());
    const std::uint64_t warm_up = round_trips / 10 + 1;
    auto done = run_pair(
        scene.stage.plan(cell.system + " ping_pong"),
        [&](Meeting& meeting) {
            return ask(scene, *carrier, cell, shared, warm_up, round_trips, meeting);
        },
        [&](Meeting& meeting) {
            return answer(*carrier, cell, shared, warm_up, round_trips, meeting);
        });
    if (!done) return fail(done.error());
    Measured measured;
    measured.latency = latency_figures(shared.ticks, scene.stage.clock);
    measured.elapsed_ns = shared.elapsed_ns;
    measured.msgs_per_s = per_second(2 * round_trips, shared.elapsed_ns);
    measured.bytes_per_s = measured.msgs_per_s * static_cast<double>(whole_words(cell.size));
    measured.spinning = cell.mode == Mode::spin ? 2 : 0;
    const auto per_trip = [&](std::uint64_t Calls::*part) {
        const std::uint64_t most = std::max(shared.calls[0].*part, shared.calls[1].*part);
        return static_cast<double>(most) / static_cast<double>(round_trips);
    };
    measured.counts = {{"waits_per_trip", per_trip(&Calls::waits)},
                       {"wakes_per_trip", per_trip(&Calls::wakes)},
                       {"membarriers_per_trip", per_trip(&Calls::barriers)}};
    return measured;
}

}  // namespace weir::bench

#endif  // WEIR_BENCH_SCENARIOS_PING_PONG_HPP
