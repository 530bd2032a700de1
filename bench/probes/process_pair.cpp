// SPDX-License-Identifier: Apache-2.0
//
// See process_pair.hpp. The parent watches its children through pidfds: no signal handler is
// touched, no other child of the caller is reaped, and a number cannot be reused before the wait.
#include "bench/probes/process_pair.hpp"

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>

#include "core/base/clock.hpp"
#include "core/base/fd.hpp"

namespace weir::bench {
namespace {

// What a failed child leaves for its parent; written before it exits, read after it is reaped.
struct Complaint {
    ProbeFault fault;
    std::array<char, 240> sentence;
};

struct PairArea {
    Meeting meeting;
    std::array<Complaint, 2> complaints;
};

constexpr int complained = 3;  // exit status of a side that returned an error

[[noreturn]] void run_side(const PairPlan& plan, const Side& side, std::size_t index,
                           PairArea& area, pid_t parent) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(0);  // it died before the line above: P2
    if (plan.placement.pinnable) pin_to(plan.placement.processors[index]);
    Probed<void> done = side(area.meeting);
    if (done) ::_exit(0);
    Complaint& complaint = area.complaints[index];
    complaint.fault = done.error().code;
    std::string_view sentence = done.error().sentence;
    std::size_t length = std::min(sentence.size(), complaint.sentence.size() - 1);
    std::memcpy(complaint.sentence.data(), sentence.data(), length);
    ::_exit(complained);  // not exit(): the parent's buffers and handlers are not this process's
}

// One child; killed and reaped at the latest when its owner goes out of scope.
class Child {
public:
    explicit Child(pid_t pid) : pid_(pid) {
        pidfd_ = Fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    }
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;
    ~Child() {
        if (reaped_) return;
        ::kill(pid_, SIGKILL);  // not reaped yet, so the number is still this child's
        reap();
    }

    int pidfd() const { return pidfd_.get(); }
    bool watchable() const { return static_cast<bool>(pidfd_); }
    bool reaped() const { return reaped_; }
    int status() const { return status_; }

    void reap() {
        while (::waitpid(pid_, &status_, 0) == -1 && errno == EINTR) {
        }
        reaped_ = true;
    }

private:
    pid_t pid_;
    Fd pidfd_;
    int status_ = 0;
    bool reaped_ = false;
};

constexpr std::array<std::string_view, 2> side_names{"first", "second"};

Probed<void> judge(const PairPlan& plan, const Child& child, std::size_t index,
                   const PairArea& area) {
    int status = child.status();
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
    std::string who = plan.name + ": the " + std::string(side_names[index]) + " process ";
    if (WIFEXITED(status) && WEXITSTATUS(status) == complained) {
        const Complaint& complaint = area.complaints[index];
        return fail(complaint.fault, who + "says: " + complaint.sentence.data());
    }
    if (WIFSIGNALED(status)) {
        return fail(ProbeFault::child_failed,
                    who + "was ended by signal " + std::to_string(WTERMSIG(status)));
    }
    return fail(ProbeFault::child_failed,
                who + "left with status " + std::to_string(WEXITSTATUS(status)));
}

// Waits for both in the order in which they end; the first failure ends the wait.
Probed<void> await(const PairPlan& plan, std::array<Child*, 2> children, const PairArea& area) {
    std::uint64_t deadline_ns = monotonic_ns() + plan.deadline_ns;
    while (!children[0]->reaped() || !children[1]->reaped()) {
        std::array<pollfd, 2> looks{};
        for (std::size_t i = 0; i < 2; ++i) {
            looks[i] = {children[i]->reaped() ? -1 : children[i]->pidfd(), POLLIN, 0};
        }
        std::uint64_t now_ns = monotonic_ns();
        if (now_ns >= deadline_ns) {
            return fail(ProbeFault::timed_out, plan.name + ": not done within " +
                                                   std::to_string(plan.deadline_ns / ns_per_ms) +
                                                   " ms; is another program using the processors?");
        }
        auto wait_ms = static_cast<int>((deadline_ns - now_ns) / ns_per_ms + 1);
        if (::poll(looks.data(), looks.size(), wait_ms) == -1 && errno != EINTR) {
            return fail_with_errno(ProbeFault::no_process, plan.name + ": poll");
        }
        for (std::size_t i = 0; i < 2; ++i) {
            if (children[i]->reaped() || (looks[i].revents & POLLIN) == 0) continue;
            children[i]->reap();
            Probed<void> verdict = judge(plan, *children[i], i, area);
            if (!verdict) return verdict;
        }
    }
    return {};
}

}  // namespace

void Meeting::begin() noexcept {
    // SYNC(probe_meeting) release: what this side prepared is visible before the other begins.
    arrived_.fetch_add(1, std::memory_order_release);
    // SYNC(probe_meeting) acquire: pairs with the other side's arrival above.
    while (arrived_.load(std::memory_order_acquire) < 2) ::sched_yield();
}

Probed<void> run_pair(const PairPlan& plan, const Side& first, const Side& second) {
    auto area = SharedArea::create(sizeof(PairArea));
    if (!area) return fail(area.error());
    PairArea& shared = area->front<PairArea>();
    pid_t parent = ::getpid();

    pid_t one = ::fork();
    if (one == 0) run_side(plan, first, 0, shared, parent);
    if (one == -1) return fail_with_errno(ProbeFault::no_process, plan.name + ": fork");
    Child first_child(one);

    pid_t two = ::fork();
    if (two == 0) run_side(plan, second, 1, shared, parent);
    if (two == -1) return fail_with_errno(ProbeFault::no_process, plan.name + ": fork");
    Child second_child(two);

    if (!first_child.watchable() || !second_child.watchable()) {
        return fail_with_errno(ProbeFault::no_process, plan.name + ": pidfd_open");
    }
    return await(plan, {&first_child, &second_child}, shared);
}

}  // namespace weir::bench
