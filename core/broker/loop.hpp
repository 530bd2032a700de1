// SPDX-License-Identifier: Apache-2.0
//
// The broker's one thread: what it waits for, and in which order it acts.
//
// Everything that can happen to a broker arrives at one io_uring instance: a connection, a packet,
// a death, a ring of the doorbell, a signal. A completion is never acted upon
// where it comes up; a bounded batch is taken, then handled one after the other, then the memory
// half has its turn, then the loop sleeps if nobody needs it:
//
//   take completions -> handle each -> tick, if due -> memory turn -> stop? -> sleep or look again
//        ^                                                                            |
//        +----------------------------------------------------------------------------+
//
// Going to sleep is the step that could lose a wake-up. Clients set a bit (what they need) and ring
// the doorbell only if `broker_asleep` is set. So the loop announces its sleep, looks at the bits
// once more, and only then waits (fall_asleep, may_sleep; signals.hpp, S2).
//
// Invariants
//   O1  each connection has at most one receive and one watch on its process in flight, and is
//       forgotten only when it has neither
//   O2  no completion is acted upon for a connection other than the one it was queued for: a token
//       carries the generation of its connection's number
//   O3  the loop blocks only between fall_asleep and awake
//   O4  nothing a client can do to a descriptor it shares with the broker makes the loop block or
//   spin
#ifndef WEIR_CORE_BROKER_LOOP_HPP
#define WEIR_CORE_BROKER_LOOP_HPP

#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <memory>
#include <vector>

#include "core/broker/sessions.hpp"
#include "core/broker/ticks.hpp"
#include "io/ring.hpp"

namespace weir::broker {

struct LoopInputs {
    int listener = -1;  // blocking: the ring waits, not the call
    int doorbell = -1;  // eventfd
    int signals = -1;   // signalfd, non-blocking
    bool ends_with_last_session = false;
    std::uint64_t first_session_ns = 10 * ns_per_s;  // how long such a broker waits for its first
};

class Loop {
public:
    Loop(io::Ring ring, MemoryHalf& memory, Sessions& sessions, LoopInputs inputs,
         const Clock& clock);

    // Serves until it is told to stop; what the stop discarded.
    Result<Discarded, Error<io::RingFailure>> run();

    // The ring, for files on disk: their tokens are below this prefix, their completions go to the
    // memory half.
    io::Ring& ring() noexcept { return ring_; }
    static io::Token disk_prefix() noexcept;
    // At the end: gives the disk's space back and waits for what the disk still has in hand (R3),
    // for so long at most.
    void end_disk(std::uint64_t patience_ns);

private:
    enum class Source : std::uint8_t { listener, doorbell, signals, receive, death, cancel, disk };

    // What the kernel writes into while a receive is in flight (O1).
    struct Line {
        protocol::Packet packet;
        iovec piece{};
        msghdr message{};
        alignas(
            cmsghdr) std::array<char, CMSG_SPACE(protocol::packet_fds_max * sizeof(int))> control{};
        std::uint32_t generation = 0;
        bool receiving = false;
        bool watching = false;
        bool cancelling = false;
    };

    io::Token token(Source source, ConnectionId id = 0) const;
    void arm();
    void handle(const io::Completion& completion);
    void accepted(const io::Completion& completion);
    void received(ConnectionId id, std::int32_t result);
    void rung();
    void signalled();
    void tick_if_due();
    // Queues what a connection lacks in its state, forgets it when it is over and idle.
    void tend(ConnectionId id);
    void look_whether_to_stop();
    Result<void, Error<io::RingFailure>> rest(bool more);

    MemoryHalf& memory_;
    Sessions& sessions_;
    LoopInputs inputs_;
    const Clock& clock_;
    std::vector<std::unique_ptr<Line>> lines_;
    std::uint64_t started_ns_;
    Ticks ticks_;
    bool accepting_ = false;
    bool stop_now_ = false;
    bool stopping_ = false;
    bool draining_ = false;
    bool ended_ = false;
    Discarded discarded_;
    // Last, so that it ends first: until then the kernel may write into the lines above.
    io::Ring ring_;
};

}  // namespace weir::broker

#endif
