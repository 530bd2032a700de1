// SPDX-License-Identifier: Apache-2.0
//
// Any other processor: no counter of its own, so every reading is a clock_gettime, and spinning
// goes on without a hint. The figures stay comparable, because Weir and the probes beside it are
// measured alike; they only carry more of the clock.
#ifndef WEIR_BENCH_PROBES_CPU_GENERIC_HPP
#define WEIR_BENCH_PROBES_CPU_GENERIC_HPP

#include <cstdint>

#include "core/base/clock.hpp"

namespace weir::bench::cpu {

inline void pause() noexcept {
    // barrier: only keeps the compiler from folding a spin loop into one look.
    asm volatile("" : : : "memory");
}

inline std::uint64_t counter() noexcept { return monotonic_ns(); }

inline bool counter_is_steady() noexcept { return false; }

inline void prefetch_for_write(const void* line) noexcept { __builtin_prefetch(line, 1); }

}  // namespace weir::bench::cpu

#endif  // WEIR_BENCH_PROBES_CPU_GENERIC_HPP
