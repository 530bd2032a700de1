// SPDX-License-Identifier: Apache-2.0
//
// `claims`: the cursors of one shared subscription, written by its consumers and the broker.
//
//      | cursor word per lane (scattered, `cursor_place`) | won word per consumer, 64 bytes apart |
//
//   cursor word   63 62 61                    12 11            0     claimant 0: the broker
//                 +-----+-----------------------+---------------+
//                 |  0  | position / 8, 50 bits | claimant slot |
//                 +-----+-----------------------+---------------+
//   won word      63                       14 13               0
//                 +--------------------------+------------------+
//                 | position / 8, 50 bits    | lane's index     |
//                 +--------------------------+------------------+
//
// Positions end at 2^53 and are multiples of 8, so 50 bits hold them; the other 14 of a won word
// are what lets a queue have 16384 lanes, as many as there are. A lane's *index* counts the lanes
// of its queue and not of the broker, so that claims are as long as the queue is wide.
//
// A queue with one consumer has its claims in that consumer's own exchange piece (`claims_tiny`
// bytes); more consumers, or more lanes, get a memory file. They grow by moving: the broker makes a
// larger region, takes each cursor out of the old one (swaps in 0, which says "nothing to claim
// here") and puts it into the new one, then steps `DestinationSlot.claims_generation`. A consumer
// that sees the step asks for the new region. Whoever swaps a cursor in the old one after that
// loses, as against any other claimant.
//
// A consumer takes a range of records in four steps. It may be killed behind any of them:
//
//   step                               killed here                        decided by
//   1  writes its note (from .. to)    the note is void                   no cursor names it
//   2  records the previous winner     the previous note is now provably  that claimant's won word
//      in that claimant's won word     a claim; the own note is void
//   3  swaps the cursor (from -> to)   the note is a claim                the cursor names it
//   4  marks its note confirmed        a claim, whoever moves the cursor  the note itself
//
//   K1  a cursor word never has the same value twice: its position only grows
//   K2  before a cursor is moved away from (p, c), won[c] is (p, lane) or c's note is confirmed
//   K3  won[c] changes only from a value that was loaded before the cursor was last seen to name c,
//       so a claimant that was stopped for long cannot set it back
//   K4  at most one cursor names c: before it claims from another lane it takes its name off the
//       last one (`step_off`). Else that name, recorded late, would displace in won[c] the claim
//       that c died in
#ifndef WEIR_SHM_CLAIMS_HPP
#define WEIR_SHM_CLAIMS_HPP

#include "shm/units.hpp"

namespace weir {

using CursorWord = std::uint64_t;

constexpr CursorWord cursor_word(Position position, std::uint32_t claimant) noexcept {
    return (position / 8) << 12 | claimant;
}
constexpr Position cursor_position(CursorWord word) noexcept { return (word >> 12) * 8; }
constexpr std::uint32_t cursor_claimant(CursorWord word) noexcept { return word & 0xfff; }
constexpr std::uint64_t won_word(Position to, std::uint32_t index) noexcept {
    return (to / 8) << 14 | index;
}

static_assert(position_limit / 8 <= std::uint64_t{1} << 50, "a position fits its field");
static_assert(lanes_max <= 1u << 14 && shared_consumers_max < 1u << 12,
              "lane and claimant fit their fields");

// Lanes get indexes one after the other, so neighbours are spread over different cache lines.
constexpr std::uint64_t cursor_place(std::uint32_t index, std::uint32_t lanes) noexcept {
    const std::uint32_t rows = lanes / 8;
    return (index % rows) * 8 + index / rows;
}

// Room for so many lanes (a multiple of 8) and consumers.
constexpr std::uint64_t claims_bytes(std::uint32_t lanes, std::uint32_t consumers) noexcept {
    return lanes * std::uint64_t{8} + consumers * std::uint64_t{64};
}
inline constexpr std::uint32_t claims_tiny_lanes = 8;
inline constexpr std::uint32_t claims_tiny_consumers = 1;
inline constexpr std::uint64_t claims_tiny = claims_bytes(claims_tiny_lanes, claims_tiny_consumers);
static_assert(claims_tiny == line_distance);

struct ClaimsView {
    std::byte* base = nullptr;
    std::uint32_t lanes = 0;      // a multiple of 8
    std::uint32_t consumers = 0;  // claimants 1 to this have a won word

    std::atomic<CursorWord>& cursor(std::uint32_t index) const noexcept {
        return words()[cursor_place(index, lanes)];
    }
    std::atomic<std::uint64_t>& won(std::uint32_t claimant) const noexcept {
        return words()[lanes + (claimant - 1) * std::size_t{8}];
    }
    bool has_lane(std::uint32_t index) const noexcept { return index < lanes; }
    bool has_claimant(std::uint32_t claimant) const noexcept {
        return claimant != 0 && claimant <= consumers;
    }

private:
    std::atomic<std::uint64_t>* words() const noexcept {
        return reinterpret_cast<std::atomic<std::uint64_t>*>(base);  // NOLINT: an array of words
    }
};

enum class ClaimOutcome { won, lost };

// Steps 2 and 3 for a note that is already written. `seen` is the cursor word that the range was
// read under. Cases the swap can meet:
//   A  cursor still `seen`, previous claimant recorded or not needing it  -> swap, won
//   B  cursor moved                                                       -> lost, void the note
//   C  the previous claimant's won word changed under us                  -> the cursor too: lost
inline ClaimOutcome move_cursor(const ClaimsView& claims, std::uint32_t index, CursorWord seen,
                                Position to, std::uint32_t self) noexcept {
    std::atomic<CursorWord>& cursor = claims.cursor(index);
    const std::uint32_t previous = cursor_claimant(seen);
    if (previous != self && claims.has_claimant(previous)) {
        std::atomic<std::uint64_t>& won = claims.won(previous);
        // SYNC(winner_recorded) acquire: orders this load before the second look at the cursor
        // (K3).
        std::uint64_t recorded = won.load(std::memory_order_acquire);
        // relaxed: only compared; the swap below decides.
        if (cursor.load(std::memory_order_relaxed) != seen) return ClaimOutcome::lost;  // case B
        const std::uint64_t winner = won_word(cursor_position(seen), index);
        // SYNC(winner_recorded) release: whoever finds the cursor moved finds the winner recorded.
        if (recorded != winner &&
            !won.compare_exchange_strong(
                recorded, winner, std::memory_order_acq_rel,
                std::memory_order_acquire) &&  // SYNC(winner_recorded) acquire
            recorded != winner)
            return ClaimOutcome::lost;  // case C
    }
    // SYNC(cursor_moved) release: the note and the won word above are visible with the new cursor.
    // SYNC(cursor_moved) acquire: on failure nothing of the range read under `seen` may be used.
    return cursor.compare_exchange_strong(seen, cursor_word(to, self), std::memory_order_acq_rel,
                                          std::memory_order_acquire)
               ? ClaimOutcome::won    // case A
               : ClaimOutcome::lost;  // case B
}

// K4: the claim up to `to` is confirmed, and its claimant goes on to another lane.
inline void step_off(const ClaimsView& claims, std::uint32_t index, Position to,
                     std::uint32_t self) noexcept {
    CursorWord named = cursor_word(to, self);
    // SYNC(cursor_moved) release: as in move_cursor; the position stays.
    // relaxed: a cursor that somebody moved on names us no more, and nothing is read under it.
    claims.cursor(index).compare_exchange_strong(
        named, cursor_word(to, 0), std::memory_order_release, std::memory_order_relaxed);
}

// What the broker asks about a note of a consumer that died: is it a claim?
inline bool is_claim(const ClaimsView& claims, std::uint32_t index, Position to,
                     std::uint32_t claimant, bool confirmed) noexcept {
    if (confirmed) return true;
    if (!claims.has_lane(index) || !claims.has_claimant(claimant)) return false;
    // SYNC(cursor_moved) acquire: a cursor that moved on implies that its winner was recorded
    // before.
    if (claims.cursor(index).load(std::memory_order_acquire) == cursor_word(to, claimant))
        return true;
    // SYNC(winner_recorded) acquire: pairs with the record made before the cursor moved.
    return claims.won(claimant).load(std::memory_order_acquire) == won_word(to, index);
}

}  // namespace weir

#endif
