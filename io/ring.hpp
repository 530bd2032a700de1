// SPDX-License-Identifier: Apache-2.0
//
// One io_uring instance: everything a loop waits for, in one place.
//
// With io_uring a program writes what it wants into a queue it shares with the kernel, hands over
// a batch with one system call, and finds the outcomes in a second queue. A loop that waits for a
// listening socket, sessions, timers, dying processes and a disk needs nothing else to sleep on.
//
// An operation is named by its token, 64 bits that its caller chooses and that come back in each of
// its completions. Nothing is called back: drain() hands out a bounded number of completions, and
// the caller acts on them in its own turn, when its books are consistent.
//
//   ring.accept(listener.get(), token_of_listener);
//   for (;;) {
//       auto woken = ring.wait(duty_cycle_ns);
//       if (!woken) return woken.error();
//       for (const Completion& completion : ring.drain(64)) note(completion);
//       act();
//   }
//
// Invariants
//   R1  an operation completes at least once, exactly once if it is not a multishot one; one that
//       could not even be queued completes with the kernel's reason, as any other failed one does
//   R2  completions are handed out in the kernel's order, at most as many as asked for, none twice
//   R3  a buffer belongs to the kernel from the call until the completion. A destroyed ring has
//       ended what waits for sockets, events, timers and processes; its owner has to await what it
//       asked of a disk, which nobody can recall
//
// For one thread at a time. The kernel must be 5.19 or later (multishot accept).
#ifndef WEIR_IO_RING_HPP
#define WEIR_IO_RING_HPP

#include <sys/socket.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "core/base/result.hpp"

namespace weir::io {

// Chosen by the caller, opaque here. All values but the highest, which the library keeps.
using Token = std::uint64_t;

struct Completion {
    Token token;
    std::int32_t result;  // what the system call returns, or a negated errno
    std::uint32_t flags;

    // A multishot operation goes on. Without it the operation has ended and has to be queued anew.
    bool more() const noexcept;
};

enum class RingFailure {
    refused,    // by a sandbox or by the administrator
    too_old,    // the kernel lacks what is needed
    exhausted,  // memory, locked memory or descriptors
    lost,       // the kernel had no memory to keep a completion: the loop cannot be trusted further
};

enum class Wake {
    ready,        // there is something to drain
    timeout,      // nothing came in time
    interrupted,  // a signal, or a shortage the kernel calls temporary: look around, wait again
};

inline constexpr std::uint64_t no_timeout = UINT64_MAX;

// Why a ring was refused and what to do about it. `disabled` is what stands in
// /proc/sys/kernel/io_uring_disabled, empty where there is no such file.
Error<RingFailure> explain_refusal(int error, std::string_view disabled);

class Ring {
public:
    // `entries` operations are queued before a system call hands them over; any number can be in
    // flight. The kernel rounds it up to a power of two.
    static Result<Ring, Error<RingFailure>> create(unsigned entries);

    Ring(Ring&&) noexcept;
    Ring& operator=(Ring&&) noexcept;
    ~Ring();

    // The operations. Each is handed over by the next wait(), or earlier when the queue is full.

    // Multishot: one completion per connection, its result the new descriptor, non-blocking and
    // close-on-exec.
    void accept(int listener, Token token);
    // Received descriptors are close-on-exec.
    void receive(int socket, msghdr& message, int flags, Token token);
    // From the file's own position: for sockets, pipes and events.
    void read(int fd, std::span<std::byte> buffer, Token token);
    // Completes once, with the poll(2) events that came: for a pidfd that is the process's death.
    void poll(int fd, short events, Token token);
    // Ends what was queued under `target`, which completes with -ECANCELED; `token` completes with
    // 0, with -ENOENT if there was nothing, with -EALREADY if it was too late.
    void cancel(Token target, Token token);

    // Files. What may block the kernel does in threads of its own, never in this one. Paths and
    // pieces stay as they are until the completion (R3).
    void open(const char* path, int flags, unsigned mode, Token token);
    void close(int fd, Token token);
    void unlink(const char* path, Token token);
    void make_directory(const char* path, unsigned mode, Token token);
    void allocate(int fd, int mode, std::uint64_t offset, std::uint64_t bytes, Token token);
    void sync_data(int fd, Token token);
    // Gathered from, or scattered to, at most IOV_MAX pieces. One piece that lies in a registered
    // buffer goes the short way.
    void write_at(int fd, std::span<const iovec> pieces, std::uint64_t offset, Token token);
    void read_at(int fd, std::span<const iovec> pieces, std::uint64_t offset, Token token);

    // Registered buffers: memory that the kernel pins once instead of for each operation. They
    // count against RLIMIT_MEMLOCK, and one of them may not be larger than 1 GiB. Places are made
    // once, then filled in any order; what is refused (0 or a negated errno) is done without.
    int make_buffer_places(unsigned places);
    int register_buffer(unsigned place, std::span<std::byte> buffer);

    // Hands over what is queued and sleeps until there is a completion, at most `timeout_ns`.
    Result<Wake, Error<RingFailure>> wait(std::uint64_t timeout_ns = no_timeout);

    // Takes up to `count` completions; they stay readable until the next call of drain().
    std::span<const Completion> drain(std::size_t count);

private:
    struct Inside;

    explicit Ring(std::unique_ptr<Inside> inside) noexcept;

    std::unique_ptr<Inside> inside_;
};

}  // namespace weir::io

#endif  // WEIR_IO_RING_HPP
