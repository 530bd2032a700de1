// SPDX-License-Identifier: Apache-2.0
//
// `exchange`: memory of one session, mapped by that session and the broker and nobody else. It
// comes in blocks, each a sealed memfd; a producer gets one ProducerCell, a consumer one
// ConsumerCell and behind it either a table of places in lanes (exclusive) or tables of notes and
// assignments (shared).
//
//   exclusive   | ConsumerCell | place 0: lane, cursor | place 1: lane, cursor | ...
//   shared      | ConsumerCell | note 0 | note 1 | ... | assignment 0 | assignment 1 | ...
//
// A piece begins small and is exchanged for a larger one when its consumer asks
// (`widen_consumer`): most consumers read one lane and hold a few ranges, and a table for all that
// could be would be most of the memory that a destination needs. The consumer waits for the answer
// and writes nothing meanwhile, so the broker copies the piece and both go on in the copy; killed
// before, in between or after, its session shows one piece that says all.
//
// What the client writes here is input for the broker: it is copied once and checked against its
// tables.
//
//   X1  each word has one writer, named at the field, except a cursor, which the broker writes once
//       before it names the lane beside it, the consumer from then on, and the broker again (0)
//       when the lane has ended
//   X2  a note is complete before its `from` is set, and void unless its claim won (claims.hpp)
//   X3  an assignment is in one hand: the broker's record of it ends when a note names it
//   X4  a lane that a consumer may read has a place in its piece before the lane can be seen, or
//       `places` says that the broker keeps a wider piece in which it has one
#ifndef WEIR_SHM_EXCHANGE_HPP
#define WEIR_SHM_EXCHANGE_HPP

#include "shm/control.hpp"

namespace weir {

inline constexpr std::uint64_t exchange_block_bytes = 64 * 1024;
inline constexpr std::uint32_t note_records_max = 64;   // one bit of a mask each
inline constexpr std::uint32_t piece_notes_max = 1024;  // per consumer
inline constexpr std::uint32_t assignments_max = 64;    // per consumer, a ring
inline constexpr std::uint32_t places_least = 8;        // of an exclusive consumer

enum class ProducerWaiting : std::uint32_t {
    no = 0,
    in_line = 1,  // for a grant, until it is given
    once = 2,     // for an answer: with nothing to grant it wants to know why
};

struct ProducerCell {  // written by the producer
    // The record that is being written, 0: none (see is_writing below). Hot: one plain store per
    // record.
    alignas(line_distance) std::atomic<std::uint64_t> announced;
    // The page that is being written, or being entered.
    std::atomic<PageRef> page;
    std::atomic<ProducerWaiting> waiting;
    // Bytes of the largest record that found no room (commit word included), for the next grant.
    std::atomic<std::uint64_t> wanted;
    // What this send does if there is no grant. fail_after: it waits, but has little time, and is
    // not to be served later for the sake of others.
    std::atomic<Overflow> on_full;
    std::atomic<std::uint32_t> reserved;
    std::atomic<std::uint64_t> sent_messages;   // while metered (LaneSlot.message_stop): claimed
    std::atomic<std::uint64_t> sent_payload;    // so far, whatever became of the claims
    std::atomic<std::uint64_t> dropped_newest;  // messages given up unsent
};
static_assert(sizeof(ProducerCell) == line_distance);

// What `announced` says. A record that is committed at once is announced by its position, and that
// is never taken back, which saves a store: it counts as long as the record is not published, which
// is as long as the lane ends there. A claim that stays open is announced by its position with the
// lowest bit set (positions are multiples of 8), and counts until the word is cleared.
inline constexpr std::uint64_t announcement_stays = 1;
// `lane_end`: the position of the lane's first zero word, looked for after `announced` was loaded.
constexpr bool is_writing(std::uint64_t announced, Position lane_end) noexcept {
    return (announced & announcement_stays) != 0 || announced >= lane_end;
}
static_assert(!is_writing(0, position_first) && is_writing(position_first, position_first));
static_assert(!is_writing(4160, 4232) && is_writing(4160 | announcement_stays, 4232));

struct ConsumerCell {
    // Written by the consumer.
    alignas(line_distance) std::atomic<PageRef> entering;  // page being entered or read
    std::atomic<std::uint32_t> looking_at;  // LaneId + 1 whose pages are being read, 0: none
    std::atomic<std::uint64_t> taken;       // assignments copied into notes so far
    std::atomic<std::uint64_t> damaged;     // records skipped because they were nonsense
    std::atomic<std::uint64_t> expired;     // messages passed over because they expired
    // Written by the broker.
    alignas(line_distance) std::atomic<std::uint64_t> assigned;  // assignments made so far
    // Exclusive: so many places the piece has, or can have for the asking.
    std::atomic<std::uint32_t> places;
};
static_assert(sizeof(ConsumerCell) == 2 * line_distance);

// A range of records of one page that a shared consumer holds. Bit i of a mask is the i-th
// *message* at or after `from`; skip records are not counted.
struct InFlightNote {                             // written by the consumer
    alignas(64) std::atomic<std::uint64_t> from;  // 0: void. Set last, cleared first
    std::atomic<std::uint64_t> to;                // first position behind the range
    std::atomic<std::uint32_t> lane;
    std::atomic<std::uint32_t> count;         // messages in the range, 1 to 64
    std::atomic<std::uint64_t> due;           // mask of what is to be delivered
    std::atomic<std::uint64_t> acknowledged;  // mask
    std::atomic<std::uint64_t> started;       // mask: handed to the user
    std::atomic<std::uint64_t> assignment;    // number of the assignment plus 1, 0: an own claim
    std::atomic<std::uint64_t> confirmed;     // 1: the claimant knows that it won
};
static_assert(sizeof(InFlightNote) == 64);

// Redelivery: a range that the broker gives to a consumer. Number n of a piece with a ring of so
// many (`assignments_of`) stands at n modulo that.
struct Assignment {  // written by the broker before it steps `assigned`
    alignas(64) std::atomic<std::uint64_t> from;
    std::atomic<std::uint64_t> to;
    std::atomic<std::uint32_t> lane;
    std::atomic<std::uint32_t> count;
    std::atomic<std::uint64_t> due;
    std::atomic<std::uint64_t> redelivered;  // mask: delivered before, to be flagged
};
static_assert(sizeof(Assignment) == 64);

// An exclusive cursor, in one word:
//
//   63                         53 52                                0
//   +---------------------------+----------------------------------+
//   | held: 4 KiB units of the  | position: everything before it   |
//   | lane behind the position  | is acknowledged                  |
//   +---------------------------+----------------------------------+
//
// Held is what was given out of a lane that is not being looked at and is not acknowledged yet: the
// units from the one in which the position lies, counted from 1. Its pages are in somebody's hands
// and are not given up. 0: nothing is.
inline constexpr std::uint64_t held_units_max = 2047;  // and all that lies behind
constexpr std::uint64_t exclusive_cursor(Position position, std::uint64_t held_units) noexcept {
    return (held_units < held_units_max ? held_units : held_units_max) << 53 | position;
}
constexpr Position exclusive_position(std::uint64_t word) noexcept {
    return word & (position_limit - 1);
}
constexpr std::uint64_t exclusive_held_units(std::uint64_t word) noexcept { return word >> 53; }
// How many units are held when messages up to `end` were given out and not acknowledged.
constexpr std::uint64_t held_units(Position cursor, Position end) noexcept {
    return end <= cursor ? 0 : (end - 1) / page_unit - cursor / page_unit + 1;
}
static_assert(held_units(4096, 4096) == 0 && held_units(4096, 4104) == 1);
static_assert(held_units(4096, 8192) == 1 && held_units(4096, 8200) == 2);
static_assert(exclusive_position(exclusive_cursor(4096, 9999)) == 4096);

// Where an exclusive consumer stands in one lane.
struct LanePlace {
    std::atomic<std::uint64_t> lane;    // LaneId + 1, written by the broker; 0: nobody's place
    std::atomic<std::uint64_t> cursor;  // an exclusive cursor
};
static_assert(sizeof(LanePlace) == 16);

// As many as there are notes to take them over into: a consumer that holds more asks for more.
constexpr std::uint32_t assignments_of(std::uint32_t notes) noexcept {
    return notes < assignments_max ? notes : assignments_max;
}

constexpr std::uint64_t exclusive_piece_bytes(std::uint32_t places) noexcept {
    return round_up(sizeof(ConsumerCell) + places * sizeof(LanePlace), line_distance);
}
constexpr std::uint64_t shared_piece_bytes(std::uint32_t notes) noexcept {
    return round_up(sizeof(ConsumerCell) + notes * sizeof(InFlightNote) +
                        assignments_of(notes) * sizeof(Assignment),
                    line_distance);
}

// One consumer's piece of its session's exchange.
struct ConsumerPiece {
    std::byte* base = nullptr;
    std::uint32_t notes = 0;   // shared only
    std::uint32_t places = 0;  // exclusive only

    ConsumerCell& cell() const noexcept {
        return *reinterpret_cast<ConsumerCell*>(base);  // NOLINT: shared bytes have this layout
    }
    LanePlace& place(std::uint32_t index) const noexcept {
        return reinterpret_cast<LanePlace*>(base + sizeof(ConsumerCell))[index];  // NOLINT
    }
    // The place of this lane; null: it has none here.
    LanePlace* place_of(LaneId lane) const noexcept {
        for (std::uint32_t index = 0; index < places; ++index) {
            // SYNC(place_set) acquire: the cursor beside it is this lane's.
            if (place(index).lane.load(std::memory_order_acquire) == lane + std::uint64_t{1})
                return &place(index);
        }
        return nullptr;
    }
    InFlightNote& note(std::uint32_t index) const noexcept {
        return reinterpret_cast<InFlightNote*>(base + sizeof(ConsumerCell))[index];  // NOLINT
    }
    Assignment& assignment(std::uint64_t number) const noexcept {
        std::byte* const first = base + sizeof(ConsumerCell) + notes * sizeof(InFlightNote);
        return reinterpret_cast<Assignment*>(first)[number % assignments_of(notes)];  // NOLINT
    }
};

}  // namespace weir

#endif
