// SPDX-License-Identifier: Apache-2.0
//
// Rounds: every cell once in each, with the raw ping-pong before and after it.
//
// A round goes through the systems, and every other round in the opposite order, so that a machine
// that drifts favours nobody. What serves a system runs only during its cells. A cell that fails is
// noted with its reason; one that failed in two rounds is not tried again, so a peer that hangs
// costs its time-out twice and no more.
//
// Invariants
//   N1  the witness after one cell is the witness before the next one of the same system
//   N2  a run ends: each leg has a deadline, and no round begins after the budget is spent
#ifndef WEIR_BENCH_SUITE_RUNNER_HPP
#define WEIR_BENCH_SUITE_RUNNER_HPP

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "bench/peers/system.hpp"
#include "bench/suite/plan.hpp"
#include "bench/suite/verdict.hpp"

namespace weir::bench {

struct CellOutcome {
    PlannedCell planned;
    Kind kind = Kind::limit;
    LegScale scale{1000};
    std::vector<CellRun> runs;
    std::string failure;  // of the last attempt that failed
    int failures = 0;
};

struct RunnerPlan {
    Scene scene;
    Extent extent = Extent::table;
    std::set<std::string> scenarios = {};  // empty: all
    std::set<std::uint64_t> sizes = {};    // bytes; empty: all
    int rounds = 7;
    std::uint64_t budget_ns = 0;
    std::function<void(const std::string&)> say = {};  // progress, one line each
};

struct Outcomes {
    std::vector<CellOutcome> cells;
    int rounds = 0;

    const CellOutcome* find(const Cell& cell) const;
};

Outcomes run_rounds(const RunnerPlan& plan, std::vector<std::unique_ptr<System>>& systems);

}  // namespace weir::bench

#endif  // WEIR_BENCH_SUITE_RUNNER_HPP
