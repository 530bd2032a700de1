// SPDX-License-Identifier: Apache-2.0
//
// When a figure is not to be trusted, and that it says why.
#include "bench/suite/verdict.hpp"

#include <gtest/gtest.h>

namespace weir::bench {
namespace {

constexpr Placement two_cores{{0, 1}, 2, true, false};

CellRun run_at(int round, double before_ns, double after_ns, double msgs_per_s) {
    CellRun run;
    run.round = round;
    run.raw_before_ns = before_ns;
    run.raw_after_ns = after_ns;
    run.measured.msgs_per_s = msgs_per_s;
    run.measured.spinning = 2;
    return run;
}

bool says(const Verdict& verdict, const std::string& words) {
    return verdict.why_not.find(words) != std::string::npos;
}

TEST(Verdict, ACellWithEnoughCalmRunsIsTrusted) {
    const std::vector<CellRun> runs{run_at(0, 100, 105, 10), run_at(1, 101, 99, 30),
                                    run_at(2, 100, 100, 20)};
    const Verdict verdict = judge_runs({}, runs, two_cores, 3);
    EXPECT_TRUE(verdict.trusted) << verdict.why_not;
    EXPECT_EQ(verdict.why_not, "");
    EXPECT_EQ(verdict.distance, Distance::near);
    EXPECT_DOUBLE_EQ(median_of(verdict.used).msgs_per_s, 20);
}

TEST(Verdict, ARunDuringWhichTheRawPingPongMovedIsLeftOutWhenThereAreEnoughOthers) {
    const std::vector<CellRun> runs{run_at(0, 100, 100, 10), run_at(1, 100, 115, 1000),
                                    run_at(2, 100, 100, 20), run_at(3, 100, 100, 30)};
    const Verdict verdict = judge_runs({}, runs, two_cores, 3);
    EXPECT_TRUE(verdict.trusted);
    ASSERT_EQ(verdict.used.size(), 3U);
    for (const CellRun& run : verdict.used) EXPECT_NE(run.round, 1);
}

TEST(Verdict, AMachineThatMovesIsNotTrustedAndEverythingIsReported) {
    const std::vector<CellRun> runs{run_at(0, 100, 120, 10), run_at(1, 100, 130, 20),
                                    run_at(2, 100, 100, 30)};
    const Verdict verdict = judge_runs({}, runs, two_cores, 3);
    EXPECT_FALSE(verdict.trusted);
    EXPECT_TRUE(says(verdict, "moved by more than a tenth")) << verdict.why_not;
    EXPECT_TRUE(says(verdict, "only 1 of 3")) << verdict.why_not;
    EXPECT_EQ(verdict.used.size(), 3U);
}

TEST(Verdict, NearAndFarRunsAreNotMixed) {
    const std::vector<CellRun> runs{run_at(0, 100, 100, 10), run_at(1, 300, 300, 1),
                                    run_at(2, 300, 300, 2), run_at(3, 300, 300, 3)};
    const Verdict verdict = judge_runs({}, runs, two_cores, 3);
    EXPECT_TRUE(verdict.trusted);
    EXPECT_EQ(verdict.distance, Distance::far);
    EXPECT_DOUBLE_EQ(median_of(verdict.used).msgs_per_s, 2);
}

TEST(Verdict, OtherProgramsOnTheProcessorsAreNotCalm) {
    CellRun run = run_at(0, 100, 100, 10);
    EXPECT_TRUE(run.calm());
    run.interrupted_share = 0.3;
    EXPECT_FALSE(run.calm());
    CellRun unseen = run_at(0, 0, 0, 10);
    EXPECT_FALSE(unseen.calm()) << "a witness that failed saw nothing";
}

TEST(Verdict, ARateThatWasNotReachedIsNamed) {
    Cell cell;
    cell.rate_per_s = 1000;
    std::vector<CellRun> runs{run_at(0, 100, 100, 1), run_at(1, 100, 100, 1),
                              run_at(2, 100, 100, 1)};
    for (CellRun& run : runs) run.measured.rate_per_s = 999;
    EXPECT_TRUE(judge_runs(cell, runs, two_cores, 3).trusted);
    for (CellRun& run : runs) run.measured.rate_per_s = 900;
    const Verdict verdict = judge_runs(cell, runs, two_cores, 3);
    EXPECT_FALSE(verdict.trusted);
    EXPECT_TRUE(says(verdict, "1000/s was not reached, only 900/s")) << verdict.why_not;
}

TEST(Verdict, MoreSpinningProcessesThanProcessorsAreNamed) {
    const std::vector<CellRun> runs{run_at(0, 100, 100, 1), run_at(1, 100, 100, 1),
                                    run_at(2, 100, 100, 1)};
    constexpr Placement one_core{{0, 0}, 1, true, false};
    const Verdict verdict = judge_runs({}, runs, one_core, 3);
    EXPECT_FALSE(verdict.trusted);
    EXPECT_TRUE(says(verdict, "2 processes spin on 1 usable processors")) << verdict.why_not;
}

TEST(Verdict, ThreadsOfOneCoreAndRefusedPinningAreNamed) {
    const std::vector<CellRun> runs{run_at(0, 100, 100, 1)};
    constexpr Placement siblings{{0, 1}, 2, false, true};
    const Verdict verdict = judge_runs({}, runs, siblings, 1);
    EXPECT_TRUE(says(verdict, "threads of one core"));
    EXPECT_TRUE(says(verdict, "refused to pin"));
}

TEST(Verdict, ACellThatNeverRanIsNotTrusted) {
    const Verdict verdict = judge_runs({}, {}, two_cores, 3);
    EXPECT_FALSE(verdict.trusted);
    EXPECT_EQ(verdict.why_not, "It did not run.");
}

}  // namespace
}  // namespace weir::bench
