// SPDX-License-Identifier: Apache-2.0
//
// See process_group.hpp. The parent watches its children through pidfds: no signal handler is
// touched, no other child of the caller is reaped, and a number cannot be reused before the wait.
#include "bench/probes/process_group.hpp"

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
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/clock.hpp"
#include "core/base/fd.hpp"

namespace weir::bench {
namespace {

// What a failed child leaves for its parent; written before it exits, read after it is reaped.
struct Complaint {
    ProbeFault fault;
    std::array<char, 240> sentence;
};

struct GroupArea {
    Meeting meeting;
    std::array<Complaint, group_members_max> complaints;
};

constexpr int complained = 3;  // exit status of a side that returned an error

void take_seat(const Placement& placement, Seat seat) noexcept {
    if (!placement.pinnable) return;
    if (seat == Seat::either) {
        pin_to_either(placement.processors);
    } else {
        pin_to(placement.processors[seat == Seat::first ? 0 : 1]);
    }
}

[[noreturn]] void run_side(const PairPlan& plan, const Member& member, std::size_t index,
                           GroupArea& area, pid_t parent) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(0);  // it died before the line above: P2
    take_seat(plan.placement, member.seat);
    Probed<void> done = member.side(area.meeting);
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

std::string side_name(std::size_t index) {
    constexpr std::array<std::string_view, 6> names{"first",  "second", "third",
                                                    "fourth", "fifth",  "sixth"};
    return index < names.size() ? std::string(names[index]) : std::to_string(index + 1) + "th";
}

Probed<void> judge(const PairPlan& plan, const Child& child, std::size_t index,
                   const GroupArea& area) {
    int status = child.status();
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
    std::string who = plan.name + ": the " + side_name(index) + " process ";
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

// Waits for all in the order in which they end; the first failure ends the wait.
Probed<void> await(const PairPlan& plan, std::span<Child* const> children, const GroupArea& area) {
    std::uint64_t deadline_ns = monotonic_ns() + plan.deadline_ns;
    std::size_t alive = children.size();
    while (alive != 0) {
        std::vector<pollfd> looks;
        for (const Child* child : children) {
            looks.push_back({child->reaped() ? -1 : child->pidfd(), POLLIN, 0});
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
        for (std::size_t i = 0; i < children.size(); ++i) {
            if (children[i]->reaped() || (looks[i].revents & POLLIN) == 0) continue;
            children[i]->reap();
            --alive;
            Probed<void> verdict = judge(plan, *children[i], i, area);
            if (!verdict) return verdict;
        }
    }
    return {};
}

}  // namespace

void Meeting::begin() noexcept {
    // SYNC(probe_meeting) release: what this side prepared is visible before another begins.
    arrived_.fetch_add(1, std::memory_order_release);
    // SYNC(probe_meeting) acquire: pairs with the other sides' arrivals above.
    while (arrived_.load(std::memory_order_acquire) < expected_) ::sched_yield();
}

Probed<void> run_group(const PairPlan& plan, std::span<const Member> members) {
    if (members.size() > group_members_max) {
        return fail(ProbeFault::not_possible, plan.name + ": too many processes");
    }
    auto area = SharedArea::create(sizeof(GroupArea));
    if (!area) return fail(area.error());
    GroupArea& shared = area->front<GroupArea>();
    shared.meeting.expect(static_cast<std::uint32_t>(members.size()));
    const pid_t parent = ::getpid();
    std::vector<std::unique_ptr<Child>> owned;
    std::vector<Child*> children;
    for (const Member& member : members) {
        const pid_t pid = ::fork();
        if (pid == 0) run_side(plan, member, owned.size(), shared, parent);
        if (pid == -1) return fail_with_errno(ProbeFault::no_process, plan.name + ": fork");
        children.push_back(owned.emplace_back(std::make_unique<Child>(pid)).get());
        if (!owned.back()->watchable()) {
            return fail_with_errno(ProbeFault::no_process, plan.name + ": pidfd_open");
        }
    }
    return await(plan, children, shared);
}

}  // namespace weir::bench
