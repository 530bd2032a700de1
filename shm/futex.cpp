// SPDX-License-Identifier: Apache-2.0
#include "shm/futex.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <ctime>

#include "core/base/clock.hpp"

namespace weir {
namespace {

constexpr long futex_waitv_call = 449;  // not in Debian 12's headers of every architecture

// How long a wait on several words lasts where only one can be waited on.
constexpr std::uint64_t refused_wait_ns = ns_per_s;
constexpr std::uint32_t word_is_32_bits = 2;  // FUTEX_32; not private: shared memory

timespec time_of(std::uint64_t deadline_ns) noexcept {
    timespec deadline{};
    deadline.tv_sec = static_cast<time_t>(deadline_ns / 1'000'000'000);
    deadline.tv_nsec = static_cast<long>(deadline_ns % 1'000'000'000);
    return deadline;
}

FutexResult result_of(long outcome) noexcept {
    if (outcome >= 0) return FutexResult::woken;
    return errno == ETIMEDOUT ? FutexResult::timed_out : FutexResult::changed;  // EAGAIN, EINTR
}

}  // namespace

FutexResult futex_wait(const std::atomic<std::uint32_t>& word, std::uint32_t expected,
                       std::uint64_t deadline_ns) noexcept {
    const timespec deadline = time_of(deadline_ns);
    // WAIT_BITSET takes an absolute time, so a signal does not stretch the wait. Not PRIVATE: the
    // word is shared between processes.
    return result_of(syscall(SYS_futex, &word, FUTEX_WAIT_BITSET, expected,
                             deadline_ns == no_deadline ? nullptr : &deadline, nullptr,
                             FUTEX_BITSET_MATCH_ANY));
}

WaitedWord waited(const std::atomic<std::uint32_t>& word, std::uint32_t expected) noexcept {
    const auto address = reinterpret_cast<std::uint64_t>(&word);  // NOLINT: as the kernel takes it
    return {expected, address, word_is_32_bits, 0};
}

FutexResult futex_wait_any(std::span<const WaitedWord> words, std::uint64_t deadline_ns) noexcept {
    const timespec deadline = time_of(deadline_ns);
    const long outcome = syscall(futex_waitv_call, words.data(), words.size(), 0,
                                 deadline_ns == no_deadline ? nullptr : &deadline, CLOCK_MONOTONIC);
    if (outcome >= 0 || errno == EAGAIN || errno == EINTR || errno == ETIMEDOUT)
        return result_of(outcome);
    // Refused since it was asked for (a filter of system calls), or no memory.
    const auto* const first =
        reinterpret_cast<const std::atomic<std::uint32_t>*>(words.front().address);  // NOLINT
    return futex_wait(*first, static_cast<std::uint32_t>(words.front().expected),
                      std::min(deadline_ns, monotonic_ns() + refused_wait_ns));
}

bool futex_waits_on_several() noexcept {
    static const bool known = [] {
        // A wait that ends at once, because the word differs.
        const std::atomic<std::uint32_t> word{1};
        const std::array words{waited(word, 0), waited(word, 0)};
        return syscall(futex_waitv_call, words.data(), words.size(), 0, nullptr, CLOCK_MONOTONIC) <
                   0 &&
               errno == EAGAIN;
    }();
    return known;
}

int futex_wake(const std::atomic<std::uint32_t>& word, int count) noexcept {
    const long woken = syscall(SYS_futex, &word, FUTEX_WAKE, count, nullptr, nullptr, 0);
    return woken < 0 ? 0 : static_cast<int>(woken);  // EFAULT cannot be: the word is mapped here
}

}  // namespace weir
