// SPDX-License-Identifier: Apache-2.0
//
// Waiting on a word of shared memory. The word may lie in a read-only mapping: only the waker
// writes.
#ifndef WEIR_SHM_FUTEX_HPP
#define WEIR_SHM_FUTEX_HPP

#include <atomic>
#include <cstdint>
#include <span>

namespace weir {

enum class FutexResult {
    woken,      // a waker chose this waiter
    changed,    // the word did not hold `expected` when the kernel looked
    timed_out,  // the deadline passed
};

inline constexpr std::uint64_t no_deadline = ~std::uint64_t{0};

// Sleeps while `word` holds `expected`, until CLOCK_MONOTONIC reaches `deadline_ns`. A signal to
// this thread counts as `changed`: the caller looks again. Thread safe.
FutexResult futex_wait(const std::atomic<std::uint32_t>& word, std::uint32_t expected,
                       std::uint64_t deadline_ns) noexcept;

// One word of a wait on several, laid out as the kernel takes it (struct futex_waitv).
struct WaitedWord {
    std::uint64_t expected;
    std::uint64_t address;
    std::uint32_t flags;
    std::uint32_t reserved;
};
static_assert(sizeof(WaitedWord) == 24);

WaitedWord waited(const std::atomic<std::uint32_t>& word, std::uint32_t expected) noexcept;

// The same on several words: sleeps while each holds what is expected. `changed` says that one of
// them did not, `woken` that one of them was woken: the caller looks which. Where the kernel
// refuses it, a wait on the first word, for a second at most. Thread safe.
FutexResult futex_wait_any(std::span<const WaitedWord> words, std::uint64_t deadline_ns) noexcept;

// Whether the kernel can do that: since Linux 5.16, and not where a container refuses it. Asked
// once.
bool futex_waits_on_several() noexcept;

// Wakes at most `count` waiters of any process; how many it woke. Thread safe.
int futex_wake(const std::atomic<std::uint32_t>& word, int count) noexcept;

}  // namespace weir

#endif
