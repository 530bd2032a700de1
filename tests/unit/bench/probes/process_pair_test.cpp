// SPDX-License-Identifier: Apache-2.0
//
// Two processes for one leg: what fails is told, and nobody is left behind.
#include "bench/probes/process_pair.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>

#include "core/base/clock.hpp"

namespace weir::bench {
namespace {

using Pids = std::array<std::atomic<pid_t>, 2>;

PairPlan plan(std::uint64_t deadline_ns = 20 * ns_per_s) {
    return {"test pair", choose_placement(), deadline_ns};
}

Probed<void> work(Meeting& meeting) {
    meeting.begin();
    return {};
}

Probed<void> sleep_for_ever(Meeting&) {
    for (;;) ::pause();
}

// Notes its process's number in shared memory, then goes on as `side`.
Side noting(Pids& pids, std::size_t index, const Side& side) {
    return [&pids, index, side](Meeting& meeting) {
        pids[index].store(::getpid(), std::memory_order_relaxed);
        return side(meeting);
    };
}

pid_t noted(const Pids& pids, std::size_t index) {
    return pids[index].load(std::memory_order_relaxed);
}

bool has_children() { return ::waitpid(-1, nullptr, WNOHANG) != -1 || errno != ECHILD; }

// Within ten seconds by itself; one that does not is killed, so that nobody is left behind.
bool ends(pid_t pid) {
    for (int look = 0; look < 1000; ++look) {
        if (::waitpid(pid, nullptr, WNOHANG) == pid) return true;
        ::usleep(10'000);
    }
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    return false;
}

TEST(ProcessPair, RunsTwoProcessesThatAreNotTheCaller) {
    auto area = SharedArea::create(sizeof(Pids));
    ASSERT_TRUE(area);
    auto& pids = area->front<Pids>();
    ASSERT_TRUE(run_pair(plan(), noting(pids, 0, work), noting(pids, 1, work)));
    EXPECT_NE(noted(pids, 0), 0);
    EXPECT_NE(noted(pids, 1), 0);
    EXPECT_NE(noted(pids, 0), noted(pids, 1));
    EXPECT_NE(noted(pids, 0), ::getpid());
    EXPECT_FALSE(has_children());
}

TEST(ProcessPair, PassesOnWhatASideComplainsOfAndKillsTheOther) {
    auto complain = [](Meeting&) -> Probed<void> { return fail(ProbeFault::corrupted, "torn"); };
    auto done = run_pair(plan(), sleep_for_ever, complain);
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, ProbeFault::corrupted);
    EXPECT_EQ(done.error().sentence, "test pair: the second process says: torn");
    EXPECT_FALSE(has_children());
}

TEST(ProcessPair, TellsASideThatCrashed) {
    auto crash = [](Meeting&) -> Probed<void> {
        ::raise(SIGKILL);
        return {};
    };
    auto done = run_pair(plan(), crash, sleep_for_ever);
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, ProbeFault::child_failed);
    EXPECT_EQ(done.error().sentence, "test pair: the first process was ended by signal 9");
    EXPECT_FALSE(has_children());
}

TEST(ProcessPair, StopsAtTheDeadline) {
    auto done = run_pair(plan(20 * ns_per_ms), sleep_for_ever, work);
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, ProbeFault::timed_out);
    EXPECT_FALSE(has_children());
}

TEST(ProcessPair, LeavesNobodyBehindWhenTheCallerIsKilled) {
    // Orphans of the caller become this process's children, so that their end can be awaited.
    ASSERT_EQ(::prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    auto area = SharedArea::create(sizeof(Pids));
    ASSERT_TRUE(area);
    auto& pids = area->front<Pids>();
    pid_t caller = ::fork();
    ASSERT_NE(caller, -1);
    if (caller == 0) {
        auto done =
            run_pair(plan(), noting(pids, 0, sleep_for_ever), noting(pids, 1, sleep_for_ever));
        ::_exit(done ? 0 : 1);
    }
    while (noted(pids, 0) == 0 || noted(pids, 1) == 0) ::usleep(1000);
    ::kill(caller, SIGKILL);
    EXPECT_TRUE(ends(caller));
    EXPECT_TRUE(ends(noted(pids, 0)));
    EXPECT_TRUE(ends(noted(pids, 1)));
    ::prctl(PR_SET_CHILD_SUBREAPER, 0);
}

}  // namespace
}  // namespace weir::bench
