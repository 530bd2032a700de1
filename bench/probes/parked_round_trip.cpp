// SPDX-License-Identifier: Apache-2.0
//
// See parked_round_trip.hpp.
#include "bench/probes/parked_round_trip.hpp"

#include <linux/futex.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

#include "bench/probes/process_pair.hpp"
#include "bench/probes/shared_area.hpp"
#include "core/base/fd.hpp"

namespace weir::bench {
namespace {

struct ParkedArea {
    alignas(apart) std::atomic<std::uint32_t> there;  // written by the first process
    alignas(apart) std::atomic<std::uint32_t> back;   // written by the second process
    alignas(apart) std::uint64_t elapsed_ns;          // by the first, read after its end
    Histogram ticks;                                  // by the first, read after its end
};

// One direction through a futex word.
struct FutexBell {
    std::atomic<std::uint32_t>& word;

    void ring(std::uint32_t turn) const noexcept {
        // SYNC(probe_parked) release: hands the turn over.
        word.store(turn, std::memory_order_release);
        ::syscall(SYS_futex, &word, FUTEX_WAKE, 1, nullptr, nullptr, 0);
    }
    bool await(std::uint32_t turn) const noexcept {
        for (;;) {
            // SYNC(probe_parked) acquire: pairs with the other side's turn.
            const std::uint32_t seen = word.load(std::memory_order_acquire);
            if (seen == turn) return true;
            // EAGAIN: the word changed first; EINTR: look again.
            ::syscall(SYS_futex, &word, FUTEX_WAIT, seen, nullptr, nullptr, 0);
        }
    }
};

// One direction through an eventfd.
struct EventBell {
    int fd;

    void ring(std::uint32_t) const noexcept {
        const std::uint64_t one = 1;
        // It can only fail when the counter is full, and it is emptied each turn.
        [[maybe_unused]] const ssize_t wrote = ::write(fd, &one, sizeof one);
    }
    bool await(std::uint32_t) const noexcept {
        std::uint64_t count = 0;
        for (;;) {
            if (::read(fd, &count, sizeof count) == sizeof count) return true;
            if (errno != EINTR) return false;
        }
    }
};

template <class Bell>
Probed<ParkedFigures> run_leg(const Stage& stage, ParkedArea& shared, const Bell& there,
                              const Bell& back, std::uint64_t round_trips) {
    const std::uint64_t warm_up = round_trips / 10 + 1;
    const std::uint64_t turns = warm_up + round_trips;
    const auto hung_up = [] { return fail(ProbeFault::child_failed, "the descriptor failed"); };
    const auto first = [&](Meeting& meeting) -> Probed<void> {
        meeting.begin();
        std::uint64_t began_ns = 0;
        for (std::uint64_t turn = 1; turn <= turns; ++turn) {
            if (turn == warm_up + 1) {
                began_ns = monotonic_ns();
                shared.ticks.clear();
            }
            const std::uint64_t from = stage.clock.now_ticks();
            there.ring(static_cast<std::uint32_t>(turn));
            if (!back.await(static_cast<std::uint32_t>(turn))) return hung_up();
            shared.ticks.record(stage.clock.sample_ticks(from, stage.clock.now_ticks()));
        }
        shared.elapsed_ns = monotonic_ns() - began_ns;
        return {};
    };
    const auto second = [&](Meeting& meeting) -> Probed<void> {
        meeting.begin();
        for (std::uint64_t turn = 1; turn <= turns; ++turn) {
            if (!there.await(static_cast<std::uint32_t>(turn))) return hung_up();
            back.ring(static_cast<std::uint32_t>(turn));
        }
        return {};
    };
    auto done = run_pair(stage.plan("parked round trip"), first, second);
    if (!done) return fail(done.error());
    return ParkedFigures{latency_figures(shared.ticks, stage.clock), shared.elapsed_ns};
}

}  // namespace

Probed<ParkedFigures> parked_round_trip(const Stage& stage, Parking parking,
                                        std::uint64_t round_trips) {
    auto area = SharedArea::create(sizeof(ParkedArea));
    if (!area) return fail(area.error());
    auto& shared = area->front<ParkedArea>();
    if (parking == Parking::futex) {
        return run_leg(stage, shared, FutexBell{shared.there}, FutexBell{shared.back}, round_trips);
    }
    const Fd there(::eventfd(0, EFD_CLOEXEC));
    const Fd back(::eventfd(0, EFD_CLOEXEC));
    if (!there || !back) return fail_with_errno(ProbeFault::no_process, "eventfd");
    return run_leg(stage, shared, EventBell{there.get()}, EventBell{back.get()}, round_trips);
}

}  // namespace weir::bench
