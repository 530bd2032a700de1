// SPDX-License-Identifier: Apache-2.0
//
// Two processes that run one leg of a benchmark against each other.
//
// Weir's users are processes, not threads, so every probe runs between two of them. run_pair()
// forks both, pins each to its processor, lets them meet, and waits for their end, at most until
// the deadline. What they measured they leave in shared memory.
//
// A side is a function that prepares (maps, populates, connects), calls meeting.begin(), which
// returns in both processes at once, and then does the work. It returns an error value when it
// cannot go on.
//
// Invariants
//   P1  when run_pair() returns, both processes have ended and are reaped
//   P2  when the thread that called it dies, the kernel kills both (PR_SET_PDEATHSIG)
//   P3  when one side fails, crashes or is late, the other is killed; the first failure is reported
//
// Fork copies the calling thread only: call it from a process without other threads.
#ifndef WEIR_BENCH_PROBES_PROCESS_PAIR_HPP
#define WEIR_BENCH_PROBES_PROCESS_PAIR_HPP

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>

#include "bench/probes/placement.hpp"
#include "bench/probes/probe_error.hpp"
#include "bench/probes/shared_area.hpp"

namespace weir::bench {

class Meeting {
public:
    // The last stop before the measured part; both processes leave it within a line transfer.
    void begin() noexcept;

private:
    alignas(apart) std::atomic<std::uint32_t> arrived_;  // written by both sides, once each
};

// Called once per leg, far from the measured path: a std::function costs nothing here.
using Side = std::function<Probed<void>(Meeting&)>;

struct PairPlan {
    std::string name;  // what the error sentence calls it
    Placement placement;
    std::uint64_t deadline_ns;
};

Probed<void> run_pair(const PairPlan& plan, const Side& first, const Side& second);

}  // namespace weir::bench

#endif  // WEIR_BENCH_PROBES_PROCESS_PAIR_HPP
