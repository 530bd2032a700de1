// SPDX-License-Identifier: Apache-2.0
//
// Kill points: a child dies at the pass that the environment names, and at no other one. The
// function is called directly, so that these tests hold in every build; whether the macro calls it
// is tested for the build at hand.
#include "core/base/kill_point.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>

namespace weir {
namespace {

// How many passes of "lane.committed" a child survives before it dies: `passes` if it does not.
int passes_survived(const char* plan, int passes) {
    int ends[2];
    EXPECT_EQ(::pipe(ends), 0);
    pid_t child = ::fork();
    if (child == 0) {
        ::setenv("WEIR_KILL_POINT", plan, 1);
        for (int pass = 0; pass < passes; ++pass) {
            kill_point_reached("lane.claimed");
            kill_point_reached("lane.committed");
            if (::write(ends[1], "x", 1) != 1) ::_exit(2);
        }
        ::_exit(0);
    }
    ::close(ends[1]);
    int survived = 0;
    for (char mark = 0; ::read(ends[0], &mark, 1) == 1;) ++survived;
    ::close(ends[0]);
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    if (survived < passes) {
        EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << "status " << status;
    } else {
        EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "status " << status;
    }
    return survived;
}

TEST(KillPoint, KillsAtTheFirstPass) { EXPECT_EQ(passes_survived("lane.committed", 5), 0); }

TEST(KillPoint, KillsAtTheNamedPass) { EXPECT_EQ(passes_survived("lane.committed:3", 5), 2); }

TEST(KillPoint, LeavesAProcessAloneThatDoesNotPassOftenEnough) {
    EXPECT_EQ(passes_survived("lane.committed:6", 5), 5);
}

TEST(KillPoint, LeavesAProcessAloneWhenAnotherPointIsNamed) {
    EXPECT_EQ(passes_survived("lane.commit", 5), 5);
    EXPECT_EQ(passes_survived("", 5), 5);
}

TEST(KillPointDeathTest, RefusesAPassThatIsNoNumber) {
    EXPECT_DEATH(
        {
            ::setenv("WEIR_KILL_POINT", "lane.committed:x", 1);
            kill_point_reached("lane.committed");
        },
        "check failed");
}

TEST(KillPointDeathTest, IsCompiledInExactlyWhenTheBuildAsksForIt) {
    auto pass = [] {
        ::setenv("WEIR_KILL_POINT", "a.point", 1);
        KILL_POINT("a.point");
        ::_exit(0);
    };
#if defined(WEIR_KILL_POINTS)
    EXPECT_EXIT(pass(), testing::KilledBySignal(SIGKILL), "");
#else
    EXPECT_EXIT(pass(), testing::ExitedWithCode(0), "");
#endif
}

}  // namespace
}  // namespace weir
