// SPDX-License-Identifier: Apache-2.0
//
// Latencies as they are reported: percentiles in nanoseconds, never a mean.
#ifndef WEIR_BENCH_PROBES_LATENCY_HPP
#define WEIR_BENCH_PROBES_LATENCY_HPP

#include <cstdint>

#include "bench/probes/histogram.hpp"
#include "bench/probes/tick_clock.hpp"
#include "core/base/clock.hpp"

namespace weir::bench {

struct LatencyFigures {
    double ns_p50 = 0;
    double ns_p99 = 0;
    double ns_p999 = 0;
    double ns_p9999 = 0;
    double ns_max = 0;
    // Share of the time that lies in samples of over 10 us: what the machine took for others.
    double interrupted_share = 0;
    std::uint64_t samples = 0;
};

// `ticks` holds samples of `clock`.
inline LatencyFigures latency_figures(const Histogram& ticks, const TickClock& clock) {
    auto at = [&](std::uint64_t ppm) { return clock.to_ns(ticks.percentile(ppm)); };
    std::uint64_t late = ticks.total_above(clock.to_ticks(10 * ns_per_us));
    LatencyFigures figures{
        at(500'000), at(990'000),    at(999'000), at(999'900), clock.to_ns(ticks.max()),
        0,           ticks.samples()};
    if (ticks.total() != 0) {
        figures.interrupted_share = static_cast<double>(late) / static_cast<double>(ticks.total());
    }
    return figures;
}

}  // namespace weir::bench

#endif  // WEIR_BENCH_PROBES_LATENCY_HPP
