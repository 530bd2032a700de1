// SPDX-License-Identifier: Apache-2.0
//
// A consumer that waits: for a moment by looking, then asleep on a sleep word (shm/sleep.hpp), or,
// for epoll, through a descriptor that waits on that word.
//
// Order of going to sleep: announce, membarrier, look once more, sleep. A wake that is used up by
// somebody who found work by himself could have been meant for other work: he passes it on
// (`end_sleep`).
#include <sched.h>

#include <algorithm>

#include "core/base/clock.hpp"
#include "core/client/connection.hpp"
#include "core/client/cores.hpp"
#include "core/client/queue_source.hpp"
#include "core/client/topic_source.hpp"
#include "core/client/wake_fd.hpp"
#include "shm/barrier.hpp"
#include "shm/sleep.hpp"

namespace weir::detail {
namespace {

// Looks between two clock readings of a spinning wait.
constexpr int looks_per_reading = 256;

}  // namespace

// Takes the announcement back. If a wake came in between it is used up: whoever was meant with it,
// and whatever for, is found by looking for work that is left.
void ConsumerCore::end_sleep(std::uint32_t drawn_ticket, bool found) noexcept {
    stop_sleeping(*sleep_word, drawn_ticket);
    // SYNC(sleeping) acquire: what was published before a wake that used up the ticket is visible.
    const std::uint32_t now = sleep_word->load(std::memory_order_acquire);
    if (!found || wakes_of(now) == wakes_of(drawn_ticket)) return;
    for (const auto& queue : queues) queue->offer_work(*this);
}

bool ConsumerCore::gives_way() const noexcept {
    return options.waiting == Waiting::balanced && !may_spin();
}

Result<Message, ReceiveError> ConsumerCore::spin(std::uint64_t until_ns,
                                                 std::uint64_t deadline_ns) {
    for (;;) {
        for (int look = 0; look < looks_per_reading; ++look) {
            auto message = poll();
            if (message || message.error() != ReceiveError::timed_out) return message;
        }
        const std::uint64_t now = monotonic_ns();
        if (now >= until_ns || now >= deadline_ns) return fail(ReceiveError::timed_out);
    }
}

// Behind a dense burst the next one is near, and whoever writes it may wait for this core: giving
// it away costs less than to be woken for each few messages. Without anybody to give it to it is a
// bounded wait.
Result<Message, ReceiveError> ConsumerCore::yield(std::uint64_t deadline_ns) {
    const std::uint64_t until_ns = std::min(deadline_after(spin_ns), deadline_ns);
    do {
        pause_ns = 0;  // others get what a pause would burn
        ::sched_yield();
        auto message = poll();
        if (message || message.error() != ReceiveError::timed_out) return message;
    } while (monotonic_ns() < until_ns);
    return fail(ReceiveError::timed_out);
}

bool ConsumerCore::sleep(std::uint32_t drawn_ticket, std::uint64_t deadline_ns) noexcept {
    const LifeWord& life = connection->control().superblock().life;
    // relaxed: nothing was published with it.
    const std::uint32_t lived = life.load(std::memory_order_relaxed);
    if (futex_waits_on_several() && (is_looked_after(lived) || has_ended(lived)))
        return sleep_on(*sleep_word, drawn_ticket, slice_before(deadline_ns, slices_looked_after),
                        life);
    return sleep_on(*sleep_word, drawn_ticket, slice_before(deadline_ns));
}

Result<Message, ReceiveError> ConsumerCore::park(std::uint64_t deadline_ns) {
    for (;;) {
        const std::uint32_t drawn = announce_sleep(*sleep_word);
        // barrier: stands for the fence that producers leave out between publishing and looking at
        // the sleep word (sleep.hpp).
        barrier_everywhere();
        auto message = look_once();
        if (message) {
            end_sleep(drawn, true);
            return message;
        }
        if (message.error() != ReceiveError::timed_out || !connection->alive()) {
            end_sleep(drawn, false);
            if (message.error() != ReceiveError::timed_out) return message;
            return fail(ReceiveError::broker_down);
        }
        if (topic != nullptr) topic->leave(*this);
        const bool woken = sleep(drawn, deadline_ns);
        message = look_once();
        if (message) {
            for (const auto& queue : queues)
                if (woken) queue->offer_work(*this);
            return message;
        }
        if (message.error() != ReceiveError::timed_out) return message;
        if (!woken && monotonic_ns() >= deadline_ns) return fail(ReceiveError::timed_out);
    }
}

Result<Message, ReceiveError> ConsumerCore::wait(std::uint64_t deadline_ns) {
    if (!may_hold_more()) {
        // Nothing can come: only this thread could acknowledge. A wait with an end is waited out.
        if (deadline_ns != no_deadline) {
            const std::atomic<std::uint32_t> nobody_wakes{0};
            while (futex_wait(nobody_wakes, 0, deadline_ns) != FutexResult::timed_out) continue;
        }
        return fail(ReceiveError::timed_out);
    }
    if (armed) disarm();
    if (options.waiting == Waiting::spin) return spin(no_deadline, deadline_ns);
    if (may_spin() || behind_burst()) {
        auto message = may_spin() ? spin(deadline_after(spin_ns), deadline_ns) : yield(deadline_ns);
        if (message || message.error() != ReceiveError::timed_out) return message;
    }
    if (armed) disarm();  // a look on the way armed it, and a wake is for one sleeper
    return park(deadline_ns);
}

// The descriptor is unreadable from here on until something is published, or its period ends.
Result<Message, ReceiveError> ConsumerCore::arm_and_look() {
    if (topic != nullptr) topic->leave(*this);
    ticket = announce_sleep(*sleep_word);
    // barrier: as in park.
    barrier_everywhere();
    if (auto message = look_once()) {
        end_sleep(ticket, true);
        return message;
    } else if (message.error() != ReceiveError::timed_out) {
        end_sleep(ticket, false);
        return message;
    }
    if (topic != nullptr) topic->leave(*this);
    // SYNC(sleeping) acquire: the word as it is to stay; a wake since the ticket shows in it.
    const std::uint32_t now = sleep_word->load(std::memory_order_acquire);
    // A word that has been woken differs from the ticket: the wait then ends at once.
    const bool woken = wakes_of(now) != wakes_of(ticket);
    wake_fd->arm(waited(*sleep_word, woken ? ticket : now), connection->signs());
    armed = true;
    return fail(connection->alive() ? ReceiveError::timed_out : ReceiveError::broker_down);
}

void ConsumerCore::disarm() noexcept {
    if (!armed) return;
    armed = false;
    wake_fd->disarm();
    end_sleep(ticket, true);
}

}  // namespace weir::detail
