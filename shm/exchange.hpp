// SPDX-License-Identifier: Apache-2.0
//
// `exchange`: memory of one session, mapped by that session and the broker and nobody else. It
// comes in blocks, each a sealed memfd; a producer gets one ProducerCell, a consumer one
// ConsumerCell and behind it either cursors (exclusive) or claims, assignments and notes (shared).
//
//   exclusive   | ConsumerCell | cursor 0 ... 7 |
//   shared      | ConsumerCell | claims of a lone consumer | assignment 0 ... 7 | note 0 ... 7 |
//
// Most consumers read a lane or two and hold a few ranges, so a piece has room for eight; more come
// in further *chunks*, each as long as all before it together. The broker adds chunks of cursors
// before it attaches a lane that needs one; a consumer asks for chunks of notes.
//
// What the client writes here is input for the broker: it is copied once and checked against its
// tables.
//
//   X1  each word has one writer, named at the field, except a cursor, which the broker writes once
//       before it publishes the lane, the consumer from then on, and the broker again (0) when the
//       lane has ended. A consumer remembers what it stored last and stores only what is higher: a
//       lane ends behind its last cursor, so nothing is stored into the next lane's
//   X2  a note is complete before its `from` is set, and void unless its claim won (claims.hpp)
//   X3  an assignment is in one hand: the broker's record of it ends when a note names it
#ifndef WEIR_SHM_EXCHANGE_HPP
#define WEIR_SHM_EXCHANGE_HPP

#include <array>
#include <bit>

#include "shm/claims.hpp"
#include "shm/units.hpp"

namespace weir {

inline constexpr std::uint64_t exchange_block_bytes = 64 * 1024;
inline constexpr std::uint32_t note_records_max = 64;  // one bit of a mask each
inline constexpr std::uint32_t assignments_max = 8;    // per consumer and not taken yet, a ring

struct ProducerCell {  // written by the producer
    // The record that is being written, 0: none (see is_writing below). Hot: one plain store per
    // record.
    alignas(line_distance) std::atomic<std::uint64_t> announced;
    // The page that is being written, or being entered.
    std::atomic<PageRef> page;
    std::atomic<std::uint32_t> waiting;  // 1 while the producer waits for a grant
    // Bytes of the largest record that found no room (commit word included), for the next grant.
    std::atomic<std::uint64_t> wanted;
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
    std::atomic<std::uint32_t> chunks;  // exclusive: chunks of cursors, the first one included
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

// Redelivery: a range that the broker gives to a consumer. Number n stands at n % assignments_max.
struct Assignment {  // written by the broker before it steps `assigned`
    alignas(64) std::atomic<std::uint64_t> from;
    std::atomic<std::uint64_t> to;
    std::atomic<std::uint32_t> lane;
    std::atomic<std::uint32_t> count;
    std::atomic<std::uint64_t> due;
    std::atomic<std::uint64_t> redelivered;  // mask: delivered before, to be flagged
};
static_assert(sizeof(Assignment) == 64);

// How far an exclusive consumer has read one lane.
struct CursorEntry {
    std::atomic<std::uint64_t> cursor;  // X1
    std::atomic<std::uint32_t> lane;    // LaneId + 1, 0: not in use. Written by the broker
    std::uint32_t unused;
};
static_assert(sizeof(CursorEntry) == 16);

// Chunks: 8, 8, 16, 32, ... entries, so that `chunks` of them hold 8 << (chunks - 1).
inline constexpr std::uint32_t first_chunk = 8;
inline constexpr std::uint32_t chunks_max = 12;
inline constexpr std::uint32_t notes_max = 1024;  // per consumer

constexpr std::uint32_t room_of_chunks(std::uint32_t chunks) noexcept {
    return chunks == 0 ? 0 : first_chunk << (chunks - 1);
}
constexpr std::uint32_t chunk_of(std::uint32_t index) noexcept {
    return static_cast<std::uint32_t>(std::bit_width(index / first_chunk));
}
static_assert(room_of_chunks(chunks_max) == lanes_max, "a cursor for each lane");
static_assert(chunk_of(7) == 0 && chunk_of(8) == 1 && chunk_of(15) == 1 && chunk_of(16) == 2);

constexpr std::uint64_t notes_chunk_bytes(std::uint32_t chunk) noexcept {
    return (room_of_chunks(chunk + 1) - room_of_chunks(chunk)) * sizeof(InFlightNote);
}
constexpr std::uint64_t cursors_chunk_bytes(std::uint32_t chunk) noexcept {
    return (room_of_chunks(chunk + 1) - room_of_chunks(chunk)) * sizeof(CursorEntry);
}
inline constexpr std::uint64_t exclusive_piece_bytes =
    sizeof(ConsumerCell) + first_chunk * sizeof(CursorEntry);
inline constexpr std::uint64_t shared_piece_bytes = sizeof(ConsumerCell) + claims_tiny +
                                                    assignments_max * sizeof(Assignment) +
                                                    first_chunk * sizeof(InFlightNote);
static_assert(exclusive_piece_bytes % line_distance == 0 &&
              shared_piece_bytes % line_distance == 0);

// One consumer's piece of its session's exchange.
struct ConsumerPiece {
    std::byte* base = nullptr;
    std::uint32_t notes = 0;                        // shared only
    std::uint32_t chunks = 1;                       // known to this process, the first one included
    std::array<std::byte*, chunks_max - 1> more{};  // the chunks behind the first

    ConsumerCell& cell() const noexcept {
        return *reinterpret_cast<ConsumerCell*>(base);  // NOLINT: shared bytes have this layout
    }
    // Exclusive: below room_of_chunks(chunks).
    CursorEntry& cursor(std::uint32_t index) const noexcept {
        return entry<CursorEntry>(base + sizeof(ConsumerCell), index);
    }
    ClaimsView lone_claims() const noexcept {
        return {base + sizeof(ConsumerCell), claims_tiny_lanes, claims_tiny_consumers};
    }
    Assignment& assignment(std::uint64_t number) const noexcept {
        std::byte* const first = base + sizeof(ConsumerCell) + claims_tiny;
        return reinterpret_cast<Assignment*>(first)[number % assignments_max];  // NOLINT
    }
    InFlightNote& note(std::uint32_t index) const noexcept {
        return entry<InFlightNote>(
            base + sizeof(ConsumerCell) + claims_tiny + assignments_max * sizeof(Assignment),
            index);
    }
    void add_chunk(std::byte* chunk) noexcept { more[chunks++ - 1] = chunk; }

private:
    template <class Entry>
    Entry& entry(std::byte* first, std::uint32_t index) const noexcept {
        const std::uint32_t chunk = chunk_of(index);
        std::byte* const from = chunk == 0 ? first : more[chunk - 1];
        return reinterpret_cast<Entry*>(from)[index - room_of_chunks(chunk)];  // NOLINT
    }
};

}  // namespace weir

#endif
