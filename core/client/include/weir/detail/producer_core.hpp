// SPDX-License-Identifier: Apache-2.0
//
// What a producer carries from message to message. Not part of the API: it stands in a public
// header because the way of a message is inline.
//
// Invariants
//   P1  `plain_limit` is 0 whenever a payload may not simply be copied into a record: before the
//   lane is
//       open, after it was closed, and while each message gets a timestamp. So the short way asks
//       once
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

// What a send does when the broker has granted no room.
enum class OnFull {
    wait,  // waits, with or without ProducerOptions::timeout
    fail,  // asks the broker once and returns SendError::no_grant
};

// How a producer behaves. Each can also stand in the destination's name, behind a `?`:
// queue://orders?producer.onFull=fail&producer.timeout=2s&producer.timestamps=true
struct ProducerOptions {
    OnFull on_full = OnFull::wait;
    std::optional<std::chrono::nanoseconds> timeout = {};  // of a wait; none: for ever
    bool timestamps = false;  // adds the time to each message: a clock reading and 16 bytes
};

// Who holds what a send waits for.
struct WaitHolder {
    std::string destination;
    std::uint32_t pid = 0;    // of the producer; 0: it has left
    std::string name;         // of its session
    std::uint64_t bytes = 0;  // of direct memory
};

// Why and how long the last send waited.
struct WaitInfo {
    WaitReason reason = WaitReason::none;
    std::uint64_t waited_ns = 0;
    std::uint64_t direct_used = 0;      // bytes, when the wait ended
    std::uint64_t direct_capacity = 0;  // bytes
    // At the limit that was met, as the broker saw it last; level none: it did not say.
    LimitLevel level = LimitLevel::none;
    std::uint64_t used = 0;           // bytes
    std::uint64_t capacity = 0;       // bytes
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

    // A claim of `bytes` in the current or the next page, waiting for the broker where that is
    // wanted.
    Result<std::byte*, SendError> room(std::uint64_t bytes, std::uint64_t aligned_to,
                                       std::uint64_t before_payload);
    std::optional<SendError> wait_for_grant(std::uint64_t bytes, std::uint64_t deadline_ns);
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
};

}  // namespace detail
}  // namespace weir

#endif
