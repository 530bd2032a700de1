// SPDX-License-Identifier: Apache-2.0
//
// Which cells a run has.
//
//   table   what bench/run.sh measures by default: Weir and the limits, and the peers at 64 B,
//           1 KiB and 64 KiB in short cells
//   full    every size and every way of waiting
//   guard   the few cells that a small set of ratios needs, in short
//   smoke   every cell once with a handful of messages: shows that it runs, not how fast
#ifndef WEIR_BENCH_SUITE_PLAN_HPP
#define WEIR_BENCH_SUITE_PLAN_HPP

#include <cstdint>
#include <vector>

#include "bench/peers/system.hpp"

namespace weir::bench {

enum class Extent { table, full, guard, smoke };

struct PlannedCell {
    Cell cell;
    std::uint64_t leg_ns = 0;  // 0: the count is given, not scaled
    std::uint64_t count = 1000;
    int rounds_max = 1000;  // of the run; a long cell is run in a few only
};

// What `system` shall run; only cells that it has.
std::vector<PlannedCell> cells_of(const System& system, Extent extent);

}  // namespace weir::bench

#endif  // WEIR_BENCH_SUITE_PLAN_HPP
