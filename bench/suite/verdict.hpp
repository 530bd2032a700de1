// SPDX-License-Identifier: Apache-2.0
//
// Whether a figure may be believed, and which rounds it is made of.
//
// The raw ping-pong runs before and after every cell of every round. A run is *calm* when the two
// differ by at most a tenth and others took less than a fifth of their time. A cell's figures are
// medians over its calm runs if there are at least three of them at one distance; else over all,
// and then the cell says that it is not to be trusted and why.
//
// Invariants
//   R1  a cell that is trusted has no run in its medians that was not calm
//   R2  `why_not` is empty exactly if the cell is trusted
#ifndef WEIR_BENCH_SUITE_VERDICT_HPP
#define WEIR_BENCH_SUITE_VERDICT_HPP

#include <span>
#include <string>
#include <vector>

#include "bench/harness/round.hpp"
#include "bench/probes/placement.hpp"
#include "bench/scenarios/measured.hpp"

namespace weir::bench {

// One run of a cell with its witnesses.
struct CellRun {
    int round = 0;
    Measured measured;
    double raw_before_ns = 0;
    double raw_after_ns = 0;
    double interrupted_share = 0;  // of the worse of the two raw probes

    double raw_ns() const { return (raw_before_ns + raw_after_ns) / 2; }
    bool calm() const;
    Distance distance() const;
};

struct Verdict {
    std::vector<CellRun> used;  // whose medians are reported
    Distance distance = Distance::near;
    int calm = 0;
    bool trusted = false;
    std::string why_not;
};

// `wanted` is how many calm runs of one distance make a figure.
Verdict judge_runs(const Cell& cell, std::span<const CellRun> runs, const Placement& placement,
                   int wanted);

// Medians, percentile by percentile, over `runs`.
Measured median_of(std::span<const CellRun> runs);

}  // namespace weir::bench

#endif  // WEIR_BENCH_SUITE_VERDICT_HPP
