// SPDX-License-Identifier: Apache-2.0
//
// Which two processors a pair of processes runs on.
//
// What two cores cost each other depends on where they are: the same program differs by a factor of
// three between neighbours and sockets. So both processes are pinned, to two different cores rather
// than to two threads of one core, where the process may choose; and where pinning is refused or
// there is only one processor, the placement says so and the figures are not to be trusted.
#ifndef WEIR_BENCH_PROBES_PLACEMENT_HPP
#define WEIR_BENCH_PROBES_PLACEMENT_HPP

#include <array>

namespace weir::bench {

struct Placement {
    std::array<int, 2> processors{0, 0};  // of the first and the second process of a pair
    int usable_count = 1;                 // processors this process may run on
    bool pinnable = false;                // the kernel accepts the pinning
    bool siblings = false;                // the two are threads of one core

    // One processor cannot run both sides at once: they must give way to each other.
    bool shares_one() const noexcept { return usable_count < 2; }
};

// Looks at the affinity of this process, and tries the pinning without keeping it.
Placement choose_placement();

// Pins the calling thread; false where the kernel refuses.
bool pin_to(int processor) noexcept;
bool pin_to_either(const std::array<int, 2>& processors) noexcept;

}  // namespace weir::bench

#endif  // WEIR_BENCH_PROBES_PLACEMENT_HPP
