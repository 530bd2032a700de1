// SPDX-License-Identifier: Apache-2.0
//
// See ping_pong.hpp.
#include "bench/probes/ping_pong.hpp"

#include <atomic>

#include "bench/probes/shared_area.hpp"

namespace weir::bench {
namespace {

struct PingPongArea {
    alignas(apart) std::atomic<std::uint64_t> ping;  // written by the first process
    alignas(apart) std::atomic<std::uint64_t> pong;  // written by the second process
    alignas(apart) std::uint64_t elapsed_ns;         // by the first, read after its end
    Histogram ticks;                                 // by the first, read after its end
};

template <bool Pausing>
void await_value(const std::atomic<std::uint64_t>& word, std::uint64_t value,
                 const Patience& patience) noexcept {
    // SYNC(probe_ping_pong) acquire: pairs with the release store of the other side's turn.
    while (word.load(std::memory_order_acquire) != value) patience.between_looks<Pausing>();
}

template <bool Pausing>
void play_first(PingPongArea& area, const Stage& stage, std::uint64_t warm_up,
                std::uint64_t round_trips) {
    Patience patience(stage.placement);
    std::uint64_t began_ns = 0;
    for (std::uint64_t turn = 1; turn <= warm_up + round_trips; ++turn) {
        if (turn == warm_up + 1) {
            began_ns = monotonic_ns();
            area.ticks.clear();
        }
        std::uint64_t from = stage.clock.now_ticks();
        // SYNC(probe_ping_pong) release: hands the turn to the second process.
        area.ping.store(turn, std::memory_order_release);
        await_value<Pausing>(area.pong, turn, patience);
        area.ticks.record(stage.clock.sample_ticks(from, stage.clock.now_ticks()));
    }
    area.elapsed_ns = monotonic_ns() - began_ns;
}

template <bool Pausing>
void play_second(PingPongArea& area, const Stage& stage, std::uint64_t turns) {
    Patience patience(stage.placement);
    for (std::uint64_t turn = 1; turn <= turns; ++turn) {
        await_value<Pausing>(area.ping, turn, patience);
        // SYNC(probe_ping_pong) release: hands the turn back.
        area.pong.store(turn, std::memory_order_release);
    }
}

template <bool Pausing>
Probed<PingPongFigures> run_leg(const Stage& stage, std::uint64_t round_trips) {
    auto area = SharedArea::create(sizeof(PingPongArea));
    if (!area) return fail(area.error());
    auto& shared = area->front<PingPongArea>();
    std::uint64_t warm_up = round_trips / 10 + 1;
    auto first = [&](Meeting& meeting) -> Probed<void> {
        if (auto ready = area->populate(); !ready) return ready;
        meeting.begin();
        play_first<Pausing>(shared, stage, warm_up, round_trips);
        return {};
    };
    auto second = [&](Meeting& meeting) -> Probed<void> {
        if (auto ready = area->populate(); !ready) return ready;
        meeting.begin();
        play_second<Pausing>(shared, stage, warm_up + round_trips);
        return {};
    };
    auto done = run_pair(stage.plan("ping-pong"), first, second);
    if (!done) return fail(done.error());
    return PingPongFigures{latency_figures(shared.ticks, stage.clock), Pausing, shared.elapsed_ns};
}

}  // namespace

Probed<PingPongFigures> ping_pong_leg(const Stage& stage, std::uint64_t round_trips, bool pausing) {
    return pausing ? run_leg<true>(stage, round_trips) : run_leg<false>(stage, round_trips);
}

Probed<PingPongFigures> ping_pong(const Stage& stage, LegScale& scale) {
    std::uint64_t wanted_ns = stage.leg_ns / 2;  // both ways together make one leg
    auto leg = [&](std::uint64_t count) { return ping_pong_leg(stage, count, false); };
    auto looking = run_scaled(scale, wanted_ns, leg);
    if (!looking) return looking;
    auto pausing = ping_pong_leg(stage, scale.count(), true);
    if (!pausing) return pausing;
    return pausing->rtt.ns_p50 < looking->rtt.ns_p50 ? pausing : looking;
}

}  // namespace weir::bench
