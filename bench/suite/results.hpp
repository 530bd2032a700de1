// SPDX-License-Identifier: Apache-2.0
//
// What a run of the suite says: one entry per cell, one per goal; as JSON and as text.
//
// The JSON is a list of objects. All have the keys scenario, system, size, mode, msgs_per_s,
// bytes_per_s, latency_ns, raw_rtt_ns, goal, ratio and met; `goal`, `ratio` and `met` are null for
// a cell, and an object with a goal repeats the figures of its subject. A figure that a scenario
// does not have is null. Keys are added, never renamed.
#ifndef WEIR_BENCH_SUITE_RESULTS_HPP
#define WEIR_BENCH_SUITE_RESULTS_HPP

#include <map>
#include <string>
#include <vector>

#include "bench/suite/goals.hpp"
#include "bench/suite/runner.hpp"
#include "bench/suite/verdict.hpp"

namespace weir::bench {

struct CellReport {
    const CellOutcome* outcome = nullptr;
    Verdict verdict;
    Measured median;
    double raw_before_ns = 0;
    double raw_after_ns = 0;
};

struct Results {
    std::string commit;   // of what was measured
    std::string machine;  // processor and kernel
    Placement placement;
    int rounds = 0;
    std::map<std::string, std::string> settings;  // of each system
    std::vector<CellReport> cells;
    std::vector<GoalResult> goals;
};

Results results_of(const Outcomes& outcomes, const Placement& placement, int calm_wanted);

std::string to_json(const Results& results);
std::string to_text(const Results& results);

}  // namespace weir::bench

#endif  // WEIR_BENCH_SUITE_RESULTS_HPP
