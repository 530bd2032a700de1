// SPDX-License-Identifier: Apache-2.0
//
// The smallest group: two processes that run one leg against each other, each on a processor of its
// own where there are two. See process_group.hpp for what holds when it returns.
#ifndef WEIR_BENCH_PROBES_PROCESS_PAIR_HPP
#define WEIR_BENCH_PROBES_PROCESS_PAIR_HPP

#include <array>

#include "bench/probes/process_group.hpp"

namespace weir::bench {

inline Probed<void> run_pair(const PairPlan& plan, const Side& first, const Side& second) {
    const std::array<Member, 2> members{Member{first, Seat::first}, Member{second, Seat::second}};
    return run_group(plan, members);
}

}  // namespace weir::bench

#endif  // WEIR_BENCH_PROBES_PROCESS_PAIR_HPP
