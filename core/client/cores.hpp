// SPDX-License-Identifier: Apache-2.0
//
// Waiting as this process does it: how long to look before sleeping, and for how long to sleep at
// once.
//
// On a machine with two cores whoever spins takes the core that the other side, or the broker,
// would need to make progress. So a balanced wait looks for a while only if there are more than
// two, and parks early otherwise. A sleep is bounded, because the one who should wake it may have
// been killed in between.
#ifndef WEIR_CORE_CLIENT_CORES_HPP
#define WEIR_CORE_CLIENT_CORES_HPP

#include <atomic>
#include <cstdint>

namespace weir::detail {

inline constexpr std::uint64_t spin_ns = 20'000;  // about two futex round trips
inline constexpr std::uint64_t sleep_slice_default_ns = 1'000'000'000;

// The longest sleep without a look around, where nobody else looks. A test sets it to no_deadline,
// so that a lost wake-up shows as a wait without end instead of a delay.
inline std::atomic<std::uint64_t> sleep_slice_ns{sleep_slice_default_ns};
// So many slices at once, where the broker looks around for who sleeps (watch.hpp) and the kernel
// tells of the broker's death (life.hpp).
inline constexpr std::uint64_t slices_looked_after = 10;

// Cores this process may run on; asked of the kernel once.
unsigned usable_cores() noexcept;
inline bool may_spin() noexcept { return usable_cores() > 2; }

// A hint to the core that this is a waiting loop.
inline void relax() noexcept {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("isb");  // longer than yield, which most cores treat as nothing
#endif
}

// How many `relax` take as long as `span_ns`; measured once, against the monotonic clock.
std::uint32_t relaxes_in(std::uint64_t span_ns) noexcept;

// The end of a wait of `span_ns` that begins now (CLOCK_MONOTONIC).
std::uint64_t deadline_after(std::uint64_t span_ns) noexcept;
// Until when to sleep now: the next look around or the deadline, whichever is first.
std::uint64_t slice_before(std::uint64_t deadline_ns, std::uint64_t slices = 1) noexcept;

}  // namespace weir::detail

#endif
