// SPDX-License-Identifier: Apache-2.0
//
// How often this process went to sleep, woke somebody, or asked for a membarrier.
//
// Counted where the calls leave the process: the benchmark's program is linked with
// `--wrap=syscall`, so every call of syscall(2) in it and in the libraries linked into it passes
// the counting in counted.cpp. The C library's own locks do not, and neither does io_uring: only
// what Weir does by itself counts.
#ifndef WEIR_BENCH_SCENARIOS_COUNTED_HPP
#define WEIR_BENCH_SCENARIOS_COUNTED_HPP

#include <cstdint>

namespace weir::bench {

struct Calls {
    std::uint64_t waits = 0;     // FUTEX_WAIT in its forms, futex_waitv
    std::uint64_t wakes = 0;     // FUTEX_WAKE in its forms
    std::uint64_t barriers = 0;  // membarrier

    Calls operator-(const Calls& before) const noexcept {
        return {waits - before.waits, wakes - before.wakes, barriers - before.barriers};
    }
};

// Of this process since it began; a forked one goes on from its parent's.
Calls calls_so_far() noexcept;

}  // namespace weir::bench

#endif  // WEIR_BENCH_SCENARIOS_COUNTED_HPP
