// SPDX-License-Identifier: Apache-2.0
//
// The clock of single round trips.
//
// A percentile needs every sample, a sample needs two readings, and a raw round trip between near
// cores takes little more than 100 ns. So the clock must be cheap, and what it costs must be known.
// A TickClock reads the processor's counter where that is steady, else the monotonic clock; it is
// calibrated once, before the processes fork, and then only read.
//
// A sample is the interval between two readings minus the *empty interval*, which is what two
// readings with nothing between them give. The raw ping-pong and Weir are measured by this same
// code, so their ratio compares like with like; without the subtraction the clock's own cost, equal
// on both sides, would flatter the slower one.
//
// Invariants
//   T1  readings of one process do not run backwards
//   T2  a sample is never negative: an interval shorter than the empty one counts as 0
#ifndef WEIR_BENCH_PROBES_TICK_CLOCK_HPP
#define WEIR_BENCH_PROBES_TICK_CLOCK_HPP

#include <cstdint>

#include "bench/probes/cpu.hpp"
#include "core/base/clock.hpp"

namespace weir::bench {

class TickClock {
public:
    // Spins for about 20 ms.
    static TickClock calibrate();

    // A clock with a known rate, for tests and for arithmetic on recorded ticks.
    constexpr TickClock(bool steady, double ns_per_tick, std::uint64_t empty_ticks) noexcept
        : steady_(steady), ns_per_tick_(ns_per_tick), empty_ticks_(empty_ticks) {}

    std::uint64_t now_ticks() const noexcept { return steady_ ? cpu::counter() : monotonic_ns(); }

    std::uint64_t sample_ticks(std::uint64_t from, std::uint64_t to) const noexcept {
        std::uint64_t interval = to - from;
        return interval > empty_ticks_ ? interval - empty_ticks_ : 0;  // T2
    }

    double to_ns(std::uint64_t ticks) const noexcept {
        return static_cast<double>(ticks) * ns_per_tick_;
    }
    std::uint64_t to_ticks(std::uint64_t span_ns) const noexcept {
        return static_cast<std::uint64_t>(static_cast<double>(span_ns) / ns_per_tick_);
    }

    bool reads_the_processor() const noexcept { return steady_; }
    double empty_ns() const noexcept { return to_ns(empty_ticks_); }

    // Busy for that long, without a system call.
    void spin(std::uint64_t span_ticks) const noexcept {
        std::uint64_t from = now_ticks();
        while (now_ticks() - from < span_ticks) cpu::pause();
    }

private:
    bool steady_;
    double ns_per_tick_;
    std::uint64_t empty_ticks_;
};

}  // namespace weir::bench

#endif  // WEIR_BENCH_PROBES_TICK_CLOCK_HPP
