// SPDX-License-Identifier: Apache-2.0
//
// `claims`: the shared cursors of all queues, written by their consumers and the broker.
//
//      | cursor word per lane (scattered, `cursor_index`) | won word per claimant, 64 bytes apart |
//
//   cursor word   63                          14 13            0     claimant 0: the broker,
//                 +-----------------------------+---------------+    else the number of the
//                 | position / 8                | claimant      |    subscription's slot plus one
//                 +-----------------------------+---------------+
//   won word      | position / 8                | lane          |
//                 +-----------------------------+---------------+
//
// One region for the whole broker. A file per queue would protect nobody, because whoever may
// connect may consume any queue, and would cost each queue tens of KiB, a descriptor and two
// mappings. The broker believes a cursor only within what its lane handed out, and only while the
// queue has a consumer; otherwise it keeps the position itself, and writes it here again for the
// next one.
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
//   K5  a number that is free is named by no cursor: the broker takes the name off when its
//       consumer is gone, so that K4 holds for the next owner too, perhaps in another queue.
//       won[number] keeps what the last owner won and needs no clearing: the cursor of that lane
//       has reached that place, notes of the next owner end behind it, and positions of one lane
//       slot never come twice. So it confirms none of them
#ifndef WEIR_SHM_CLAIMS_HPP
#define WEIR_SHM_CLAIMS_HPP

#include "shm/units.hpp"

namespace weir {

using CursorWord = std::uint64_t;

inline constexpr int claim_bits = 14;  // of the lower field
inline constexpr std::uint64_t claim_mask = (std::uint64_t{1} << claim_bits) - 1;

constexpr CursorWord cursor_word(Position position, std::uint32_t claimant) noexcept {
    return (position / 8) << claim_bits | claimant;
}
constexpr Position cursor_position(CursorWord word) noexcept { return (word >> claim_bits) * 8; }
constexpr std::uint32_t cursor_claimant(CursorWord word) noexcept { return word & claim_mask; }
constexpr std::uint64_t won_word(Position to, LaneId lane) noexcept {
    return (to / 8) << claim_bits | lane;
}
constexpr std::uint32_t claimant_of(std::uint32_t subscription) noexcept {
    return subscription + 1;
}

static_assert(position_limit / 8 <= std::uint64_t{1} << (64 - claim_bits),
              "a position fits its field");
static_assert(lanes_max - 1 <= claim_mask && claimant_of(lanes_max - 1) <= claim_mask,
              "lane and claimant fit their fields");

// Lanes get numbers one after the other, so neighbours are spread over different cache lines.
constexpr std::uint64_t cursor_index(LaneId lane, std::uint32_t lanes) noexcept {
    const std::uint32_t rows = lanes / 8;
    return (lane % rows) * 8 + lane / rows;
}

constexpr std::uint64_t claims_bytes(std::uint32_t lanes, std::uint32_t subscriptions) noexcept {
    const std::uint64_t claimants = std::uint64_t{subscriptions} + 1;  // and the broker
    return round_up(lanes * sizeof(std::uint64_t) + claimants * 64, page_unit);
}

struct ClaimsView {
    std::byte* base = nullptr;
    std::uint32_t lanes = 0;          // a multiple of 8
    std::uint32_t subscriptions = 0;  // and so the highest number of a claimant

    std::atomic<CursorWord>& cursor(LaneId lane) const noexcept {
        return words()[cursor_index(lane, lanes)];
    }
    std::atomic<std::uint64_t>& won(std::uint32_t claimant) const noexcept {
        return words()[lanes + claimant * 8];
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
inline ClaimOutcome move_cursor(const ClaimsView& claims, LaneId lane, CursorWord seen, Position to,
                                std::uint32_t self) noexcept {
    std::atomic<CursorWord>& cursor = claims.cursor(lane);
    const std::uint32_t previous = cursor_claimant(seen);
    if (previous != 0 && previous != self && previous <= claims.subscriptions) {
        std::atomic<std::uint64_t>& won = claims.won(previous);
        // SYNC(winner_recorded) acquire: orders this load before the second look at the cursor
        // (K3).
        std::uint64_t recorded = won.load(std::memory_order_acquire);
        // relaxed: only compared; the swap below decides.
        if (cursor.load(std::memory_order_relaxed) != seen) return ClaimOutcome::lost;  // case B
        const std::uint64_t winner = won_word(cursor_position(seen), lane);
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
inline void step_off(const ClaimsView& claims, LaneId lane, Position to,
                     std::uint32_t self) noexcept {
    CursorWord named = cursor_word(to, self);
    // SYNC(cursor_moved) release: as in move_cursor; the position stays.
    // relaxed: a cursor that somebody moved on names us no more, and nothing is read under it.
    claims.cursor(lane).compare_exchange_strong(
        named, cursor_word(to, 0), std::memory_order_release, std::memory_order_relaxed);
}

// What the broker asks about a note of a consumer that died: is it a claim?
inline bool is_claim(const ClaimsView& claims, LaneId lane, Position to, std::uint32_t claimant,
                     bool confirmed) noexcept {
    if (confirmed) return true;
    // SYNC(cursor_moved) acquire: a cursor that moved on implies that its winner was recorded
    // before.
    if (claims.cursor(lane).load(std::memory_order_acquire) == cursor_word(to, claimant))
        return true;
    // SYNC(winner_recorded) acquire: pairs with the record made before the cursor moved.
    return claims.won(claimant).load(std::memory_order_acquire) == won_word(to, lane);
}

}  // namespace weir

#endif
