// SPDX-License-Identifier: Apache-2.0
//
// What the processes of a leg leave for their parent, and how they end together.
//
// A sender must not leave before its last message was read: some systems drop what is still on its
// way when their end is closed. So it waits for `done`, asleep, after everything measured is over.
#ifndef WEIR_BENCH_SCENARIOS_LEG_HPP
#define WEIR_BENCH_SCENARIOS_LEG_HPP

#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <string>

#include "bench/probes/histogram.hpp"
#include "bench/probes/process_group.hpp"
#include "bench/probes/shared_area.hpp"
#include "bench/scenarios/carrier.hpp"
#include "bench/scenarios/counted.hpp"

namespace weir::bench {

struct LegArea {
    alignas(apart) std::atomic<std::uint32_t> done;  // receivers that have read everything
    alignas(apart) std::uint64_t elapsed_ns;         // by the side that measures
    std::uint64_t paced_ns;                          // by the sender of an open loop
    std::array<Calls, 2> calls;                      // by each side of a round trip
    Histogram ticks;

    void say_done() noexcept {
        // SYNC(bench_done) release: what this receiver measured is written.
        done.fetch_add(1, std::memory_order_release);
    }
    void await_done(std::uint32_t receivers = 1) const noexcept {
        constexpr unsigned look_every_us = 200;
        // SYNC(bench_done) acquire: pairs with the receivers' steps.
        while (done.load(std::memory_order_acquire) < receivers) ::usleep(look_every_us);
    }
};

inline double per_second(std::uint64_t count, std::uint64_t elapsed_ns) noexcept {
    return static_cast<double>(count) * static_cast<double>(ns_per_s) /
           static_cast<double>(std::max<std::uint64_t>(elapsed_ns, 1));
}

}  // namespace weir::bench

#endif  // WEIR_BENCH_SCENARIOS_LEG_HPP
