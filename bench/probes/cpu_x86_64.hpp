// SPDX-License-Identifier: Apache-2.0
//
// x86-64: the time stamp counter is the cheapest clock there is, about 10 ns a reading, a third of
// clock_gettime. It is believed where the processor calls it invariant: then it runs at one rate in
// every power state and does not stop. Instructions are written out, because a build for the
// family's baseline would turn a prefetch for writing into one for reading.
#ifndef WEIR_BENCH_PROBES_CPU_X86_64_HPP
#define WEIR_BENCH_PROBES_CPU_X86_64_HPP

#include <cpuid.h>
#include <x86intrin.h>

#include <cstdint>

namespace weir::bench::cpu {

inline void pause() noexcept { _mm_pause(); }

// The fence lets every earlier load finish first: without it the counter may be read before the
// answer that ends a measured interval has arrived.
inline std::uint64_t counter() noexcept {
    _mm_lfence();
    return __rdtsc();
}

inline bool counter_is_steady() noexcept {
    constexpr unsigned power_leaf = 0x8000'0007;
    constexpr unsigned invariant_bit = 1U << 8;
    unsigned a = 0;
    unsigned b = 0;
    unsigned c = 0;
    unsigned d = 0;
    return __get_cpuid(power_leaf, &a, &b, &c, &d) != 0 && (d & invariant_bit) != 0;
}

// Runs as a no-operation on processors of the family that do not know it.
inline void prefetch_for_write(const void* line) noexcept {
    asm volatile("prefetchw %0" : : "m"(*static_cast<const char*>(line)));
}

}  // namespace weir::bench::cpu

#endif  // WEIR_BENCH_PROBES_CPU_X86_64_HPP
