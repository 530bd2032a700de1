// SPDX-License-Identifier: Apache-2.0
//
// The consumer's end of redelivery: taking over a range that the broker assigned to it.
//
// The broker writes assignment n, then steps `assigned` to n + 1. The consumer copies it into a
// note that names it (assignment = n + 1), then steps `taken`. Killed between the two, the range
// has two descriptions; the broker sees by the note's number that they are one (X3, LAYOUT.md).
#ifndef WEIR_SHM_ASSIGNMENT_HPP
#define WEIR_SHM_ASSIGNMENT_HPP

#include "shm/exchange.hpp"

namespace weir {

// A private copy of an assignment.
struct AssignedRange {
    Position from = 0;
    Position to = 0;
    LaneId lane = 0;
    std::uint32_t count = 0;        // messages in the range, 1 to 64
    std::uint64_t due = 0;          // mask of those to be delivered
    std::uint64_t redelivered = 0;  // mask of those that were delivered before
};

// True if the broker assigned something that was not taken yet. One load.
bool is_assigned(const ConsumerPiece& piece) noexcept;

// Moves the oldest assignment into `note`, which must be void. Only if `is_assigned`.
AssignedRange take_assignment(const ConsumerPiece& piece, InFlightNote& note) noexcept;

}  // namespace weir

#endif
