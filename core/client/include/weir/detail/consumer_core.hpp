// SPDX-License-Identifier: Apache-2.0
//
// What a consumer carries from message to message. Not part of the API: it stands in a public
// header because the way of a message is inline.
//
// A consumer has one thing *in hand*: the lane of a topic that it is reading, or the range of a
// queue's lane that it has claimed. As long as that gives messages, and for a bounded number of
// them, a poll takes the short way below. Everything else (other lanes, new lanes, new ranges,
// redelivered messages, expiry, pages that were passed) is the long way, `look_further`.
//
// Invariants
//   H1  `turns` is 0 whenever nothing is in hand: the short way needs no other question
//   H2  with automatic acknowledgement nothing but the last message given out is unacknowledged
//   H3  a message of the short way has no envelope (it might have expired) and lies in the same
//   page as
//       the one before (a page that was passed is the broker's news)
#ifndef WEIR_DETAIL_CONSUMER_CORE_HPP
#define WEIR_DETAIL_CONSUMER_CORE_HPP

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "shm/lane_reader.hpp"
#include "weir/detail/dense_pause.hpp"
#include "weir/detail/forks.hpp"
#include "weir/errors.hpp"
#include "weir/message.hpp"

namespace weir {

enum class Acknowledge {
    automatic,   // a message is acknowledged when the next one is asked for
    cumulative,  // by Message::acknowledge or Consumer::acknowledge, with all before it
};

enum class Waiting {
    balanced,  // looks for a short while if there are cores to spare (more than two), then sleeps
    spin,      // keeps looking: lowest latency, a core of its own
};

// How a consumer behaves. Each can also stand in the pattern, behind a `?`:
// queue://orders?consumer.prefetchSize=10&consumer.acknowledge=cumulative&consumer.waiting=spin
struct ConsumerOptions {
    // Messages of a queue it may hold unacknowledged, those it has taken but not given out
    // included. 1: one at a time. 0: takes one when asked, however many are unacknowledged.
    std::uint32_t prefetch = 100;
    std::uint64_t prefetch_bytes =
        0;  // the same in bytes; 0: no limit. One message is always allowed
    Acknowledge acknowledge = Acknowledge::automatic;
    Waiting waiting = Waiting::balanced;
    // Upper bound of the pause before the next look when messages arrive densely, so that the
    // consumer does not take each cache line from the producer that is writing it
    // (dense_pause.hpp). Only a stream of a GB/s and more meets the bound. 0: never pauses.
    std::chrono::nanoseconds dense_pause = std::chrono::microseconds(32);
};

struct ConsumerCounts {
    std::uint64_t received = 0;     // messages given out
    std::uint64_t redelivered = 0;  // of those: flagged as redelivered
    std::uint64_t expired = 0;      // passed over because their expiry had come
    std::uint64_t damaged = 0;      // places where a lane held nonsense that was passed over
    // Messages given up to make room: of a topic those that this consumer did not read and never
    // will, of a queue those that the queue lost while this consumer was there.
    std::uint64_t dropped = 0;
    // Messages that are gone because their page could not be read back from disk, or not as it was
    // written: of a topic those that this consumer had not read, of a queue those that the queue
    // lost while this consumer was there. The message behind each gap says how many lay in it
    // (Message::lost_before). Counts modulo 2^32.
    std::uint64_t lost = 0;
};

namespace detail {

class Connection;
class WakeFd;
struct Maker;  // makes handles over connections that are laid out by hand (core/client/open.hpp)
class TopicSource;
class QueueSource;

enum class Hand : std::uint8_t { nothing, lane, range };

struct ConsumerCore {
    ConsumerCore();
    ~ConsumerCore();
    ConsumerCore(const ConsumerCore&) = delete;
    ConsumerCore& operator=(const ConsumerCore&) = delete;

    // Consumer::poll: the short way if something is in hand. A word is loaded once; what it is
    // built from stays in registers (a view of it in memory costs more than all the rest: it is
    // written in two pieces and read as one).
    // Inlined by force: a message that is returned through memory is written and read once more.
    // `waits`: its caller waits if there is nothing, and then takes care of a pause that is due.
    [[gnu::always_inline]] Result<Message, ReceiveError> poll(bool waits = false) {
        if (turns == 0 || made_under_forks != forks()) [[unlikely]]
            return look_further(waits);
        --turns;
        if (automatic) acknowledge_last();
        const std::uint64_t word = reader->word_here();
        if (!reader->repeats(word)) [[unlikely]] {
            if (commit_envelope_words(word) != 0 || !reader->may_take(word)) [[unlikely]]
                return word == 0 && alone && !reader->at_page_end() ? found_nothing()
                                                                    : look_further(waits);
            reader->expect(word);
        }
        if (hand == Hand::range && !start_next(word)) [[unlikely]]
            return look_further(waits);
        const Position position = reader->position();
        const std::byte* const record = reader->take_expected();
        return Message(record, word, position, this, ++received, reader->lane(), false);
    }

    // Everything that was given out of what is in hand has been read.
    void acknowledge_last() noexcept {
        if (hand == Hand::lane) {
            // SYNC(cursor_set) release: everything before this position has been read.
            cursor->store(reader->position(), std::memory_order_release);
        } else {
            // SYNC(noted) release: the bytes of what is acknowledged here have been read.
            note->acknowledged.store(started, std::memory_order_release);
        }
    }

    // Marks the next message of the range in hand as given out. False: the range is at its end.
    bool start_next(std::uint64_t word) noexcept {
        if (bit == 0 || reader->position() + record_bytes_of(word) > range_to) return false;
        started |= bit;
        // relaxed: it only decides whether a message counts as delivered before.
        note->started.store(started, std::memory_order_relaxed);
        bit = bit == last_bit ? 0 : bit << 1;
        return true;
    }

    // A look at the only lane found nothing. Behind a burst the next look will pause first.
    Result<Message, ReceiveError> found_nothing() noexcept {
        if (received == received_when_empty) [[likely]] {  // as the look before
            pause_ns = dense_pause.behind(0, 0);
            return fail(ReceiveError::timed_out);
        }
        reader->caught_up();
        if (received - received_when_empty >= DensePause::dense_messages) turns = 0;
        note_burst();
        return fail(ReceiveError::timed_out);
    }
    // Whether it leaves its core to others instead of burning a pause.
    bool gives_way() const noexcept;
    bool behind_burst() const noexcept { return pause_ns != 0; }
    // A look found nothing: what came since the last such look was a burst.
    void note_burst() noexcept {
        const std::uint64_t messages = received - received_when_empty;
        const bool same_lane = hand == Hand::lane && reader == read_when_empty;
        // Of several lanes at once the messages are counted as small ones.
        const std::uint64_t bytes =
            same_lane ? reader->position() - position_when_empty : messages * cache_line;
        pause_ns = dense_pause.behind(messages, bytes);
        received_when_empty = received;
        read_when_empty = hand == Hand::lane ? reader : nullptr;
        position_when_empty = read_when_empty != nullptr ? reader->position() : 0;
    }

    // The long way of a poll.
    Result<Message, ReceiveError> look_further(bool waits);
    // One look at everything, without pause, arming or question whether the broker lives.
    Result<Message, ReceiveError> look_once();
    // Looks, sleeps, looks again, until there is a message or the deadline (CLOCK_MONOTONIC, ns)
    // comes.
    Result<Message, ReceiveError> wait(std::uint64_t deadline_ns);

    Result<Message, ReceiveError> look_into_queues();
    Result<Message, ReceiveError> spin(std::uint64_t until_ns, std::uint64_t deadline_ns);
    Result<Message, ReceiveError> yield(std::uint64_t deadline_ns);
    Result<Message, ReceiveError> park(std::uint64_t deadline_ns);
    // True: it was woken. False: the time for one sleep is over, or the broker has ended.
    bool sleep(std::uint32_t drawn_ticket, std::uint64_t deadline_ns) noexcept;
    Result<Message, ReceiveError> arm_and_look();
    void disarm() noexcept;
    void end_sleep(std::uint32_t drawn_ticket, bool found) noexcept;
    void open_new_queues();
    void pause() noexcept;

    Message give(const RecordView& record, bool redelivered) noexcept {
        if (redelivered) ++counts.redelivered;
        return Message(record.record, record.word, record.position, this, received, record.lane,
                       redelivered);
    }
    void drop_hand() noexcept {
        hand = Hand::nothing;
        turns = 0;
        alone = false;
    }
    // A page of this lane was read to its end.
    void passed(LaneId lane) noexcept;
    // The message received last comes behind a gap.
    void mark_lost(std::uint64_t messages);
    std::uint64_t lost_before(std::uint64_t serial) const noexcept;
    void count_expired() noexcept;
    void count_damaged(std::uint64_t places) noexcept;
    bool may_hold_more() const noexcept;
    // Acknowledges up to this message, which ends at `end` in its lane; serial `received`:
    // everything.
    void acknowledge(std::uint64_t serial, Position end) noexcept;
    std::string_view destination_of(LaneId lane);
    void close() noexcept;  // forgets its sources; the broker is told by the caller

    // Hot, private to this consumer.
    std::uint32_t turns = 0;  // polls left before the long way
    std::uint32_t made_under_forks = 0;
    Hand hand = Hand::nothing;
    bool automatic = true;
    bool alone = false;  // the lane in hand is the only one: a look there is a look everywhere
    LaneReader* reader = nullptr;
    ConsumerCell* cell = nullptr;
    std::atomic<std::uint64_t>* cursor = nullptr;  // lane in hand
    InFlightNote* note = nullptr;                  // range in hand
    std::uint64_t started = 0;                     // range in hand: mask of what was given out
    std::uint64_t bit = 0;       // range in hand: the next message's; 0: none is left
    std::uint64_t last_bit = 0;  // range in hand
    Position range_to = 0;       // range in hand
    std::uint64_t received = 0;  // serial number of the last message, those passed over included
    std::uint64_t received_when_empty = 0;  // at the last look that found nothing, as the next two
    const LaneReader* read_when_empty = nullptr;
    Position position_when_empty = 0;

    // Cold.
    bool open = false;
    DensePause dense_pause;
    std::uint64_t pause_ns = 0;       // before the next look
    std::uint64_t not_given_out = 0;  // of `received`: expired or damaged
    std::uint32_t empty_looks = 0;
    ConsumerOptions options;
    ConsumerCounts counts;
    std::string pattern;
    bool has_wildcards = false;
    std::atomic<std::uint32_t>* sleep_word = nullptr;
    std::shared_ptr<Connection> connection;
    std::unique_ptr<TopicSource> topic;
    std::vector<std::unique_ptr<QueueSource>> queues;
    std::size_t current_queue = 0;
    std::uint32_t seen_generation =
        0;  // pattern of queues: when destinations were last looked through
    std::map<std::pair<std::uint32_t, std::uint64_t>, std::string>
        names;  // pattern: by slot, birth
    std::unique_ptr<WakeFd> wake_fd;
    bool armed = false;
    std::uint32_t ticket = 0;  // of the announcement behind an armed wake_fd
    // Marks of gaps: a message that is not acknowledged yet, and how many are missing before it.
    std::vector<std::pair<std::uint64_t, std::uint64_t>> gaps;
};

}  // namespace detail
}  // namespace weir

#endif
