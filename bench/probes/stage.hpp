// SPDX-License-Identifier: Apache-2.0
//
// What every leg of a run has in common, and how long a leg is.
//
// A leg is one measured stretch between two processes. It is bounded by a number of messages, not
// by a clock inside its loop, so that nothing but messages is in the loop. The number that fills
// the wanted time is learned: a leg that ended much too early is repeated with more. The lesson is
// kept from round to round, so that later rounds run each leg once.
#ifndef WEIR_BENCH_PROBES_STAGE_HPP
#define WEIR_BENCH_PROBES_STAGE_HPP

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>

#include "bench/probes/placement.hpp"
#include "bench/probes/process_pair.hpp"
#include "bench/probes/tick_clock.hpp"
#include "core/base/clock.hpp"

namespace weir::bench {

struct Stage {
    TickClock clock;
    Placement placement;
    std::uint64_t leg_ns = 60 * ns_per_ms;
    std::uint64_t deadline_ns = 20 * ns_per_s;

    PairPlan plan(std::string name) const { return {std::move(name), placement, deadline_ns}; }
};

// What a spinning side does between two looks. With a processor of its own it only looks again;
// where both sides share one it must let the other run.
class Patience {
public:
    explicit Patience(const Placement& placement) noexcept : yields_(placement.shares_one()) {}

    // `Pausing`: with the processor's hint that this is a spin loop.
    template <bool Pausing>
    void between_looks() const noexcept {
        if constexpr (Pausing) cpu::pause();
        if (yields_) [[unlikely]]
            give_way();
    }

private:
    static void give_way() noexcept;

    bool yields_;
};

class LegScale {
public:
    constexpr explicit LegScale(std::uint64_t count) noexcept : count_(count) {}

    std::uint64_t count() const noexcept { return count_; }

    // Notes what a leg of count() messages took. True when that was long enough to keep.
    bool learn(std::uint64_t elapsed_ns, std::uint64_t wanted_ns) noexcept {
        constexpr std::uint64_t growth_max = 64;  // a first leg may be far too fast: cold caches
        bool enough = elapsed_ns >= wanted_ns / 2;
        double factor = static_cast<double>(wanted_ns) /
                        static_cast<double>(std::max<std::uint64_t>(elapsed_ns, 1));
        factor = std::min(factor, static_cast<double>(growth_max));
        auto next = static_cast<std::uint64_t>(static_cast<double>(count_) * factor);
        count_ = std::max<std::uint64_t>(next, 16);
        return enough;
    }

private:
    std::uint64_t count_;
};

// Runs `leg(count)` until it is long enough. Its figures have a member elapsed_ns.
template <class Leg>
auto run_scaled(LegScale& scale, std::uint64_t wanted_ns, const Leg& leg)
    -> decltype(leg(std::uint64_t{})) {
    constexpr int attempts_max = 8;
    for (int attempt = 1;; ++attempt) {
        auto figures = leg(scale.count());
        if (!figures) return figures;
        if (scale.learn(figures->elapsed_ns, wanted_ns) || attempt == attempts_max) return figures;
    }
}

}  // namespace weir::bench

#endif  // WEIR_BENCH_PROBES_STAGE_HPP
