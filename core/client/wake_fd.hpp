// SPDX-License-Identifier: Apache-2.0
//
// A descriptor for epoll that becomes readable when a sleep word is woken.
//
// The kernel lets a process wait on a word or on descriptors, not on both at once. Two ways bridge
// that, each in its own file:
//
//   wake_fd_ring.cpp     an io_uring instance of this process: it waits on the word (Linux 6.7),
//   and its
//                        descriptor is readable while a completion has not been taken
//   wake_fd_thread.cpp   a thread that waits on the word and writes to an eventfd (Linux 5.16),
//   where
//                        io_uring is too old or a container refuses it
//
// The broker's death ends both: the thread waits on its life word too, the ring for the end of its
// socket. (A ring that waited on the life word would take the kernel's only wake away from the
// others for as long as its process is stopped, or busy with something else.)
//
// Both end on their own after a while, because what should have woken may have died; where the
// broker looks after sleepers, and the kernel tells of its death (life.hpp), after a longer one.
//
//   F1  while armed, exactly one waiter stands at the word; after `disarm` none does. A waiter left
//   behind
//       would take a wake that was meant for somebody else
//   F2  the descriptor is readable from the end of a wait until the next `arm`, and before the
//   first
#ifndef WEIR_CORE_CLIENT_WAKE_FD_HPP
#define WEIR_CORE_CLIENT_WAKE_FD_HPP

#include <atomic>
#include <cstdint>
#include <memory>

#include "shm/futex.hpp"
#include "shm/life.hpp"

namespace weir::detail {

inline constexpr std::uint64_t wake_fd_period_ns = 1'000'000'000;
inline constexpr std::uint64_t wake_fd_period_looked_after_ns = 10 * wake_fd_period_ns;

// Where a broker shows that it lives. Nothing of it: nobody asks.
struct BrokerSigns {
    const LifeWord* life = nullptr;
    int socket = -1;

    bool looks_after_sleepers() const noexcept {
        // relaxed: nothing was published with it.
        return life != nullptr && is_looked_after(life->load(std::memory_order_relaxed));
    }
    std::uint64_t period_ns() const noexcept {
        return looks_after_sleepers() ? wake_fd_period_looked_after_ns : wake_fd_period_ns;
    }
};

// One thread at a time.
class WakeFd {
public:
    WakeFd() = default;
    virtual ~WakeFd() = default;
    WakeFd(const WakeFd&) = delete;
    WakeFd& operator=(const WakeFd&) = delete;

    // What this kernel offers, or null.
    static std::unique_ptr<WakeFd> make();

    virtual int fd() const noexcept = 0;
    // Makes it unreadable and begins to wait while the word holds what is expected, and the broker,
    // if one is given, lives. Not while armed.
    virtual void arm(const WaitedWord& word, const BrokerSigns& broker) noexcept = 0;
    // Ends the wait if it still goes on; it is readable afterwards. Harmless when not armed.
    virtual void disarm() noexcept = 0;
};

std::unique_ptr<WakeFd> make_wake_fd_ring();
std::unique_ptr<WakeFd> make_wake_fd_thread();

}  // namespace weir::detail

#endif
