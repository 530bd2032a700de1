// SPDX-License-Identifier: Apache-2.0
#include "shm/assignment.hpp"

#include "core/base/kill_point.hpp"

namespace weir {

bool is_assigned(const ConsumerPiece& piece) noexcept {
    const ConsumerCell& cell = piece.cell();
    // SYNC(assigned) acquire: the assignment's fields are complete.
    return cell.assigned.load(std::memory_order_acquire) !=
           cell.taken.load(std::memory_order_relaxed);  // relaxed: written by this side only
}

AssignedRange take_assignment(const ConsumerPiece& piece, InFlightNote& note) noexcept {
    ConsumerCell& cell = piece.cell();
    // relaxed: written by this side only.
    const std::uint64_t number = cell.taken.load(std::memory_order_relaxed);
    const Assignment& given = piece.assignment(number);
    AssignedRange range;
    // relaxed: all made visible by `assigned`; the broker writes a slot again only behind `taken`.
    range.from = given.from.load(std::memory_order_relaxed);
    // relaxed: as above.
    range.to = given.to.load(std::memory_order_relaxed);
    // relaxed: as above.
    range.lane = given.lane.load(std::memory_order_relaxed);
    // relaxed: as above.
    range.count = given.count.load(std::memory_order_relaxed);
    // relaxed: as above.
    range.due = given.due.load(std::memory_order_relaxed);
    // relaxed: as above.
    range.redelivered = given.redelivered.load(std::memory_order_relaxed);

    // relaxed: all published by the release of `from`.
    note.to.store(range.to, std::memory_order_relaxed);
    // relaxed: as above.
    note.lane.store(range.lane, std::memory_order_relaxed);
    // relaxed: as above.
    note.count.store(range.count, std::memory_order_relaxed);
    // relaxed: as above.
    note.due.store(range.due, std::memory_order_relaxed);
    // relaxed: as above.
    note.acknowledged.store(0, std::memory_order_relaxed);
    // relaxed: as above.
    note.started.store(0, std::memory_order_relaxed);
    // relaxed: as above.
    note.assignment.store(number + 1, std::memory_order_relaxed);
    // relaxed: as above. Nobody else can claim what is assigned.
    note.confirmed.store(1, std::memory_order_relaxed);
    // SYNC(noted) release: the note is complete.
    note.from.store(range.from, std::memory_order_release);
    KILL_POINT("assignment.noted");
    // SYNC(taken) release: the note that names this assignment is there.
    cell.taken.store(number + 1, std::memory_order_release);
    return range;
}

}  // namespace weir
