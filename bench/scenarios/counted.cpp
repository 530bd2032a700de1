// SPDX-License-Identifier: Apache-2.0
//
// See counted.hpp. The processes of a leg have one thread each that calls; a client's wake thread
// may call beside it, hence the atomics.
#include "bench/scenarios/counted.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>

#include <atomic>
#include <cstdarg>

namespace {

std::atomic<std::uint64_t> waits{0};
std::atomic<std::uint64_t> wakes{0};
std::atomic<std::uint64_t> barriers{0};

#ifdef SYS_futex_waitv
constexpr long waitv_number = SYS_futex_waitv;
#else
constexpr long waitv_number = 449;  // the same on every architecture
#endif

void count(long number, long operation) noexcept {
    // relaxed: counters; nothing else is ordered by them.
    constexpr auto step = [](std::atomic<std::uint64_t>& counter) {
        counter.fetch_add(1, std::memory_order_relaxed);  // relaxed: as above
    };
    if (number == SYS_membarrier) return step(barriers);  // barrier: counted, not made
    if (number == waitv_number) return step(waits);
    if (number != SYS_futex) return;
    switch (operation & FUTEX_CMD_MASK) {
        case FUTEX_WAIT:
        case FUTEX_WAIT_BITSET: return step(waits);
        case FUTEX_WAKE:
        case FUTEX_WAKE_BITSET: return step(wakes);
        default: return;
    }
}

}  // namespace

extern "C" {

long __real_syscall(long number, ...);

// Every system call takes at most six words; those that take fewer ignore the rest.
long __wrap_syscall(long number, ...) {
    va_list list;
    va_start(list, number);
    long words[6];
    for (long& word : words) word = va_arg(list, long);
    va_end(list);
    count(number, words[1]);
    return __real_syscall(number, words[0], words[1], words[2], words[3], words[4], words[5]);
}

}  // extern "C"

namespace weir::bench {

Calls calls_so_far() noexcept {
    // relaxed: all three are read by whoever made the calls.
    Calls calls;
    calls.waits = waits.load(std::memory_order_relaxed);        // relaxed: as above
    calls.wakes = wakes.load(std::memory_order_relaxed);        // relaxed: as above
    calls.barriers = barriers.load(std::memory_order_relaxed);  // relaxed: as above
    return calls;
}

}  // namespace weir::bench
