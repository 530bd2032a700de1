// SPDX-License-Identifier: Apache-2.0
//
// Processes that run one leg of a benchmark together.
//
// Weir's users are processes, not threads, so every probe and every scenario runs between several
// of them. run_group() forks all, pins each to its processors, lets them meet, and waits for their
// end, at most until the deadline. What they measured they leave in shared memory.
//
// A side is a function that prepares (maps, populates, connects), calls meeting.begin(), which
// returns in all processes at once, and then does the work. It returns an error value when it
// cannot go on.
//
// Invariants
//   P1  when run_group() returns, all its processes have ended and are reaped
//   P2  when the thread that called it dies, the kernel kills them (PR_SET_PDEATHSIG)
//   P3  when one side fails, crashes or is late, the others are killed; the first failure is
//       reported
//
// Fork copies the calling thread only: call it from a process without other threads.
#ifndef WEIR_BENCH_PROBES_PROCESS_GROUP_HPP
#define WEIR_BENCH_PROBES_PROCESS_GROUP_HPP

#include <atomic>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "bench/probes/placement.hpp"
#include "bench/probes/probe_error.hpp"
#include "bench/probes/shared_area.hpp"

namespace weir::bench {

class Meeting {
public:
    // Before the sides are forked.
    void expect(std::uint32_t sides) noexcept { expected_ = sides; }
    // The last stop before the measured part; all leave it within a few line transfers.
    void begin() noexcept;

private:
    alignas(apart) std::atomic<std::uint32_t> arrived_;  // written by each side, once
    std::uint32_t expected_;                             // by the parent
};

// Called once per leg, far from the measured path: a std::function costs nothing here.
using Side = std::function<Probed<void>(Meeting&)>;

struct PairPlan {
    std::string name;  // what the error sentence calls it
    Placement placement;
    std::uint64_t deadline_ns;
};

// Where a member runs: on the first or the second processor of the placement, or on either.
enum class Seat { first, second, either };

struct Member {
    Side side;
    Seat seat;
};

inline constexpr std::size_t group_members_max = 64;

Probed<void> run_group(const PairPlan& plan, std::span<const Member> members);

}  // namespace weir::bench

#endif  // WEIR_BENCH_PROBES_PROCESS_GROUP_HPP
