// SPDX-License-Identifier: Apache-2.0
//
// What a producer carries from message to message. Not part of the API: it stands in a public
// header because the way of a message is inline.
//
// Invariants
//   P1  `plain_limit` is 0 whenever a payload may not simply be copied into a record: before the
//       lane is open, after it was closed, while each message gets a timestamp, and while the lane
//       is metered. So the short way asks once
//   P2  `ask_at` is the tail from which on the broker is asked for more pages; at most once per
//   page
#ifndef WEIR_DETAIL_PRODUCER_CORE_HPP
#define WEIR_DETAIL_PRODUCER_CORE_HPP

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "shm/lane_writer.hpp"
#include "shm/signals.hpp"
#include "shm/sleep.hpp"
#include "weir/detail/forks.hpp"
#include "weir/envelope.hpp"
#include "weir/errors.hpp"

namespace weir {

// What a send does when the broker has granted no room. The caller's choice wins over the policy's.
enum class OnFull {
    policy,  // what the destination's policy says, which is to wait if nobody said anything else
    wait,    // waits, with or without a timeout
    fail,    // asks the broker once and returns SendError::no_grant
    // Makes room by giving up the oldest messages of the destination that nobody holds: a ring.
    // Where that is no help (nothing is left to give up) it fails; where only time helps (a rate)
    // it waits.
    drop_oldest,
    // Gives up the message that was to be sent, counts it (Producer::dropped) and succeeds. A claim
    // returns SendError::dropped instead, because there is no place to write to.
    drop_newest,
};

// How a producer behaves. Each can also stand in the destination's name, behind a `?`:
// queue://orders?producer.onFull=dropOldest&producer.timeout=2s&producer.timestamps=true
struct ProducerOptions {
    OnFull on_full = OnFull::policy;
    // Of a wait, also of one that the policy chose; none: for ever, or as long as the policy says.
    std::optional<std::chrono::nanoseconds> timeout = {};
    bool timestamps = false;  // adds the time to each message: a clock reading and 16 bytes
};

// Who holds what a send waits for.
struct WaitHolder {
    std::string destination;
    std::uint32_t pid = 0;    // of the producer; 0: it has left
    std::string name;         // of its session
    std::uint64_t bytes = 0;  // of direct memory
};

// For one send: wins over the producer's options.
struct SendOptions {
    OnFull on_full = OnFull::policy;
    std::optional<std::chrono::nanoseconds> timeout = {};
};

// Why and how long the last send waited.
struct WaitInfo {
    WaitReason reason = WaitReason::none;
    std::uint64_t waited_ns = 0;
    std::uint64_t direct_used = 0;      // bytes, when the wait ended
    std::uint64_t direct_capacity = 0;  // bytes
    // At the limit that was met, as the broker saw it last; level none: it did not say.
    LimitLevel level = LimitLevel::none;
    std::uint64_t used = 0;           // bytes; for a depth messages, for a rate nothing
    std::uint64_t capacity = 0;       // as above
    std::uint64_t since_ns = 0;       // CLOCK_MONOTONIC: producers of this destination wait
    std::vector<WaitHolder> holders;  // the three largest
    Freeable freeable = Freeable::by_several;  // whose reading could free it
    bool only_this_process = false;  // this one's alone: it waits for what it holds itself
    std::string sentence;            // for people: what is full and what to do
};

namespace detail {

class Connection;
class WakeFd;
struct Maker;  // makes handles over connections that are laid out by hand (core/client/open.hpp)

inline constexpr Position never = ~Position{0};

// What a record needs: its bytes in all, and of those the payload and what stands in front of it.
struct RoomNeeded {
    std::uint64_t bytes = 0;
    std::uint64_t payload = 0;
    std::uint64_t before_payload = commit_word_bytes;
    std::uint64_t alignment = 8;  // of the payload's address
};

struct ProducerCore {
    ProducerCore();
    ~ProducerCore();
    ProducerCore(const ProducerCore&) = delete;
    ProducerCore& operator=(const ProducerCore&) = delete;

    // After a commit: lets those who wait for messages know. Loads of lines that seldom change.
    void let_sleepers_know() noexcept {
        // barrier: the record is stored before the words below are loaded, in program order; the
        // sleeper's and the broker's membarrier supply the rest (sleep.hpp, signals.hpp S1).
        std::atomic_signal_fence(std::memory_order_seq_cst);
        // relaxed: a hint; the record itself is published by its commit word.
        if (ready->load(std::memory_order_relaxed) == 0) [[unlikely]]
            ready->store(1, std::memory_order_relaxed);  // relaxed: as above
        if (anyone_sleeps(*sleepers) || anyone_sleeps(*anyone)) [[unlikely]]
            wake();
    }
    // The same, and asks the broker for more pages when it is time.
    void hint() noexcept {
        let_sleepers_know();
        if (writer.tail() >= ask_at) [[unlikely]]
            ask_ahead();
    }
    // Where the short way of a send ends, because the next one has to ask.
    void ask_from(Position tail) noexcept {
        ask_at = tail;
        writer.end_short_way_at(tail);
    }

    void wake() noexcept;
    void ask_ahead() noexcept;  // tells the broker that the window runs low, if it does
    void ask() noexcept;        // sets the need bit, rings if the broker sleeps

    // A claim in the current or the next page, waiting for the broker where that is wanted.
    Result<std::byte*, SendError> room(const RoomNeeded& need);
    // What this send does if there is no grant, and until when it waits.
    struct Choice {
        Overflow on_full = Overflow::block;
        std::uint64_t deadline_ns = 0;
    };
    Choice choice() const noexcept;
    std::optional<SendError> wait_for_grant(const RoomNeeded& need, std::uint64_t bytes,
                                            const Choice& choice);
    SendError refuse(Overflow on_full) noexcept;
    // True while a broker that has just refused as much would only say the same again.
    bool refusal_stands(std::uint64_t bytes) const noexcept;
    // Rates and depths: what may be sent beside the stop (LaneSlot.message_stop).
    bool metered() const noexcept;
    bool meter_allows(std::uint64_t payload) const noexcept;
    // Enters the next granted page, mapped before it is written.
    ClaimStatus advance(std::uint64_t bytes) noexcept;
    bool may_go_on(const RoomNeeded& need, std::uint64_t bytes) noexcept;
    std::optional<SendError> refusal(std::uint64_t payload, std::uint64_t envelope) noexcept;
    void look_at_policy() noexcept;
    void close() noexcept;  // forgets the lane; the broker is told by the caller

    // Hot, private to this producer.
    LaneWriter writer;
    std::uint64_t plain_limit = 0;  // payloads shorter than this take the short way
    Position ask_at = never;
    std::atomic<std::uint8_t>* ready = nullptr;
    std::atomic<std::uint32_t>* sleepers = nullptr;
    std::atomic<std::uint32_t>* anyone = nullptr;
    std::uint32_t made_under_forks = 0;

    // Cold.
    bool open = false;
    DestinationKind kind = DestinationKind::queue;
    LaneId lane = 0;
    std::uint32_t destination_slot = 0;
    const LaneSlot* slot = nullptr;
    ProducerCell* cell = nullptr;
    std::uint64_t largest = 0;  // payload plus envelope, bytes
    std::string destination;
    ProducerOptions options;
    std::optional<WaitInfo> last_wait;
    std::shared_ptr<Connection> connection;
    std::unique_ptr<WakeFd> wake_fd;
    const PolicySlot* policy = nullptr;
    std::uint64_t sent_messages = 0;  // while metered: claimed
    std::uint64_t sent_payload = 0;
    std::uint64_t dropped = 0;        // given up unsent
    std::uint64_t refused_bytes = 0;  // the last refusal: how much, under which step of `grants`,
    std::uint32_t refused_grants = 0;
    std::uint64_t refused_until_ns = 0;  // and how long it is believed
};

}  // namespace detail
}  // namespace weir

#endif
