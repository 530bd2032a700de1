// SPDX-License-Identifier: Apache-2.0
//
// Goals over made-up rounds: ratios are taken within a round, the best reference counts, far cores
// change the bound of throughput against peers only.
#include "bench/suite/goals.hpp"

#include <gtest/gtest.h>

namespace weir::bench {
namespace {

const Cell subject{"one_to_one", "weir", 64, Mode::spin, 0};

CellOutcome outcome_of(const Cell& cell, Kind kind, const std::vector<double>& msgs_per_s,
                       double raw_ns = 100) {
    CellOutcome outcome;
    outcome.planned.cell = cell;
    outcome.kind = kind;
    int round = 0;
    for (double figure : msgs_per_s) {
        CellRun run;
        run.round = round++;
        run.raw_before_ns = run.raw_after_ns = raw_ns;
        run.measured.msgs_per_s = figure;
        run.measured.latency.ns_p50 = figure;
        run.measured.counts = {{"cpu_ms", figure}};
        outcome.runs.push_back(run);
    }
    return outcome;
}

Cell peer_cell(const std::string& name) { return {"one_to_one", name, 64, Mode::park, 0}; }

Goal at_least(double bound, std::vector<Cell> references, bool peer = false) {
    Goal goal{"it", subject, "others", std::move(references)};
    goal.bound = bound;
    goal.peer = peer;
    return goal;
}

TEST(Goals, RatiosAreTakenRoundByRound) {
    Outcomes outcomes;
    // The machine was twice as fast in the second round; no ratio shows it.
    outcomes.cells = {outcome_of(subject, Kind::weir, {30, 60, 33}),
                      outcome_of(peer_cell("a"), Kind::single, {10, 20, 11})};
    const GoalResult result = judge_goal(at_least(3, {peer_cell("a")}), outcomes);
    ASSERT_TRUE(result.measured);
    EXPECT_EQ(result.ratios, (std::vector<double>{3, 3, 3}));
    EXPECT_DOUBLE_EQ(result.ratio, 3);
    EXPECT_TRUE(result.met);
    EXPECT_FALSE(judge_goal(at_least(3.1, {peer_cell("a")}), outcomes).met);
}

TEST(Goals, TheBestOfSeveralReferencesCounts) {
    Outcomes outcomes;
    outcomes.cells = {outcome_of(subject, Kind::weir, {30, 30, 30}),
                      outcome_of(peer_cell("slow"), Kind::single, {1, 1, 99}),
                      outcome_of(peer_cell("fast"), Kind::single, {10, 10, 10})};
    const Goal goal = at_least(5, {peer_cell("slow"), peer_cell("fast")});
    const GoalResult result = judge_goal(goal, outcomes);
    EXPECT_EQ(result.reference, "fast");
    EXPECT_DOUBLE_EQ(result.ratio, 3);
    EXPECT_FALSE(result.met);
}

TEST(Goals, WithoutAReferenceARoundTripIsSetAgainstTheRawPingPong) {
    Outcomes outcomes;
    outcomes.cells = {outcome_of(subject, Kind::weir, {210, 200, 205})};
    Goal goal{"round trip", subject, "raw", {}};
    goal.figure = Figure::latency;
    goal.at_most = true;
    goal.bound = 2.1;
    EXPECT_DOUBLE_EQ(judge_goal(goal, outcomes).ratio, 2.05);
    EXPECT_TRUE(judge_goal(goal, outcomes).met);
    goal.bound = 2.0;
    EXPECT_FALSE(judge_goal(goal, outcomes).met);
}

TEST(Goals, FarCoresAskOfWeirWhatTheBestRingReaches) {
    const Cell ring{"one_to_one", "plain ring", 64, Mode::spin, 0};
    for (const double raw_ns : {100.0, 300.0}) {
        Outcomes outcomes;
        outcomes.cells = {outcome_of(subject, Kind::weir, {20, 20, 20}, raw_ns),
                          outcome_of(ring, Kind::limit, {24, 24, 24}, raw_ns),
                          outcome_of(peer_cell("a"), Kind::single, {10, 10, 10}, raw_ns)};
        const GoalResult against_peer = judge_goal(at_least(5, {peer_cell("a")}, true), outcomes);
        EXPECT_DOUBLE_EQ(against_peer.ratio, 2);
        EXPECT_EQ(against_peer.met, raw_ns > 200) << raw_ns;
        EXPECT_DOUBLE_EQ(against_peer.bound, raw_ns > 200 ? 0.8 * 2.4 : 5);
        const GoalResult against_limit = judge_goal(at_least(5, {ring}), outcomes);
        EXPECT_DOUBLE_EQ(against_limit.bound, 5) << "only peers have the far rule";
    }
}

TEST(Goals, AnAbsoluteGoalBoundsTheFigureItself) {
    Outcomes outcomes;
    outcomes.cells = {outcome_of(subject, Kind::weir, {4, 6, 4.5})};
    Goal goal{"idle", subject, "the bound", {}};
    goal.figure = Figure::count;
    goal.count = "cpu_ms";
    goal.at_most = true;
    goal.absolute = true;
    goal.bound = 5;
    const GoalResult result = judge_goal(goal, outcomes);
    EXPECT_DOUBLE_EQ(result.value, 4.5);
    EXPECT_DOUBLE_EQ(result.ratio, 0.9);
    EXPECT_TRUE(result.met);
}

TEST(Goals, WhatDidNotRunIsNeitherMetNorMissed) {
    Outcomes outcomes;
    outcomes.cells = {outcome_of(subject, Kind::weir, {4}),
                      outcome_of(peer_cell("a"), Kind::single, {})};
    const GoalResult result = judge_goal(at_least(1, {peer_cell("a")}), outcomes);
    EXPECT_FALSE(result.measured);
    EXPECT_FALSE(result.met);
}

TEST(Goals, ARunWithFewCellsHasOnlyTheGoalsThatItCanJudge) {
    Outcomes outcomes;
    outcomes.cells = {
        outcome_of(subject, Kind::weir, {4}),
        outcome_of({"one_to_one", "plain ring", 64, Mode::spin, 0}, Kind::limit, {5})};
    const auto goals = goals_for(outcomes);
    ASSERT_EQ(goals.size(), 1U);
    EXPECT_EQ(goals[0].against, "the best plain ring");
}

}  // namespace
}  // namespace weir::bench
