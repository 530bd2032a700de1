// SPDX-License-Identifier: Apache-2.0
//
// Going to sleep and being woken, without a fence per message.
//
//   sleeper                                   producer
//   1  announces itself in the sleep word     a  publishes (commit word, ready byte)
//   2  membarrier                             b  compiler barrier
//   3  looks once more for messages           c  looks at the sleep word; a sleeper there: wakes
//   4  waits on the word
//
// Either step 3 sees what a wrote, or step c sees what 1 wrote: the membarrier stands for the fence
// that the producer leaves out.
//
//   sleep word    31                    12 11             0
//                 +-----------------------+---------------+
//                 | wakes so far          | sleepers      |
//                 +-----------------------+---------------+
//
//   Z1  sleepers >= processes that wait or are about to. Each wake of one takes one off and lets at
//       least one go: who waits is woken, who was about to finds the word's upper part changed.
//   Z2  a sleeper takes its own announcement back only if no wake happened since it made it: then
//       it is still there. Else it leaves it; a count that is too high costs a wasted wake, one too
//       low a message.
//   Z3  the upper part wraps after 2^20 wakes; to be missed, exactly that many must fall between
//       two loads of one sleeper, a second of nothing but wakes. That every sleep has an end, and
//       the broker's look around before it (watch.hpp), end even that.
#ifndef WEIR_SHM_SLEEP_HPP
#define WEIR_SHM_SLEEP_HPP

#include <array>
#include <climits>

#include "shm/futex.hpp"
#include "shm/life.hpp"

namespace weir {

inline constexpr std::uint32_t sleepers_mask = 0xfff;

constexpr std::uint32_t sleepers_of(std::uint32_t word) noexcept { return word & sleepers_mask; }
constexpr std::uint32_t wakes_of(std::uint32_t word) noexcept { return word >> 12; }

// Step 1. The result is the ticket for `sleep_on` and `stop_sleeping`.
inline std::uint32_t announce_sleep(std::atomic<std::uint32_t>& word) noexcept {
    // relaxed: a first guess for the swap.
    std::uint32_t seen = word.load(std::memory_order_relaxed);
    for (;;) {
        // A full count stays full: then the word is only ever too high (Z2).
        const std::uint32_t next = sleepers_of(seen) == sleepers_mask ? seen : seen + 1;
        // SYNC(sleeping) release: ordered before the look that follows by membarrier.
        if (word.compare_exchange_weak(seen, next, std::memory_order_acq_rel,
                                       std::memory_order_relaxed))  // relaxed: the next guess
            return next;
    }
}

// Takes the announcement back when the sleeper found work or its time is over.
inline void stop_sleeping(std::atomic<std::uint32_t>& word, std::uint32_t ticket) noexcept {
    // relaxed: a first guess for the swap.
    std::uint32_t seen = word.load(std::memory_order_relaxed);
    while (wakes_of(seen) == wakes_of(ticket) && sleepers_of(seen) != 0) {
        // SYNC(sleeping) release: nothing is published with it; same order as the announcement.
        if (word.compare_exchange_weak(seen, seen - 1, std::memory_order_acq_rel,
                                       std::memory_order_relaxed))  // relaxed: the next guess
            return;
    }
}

// Step 4. Sleeps until a wake happened since the ticket was drawn, or the deadline
// (CLOCK_MONOTONIC, ns). True: there was a wake, the announcement is used up. False: time out, it
// has been taken back.
inline bool sleep_on(std::atomic<std::uint32_t>& word, std::uint32_t ticket,
                     std::uint64_t deadline_ns) noexcept {
    for (;;) {
        // SYNC(sleeping) acquire: what the waker published before it woke is visible.
        const std::uint32_t seen = word.load(std::memory_order_acquire);
        if (wakes_of(seen) != wakes_of(ticket)) return true;
        // Other sleepers change the count: that is no wake, the wait is begun again with the new
        // word.
        switch (futex_wait(word, seen, deadline_ns)) {
            case FutexResult::woken: return true;
            case FutexResult::changed: break;
            case FutexResult::timed_out: stop_sleeping(word, ticket); return false;
        }
    }
}

// The same, ending also with the broker's life (life.hpp); then false as well. For who finds
// futex_waits_on_several(), and a life that is looked after or has ended.
inline bool sleep_on(std::atomic<std::uint32_t>& word, std::uint32_t ticket,
                     std::uint64_t deadline_ns, const LifeWord& life) noexcept {
    for (;;) {
        // First, also behind a wake: it may have come with the only one that the kernel gives.
        // relaxed: nothing was published with it.
        const std::uint32_t lived = life.load(std::memory_order_relaxed);
        if (has_ended(lived)) pass_on_the_end(life);
        // SYNC(sleeping) acquire: as above.
        const std::uint32_t seen = word.load(std::memory_order_acquire);
        if (wakes_of(seen) != wakes_of(ticket)) return true;
        const std::array words{waited(word, seen), waited(life, lived)};
        if (has_ended(lived) || futex_wait_any(words, deadline_ns) == FutexResult::timed_out) {
            stop_sleeping(word, ticket);
            return false;
        }
    }
}

// Step c. The load is all that a producer pays per record.
inline bool anyone_sleeps(const std::atomic<std::uint32_t>& word) noexcept {
    // relaxed: ordered behind the publication by the sleeper's membarrier.
    return sleepers_of(word.load(std::memory_order_relaxed)) != 0;
}

// Lets one sleeper go. False: nobody was announced.
inline bool wake_one(std::atomic<std::uint32_t>& word) noexcept {
    // relaxed: a first guess for the swap.
    std::uint32_t seen = word.load(std::memory_order_relaxed);
    while (sleepers_of(seen) != 0) {
        const std::uint32_t next = (seen + (1u << 12)) - 1;
        // SYNC(sleeping) release: what was published before is visible to who is woken.
        if (word.compare_exchange_weak(seen, next, std::memory_order_acq_rel,
                                       std::memory_order_relaxed)) {  // relaxed: the next guess
            if (futex_wake(word, 1) == 0) {
                // Nobody waited, and who was about to sees the changed upper part. If nobody
                // announced itself since, the rest of the count is left over (Z2) and would cost a
                // call per message.
                std::uint32_t left = next;
                // relaxed: failing means that there are new sleepers, whose count must stay.
                word.compare_exchange_strong(left, next & ~sleepers_mask,
                                             std::memory_order_relaxed);
            }
            return true;
        }
    }
    return false;
}

// Lets all sleepers go. False: nobody was announced.
inline bool wake_all(std::atomic<std::uint32_t>& word) noexcept {
    // relaxed: a first guess for the swap.
    std::uint32_t seen = word.load(std::memory_order_relaxed);
    while (sleepers_of(seen) != 0) {
        const std::uint32_t next = (seen & ~sleepers_mask) + (1u << 12);
        // SYNC(sleeping) release: what was published before is visible to who is woken.
        if (word.compare_exchange_weak(seen, next, std::memory_order_acq_rel,
                                       std::memory_order_relaxed)) {  // relaxed: the next guess
            futex_wake(word, INT_MAX);
            return true;
        }
    }
    return false;
}

// Lets all go that wait on the word, also those whose announcement somebody has wiped away. For
// who has reason to believe that a wake was missed: a system call in any case.
inline void wake_whoever_waits(std::atomic<std::uint32_t>& word) noexcept {
    // Two steps that nobody who writes to the word can prolong. Who announces himself between them
    // is left in the count, too high by him (Z2), and finds the word's upper part changed.
    // relaxed: a hint; the wake is the next step.
    word.fetch_and(~sleepers_mask, std::memory_order_relaxed);
    // SYNC(sleeping) release: what was published before is visible to who is woken.
    word.fetch_add(1u << 12, std::memory_order_acq_rel);
    futex_wake(word, INT_MAX);
}

}  // namespace weir

#endif
