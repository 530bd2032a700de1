// SPDX-License-Identifier: Apache-2.0
//
// Reading one queue: the consumer's part of its shared subscription.
//
// Ranges of up to 64 messages are claimed from the queue's lanes in turn (shm/claims.hpp) and then
// given out one by one. What the broker assigned for redelivery goes before anything new.
//
//   held notes     | oldest ........ | ........ | being read |      each an InFlightNote in the
//   exchange
//                    given out, not    ...        given out in part
//                    acknowledged
//
// Invariants
//   Q1  notes are read one after the other, so serial numbers grow along the row of held notes
//   Q2  `unacknowledged_` is the number of due and not acknowledged messages of all held notes, and
//   never
//       grows above the prefetch by claiming
//   Q3  a note is freed when every message that is due in it is acknowledged, never before
//   Q4  who leaves messages behind that somebody who sleeps could take wakes the next (sleep.hpp)
//   Q5  its piece begins with a few notes and is exchanged for a wider one when all are held and
//       there is something to take; between ranges only, when nobody has a note in hand
//   Q6  what others left behind goes before anything new: ranges for which the broker found no
//       place are asked for, by a wider piece, before one is claimed
#ifndef WEIR_CORE_CLIENT_QUEUE_SOURCE_HPP
#define WEIR_CORE_CLIENT_QUEUE_SOURCE_HPP

#include <vector>

#include "core/client/connection.hpp"
#include "shm/assignment.hpp"
#include "shm/shared_reader.hpp"

namespace weir::detail {

// With how many notes a consumer begins.
std::uint32_t notes_at_first(const ConsumerOptions& options) noexcept;

class QueueSource {
public:
    QueueSource(Connection& connection, OpenedConsumer opened, const ConsumerOptions& options);

    // The next message: of the range in hand, of an assignment, of a new range.
    Result<Message, ReceiveError> look(ConsumerCore& core);
    // Ends the range in hand if nothing of it is left; with automatic acknowledgement it is then
    // freed.
    void settle(ConsumerCore& core) noexcept;
    // Something of the range in hand is still to be given out.
    bool in_hand() const noexcept { return reading_; }
    // Acknowledges all messages up to this serial number.
    void acknowledge(ConsumerCore& core, std::uint64_t serial) noexcept;
    // Wakes a sleeping consumer of this queue if there is something for it (Q4).
    void offer_work(ConsumerCore& core) noexcept;
    // False while prefetch or notes are used up.
    bool may_claim() const noexcept { return limit() != 0; }
    // Nothing is held: neither given out nor kept for later.
    bool holds_nothing() const noexcept { return held_count_ == 0; }

    std::uint32_t subscription() const noexcept { return opened_.answer.subscription; }
    std::uint32_t destination() const noexcept { return opened_.answer.destination - 1; }

private:
    struct Lane {
        LaneId id = 0;
        std::uint64_t birth = 0;
        SharedReader reader;
        Position page_start = 0;  // of the page the last range came from
        Position damaged_at = 0;  // the cursor when damage was last counted
        std::uint64_t lost = 0;   // of a gap whose range held nothing to give out
    };
    struct Held {
        std::uint32_t note = 0;
        LaneId lane = 0;
        std::uint32_t count = 0;
        bool assigned = false;
        std::uint64_t first_serial = 0;
        std::uint64_t due = 0;
        std::uint64_t acknowledged = 0;
        std::uint64_t started = 0;  // of the note being read: in ConsumerCore
        std::uint64_t redelivered = 0;
        std::uint64_t bytes = 0;
        Position page_start = 0;
        std::uint64_t lost = 0;  // missing before the next message that is given out
    };

    Result<Message, ReceiveError> next_of_range(ConsumerCore& core);
    bool take_assigned(ConsumerCore& core);
    bool claim(ConsumerCore& core);
    bool claim_from(ConsumerCore& core, Lane& lane, std::uint32_t most);
    bool claim_range(ConsumerCore& core, Lane& lane, std::uint32_t most, std::uint64_t bytes);
    void begin(ConsumerCore& core, const Held& held, const LaneReader& reader, Position to);
    void give_up_rest(ConsumerCore& core) noexcept;
    void mark_acknowledged(ConsumerCore& core, Held& held, std::uint64_t mask) noexcept;
    void free_front(ConsumerCore& core) noexcept;
    void keep_mark(const Held& held) noexcept;
    bool given_out_is_at_limit(const ConsumerCore& core) noexcept;
    std::uint32_t limit() const noexcept;
    std::uint64_t bytes_limit() const noexcept;
    bool widen(ConsumerCore& core, std::uint32_t notes);
    bool have_note(ConsumerCore& core);
    bool ask_for_ranges(ConsumerCore& core);
    bool may_widen() const noexcept;
    bool work_is_left(ConsumerCore& core) noexcept;
    void refresh();
    std::atomic<std::uint32_t>& sleep_word() const noexcept;

    Held& held(std::size_t index) noexcept { return held_[(held_first_ + index) % held_.size()]; }
    Held& newest() noexcept { return held(held_count_ - 1); }

    Connection* connection_;
    OpenedConsumer opened_;
    ClaimsView claims_;
    std::uint32_t prefetch_;
    std::uint64_t prefetch_bytes_;
    std::uint32_t notes_most_;
    std::uint64_t widen_from_ns_ = 0;  // a wider piece was refused: not before
    bool lost_ = false;                // its piece is not known any more (connection.hpp, N4)
    std::uint32_t seen_generation_ = 0;
    bool stale_ = true;
    // The last claim, whose cursor may still name this consumer (claims.hpp, K4). None: 0.
    LaneId last_lane_ = 0;
    Position last_to_ = 0;
    std::vector<Lane> lanes_;
    std::size_t next_lane_ = 0;

    std::vector<Held> held_;  // a ring, oldest first
    std::size_t held_first_ = 0;
    std::size_t held_count_ = 0;
    std::vector<std::uint32_t> free_notes_;
    std::uint64_t unacknowledged_ = 0;
    std::uint64_t held_bytes_ = 0;
    bool reading_ = false;  // the newest held note
    LaneReader reader_;     // in it
};

}  // namespace weir::detail

#endif
