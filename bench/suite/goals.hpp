// SPDX-License-Identifier: Apache-2.0
//
// The goals: each is a ratio of two figures of the same rounds, and a bound for it.
//
// The ratio is taken round by round, and its median counts: a machine that moved between two rounds
// moved both sides of a round. Where a goal names the best of several (the best peer, the better
// state of a copy stream), that is the one with the best median.
//
// Throughput goals against peers hold for near cores. With far ones the bound is what the best
// plain ring of the same rounds reaches against the same peer, times 0.8, if that is lower: what no
// ring can do is not asked of Weir.
#ifndef WEIR_BENCH_SUITE_GOALS_HPP
#define WEIR_BENCH_SUITE_GOALS_HPP

#include <string>
#include <vector>

#include "bench/suite/runner.hpp"
#include "bench/suite/statistics.hpp"

namespace weir::bench {

enum class Figure { latency, messages, bytes, count };

struct Goal {
    std::string what;              // of the row
    Cell subject;                  //
    std::string against;           // the label of what it is set against
    std::vector<Cell> references;  // the best of them counts; none: the raw ping-pong or a constant
    Figure figure = Figure::messages;
    std::string count = {};  // of Figure::count: its name
    bool at_most = false;
    double bound = 0;
    bool peer = false;      // the far rule applies
    bool absolute = false;  // the figure itself is bounded; `unit` says in what
    std::string unit = {};
};

struct GoalResult {
    Goal goal;
    bool measured = false;
    std::string reference;       // the system that counted
    std::vector<double> ratios;  // one a round
    double ratio = 0;            // median; of an absolute goal, figure / bound
    double value = 0;            // of an absolute goal, the figure
    double bound = 0;            // after the far rule
    Interval interval;           // of the ratio
    bool met = false;
};

// The table of goals, for the systems of this run.
std::vector<Goal> goals_for(const Outcomes& outcomes);

GoalResult judge_goal(const Goal& goal, const Outcomes& outcomes);

}  // namespace weir::bench

#endif  // WEIR_BENCH_SUITE_GOALS_HPP
