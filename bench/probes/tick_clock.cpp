// SPDX-License-Identifier: Apache-2.0
//
// Calibration of the tick clock; see tick_clock.hpp.
#include "bench/probes/tick_clock.hpp"

#include <algorithm>
#include <array>

namespace weir::bench {
namespace {

// Both clocks are read at both ends. An interruption between the two readings of one end would
// shift the rate by its length, so each end is the tightest of several pairs.
struct Instant {
    std::uint64_t ticks;
    std::uint64_t ns;
};

Instant read_both() {
    Instant best{};
    std::uint64_t gap_min = ~std::uint64_t{0};
    for (int attempt = 0; attempt < 16; ++attempt) {
        std::uint64_t before = cpu::counter();
        std::uint64_t ns = monotonic_ns();
        std::uint64_t after = cpu::counter();
        if (after - before >= gap_min) continue;
        gap_min = after - before;
        best = {before + gap_min / 2, ns};
    }
    return best;
}

double measured_ns_per_tick() {
    constexpr std::uint64_t span_ns = 20 * ns_per_ms;
    Instant from = read_both();
    while (monotonic_ns() - from.ns < span_ns) cpu::pause();
    Instant to = read_both();
    return static_cast<double>(to.ns - from.ns) / static_cast<double>(to.ticks - from.ticks);
}

// The median, not the least: it is what a typical sample contains.
std::uint64_t measured_empty_ticks(const TickClock& clock) {
    std::array<std::uint64_t, 4001> intervals{};
    for (auto& interval : intervals) {
        std::uint64_t from = clock.now_ticks();
        interval = clock.now_ticks() - from;
    }
    auto middle = intervals.begin() + intervals.size() / 2;
    std::nth_element(intervals.begin(), middle, intervals.end());
    return *middle;
}

}  // namespace

TickClock TickClock::calibrate() {
    bool steady = cpu::counter_is_steady();
    double ns_per_tick = steady ? measured_ns_per_tick() : 1.0;
    return {steady, ns_per_tick, measured_empty_ticks({steady, ns_per_tick, 0})};
}

}  // namespace weir::bench
