// SPDX-License-Identifier: Apache-2.0
#include "shm/futex.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <ctime>

namespace weir {

FutexResult futex_wait(const std::atomic<std::uint32_t>& word, std::uint32_t expected,
                       std::uint64_t deadline_ns) noexcept {
    timespec deadline{};
    deadline.tv_sec = static_cast<time_t>(deadline_ns / 1'000'000'000);
    deadline.tv_nsec = static_cast<long>(deadline_ns % 1'000'000'000);
    // WAIT_BITSET takes an absolute time, so a signal does not stretch the wait. Not PRIVATE: the
    // word is shared between processes.
    const long result =
        syscall(SYS_futex, &word, FUTEX_WAIT_BITSET, expected,
                deadline_ns == no_deadline ? nullptr : &deadline, nullptr, FUTEX_BITSET_MATCH_ANY);
    if (result == 0) return FutexResult::woken;
    return errno == ETIMEDOUT ? FutexResult::timed_out : FutexResult::changed;  // EAGAIN, EINTR
}

int futex_wake(const std::atomic<std::uint32_t>& word, int count) noexcept {
    const long woken = syscall(SYS_futex, &word, FUTEX_WAKE, count, nullptr, nullptr, 0);
    return woken < 0 ? 0 : static_cast<int>(woken);  // EFAULT cannot be: the word is mapped here
}

}  // namespace weir
