// SPDX-License-Identifier: Apache-2.0
#include "core/broker/redelivery.hpp"

#include <algorithm>
#include <bit>

#include "core/broker/counting.hpp"
#include "core/broker/cursors.hpp"
#include "core/broker/stated_sizes.hpp"

namespace weir::broker {
namespace {

constexpr std::uint64_t mask_of(std::uint32_t count) noexcept {
    return count >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << count) - 1;
}

bool before(const Range& one, const Range& other) noexcept {
    return one.lane != other.lane ? one.lane < other.lane : one.from < other.from;
}

bool any_note_names(const Subscription& consumer, std::uint64_t number) {
    for (std::uint32_t index = 0; index < consumer.piece.notes; ++index) {
        const InFlightNote& note = consumer.piece.note(index);
        // SYNC(noted) acquire: the note's fields are complete when `from` is set.
        if (note.from.load(std::memory_order_acquire) == 0) continue;
        // relaxed: made visible by `from`.
        if (note.assignment.load(std::memory_order_relaxed) == number + 1) return true;
    }
    return false;
}

}  // namespace

std::uint64_t taken_by(const Subscription& consumer) noexcept {
    // SYNC(taken) acquire: the notes of assignments that it counts are visible.
    const std::uint64_t taken = consumer.piece.cell().taken.load(std::memory_order_acquire);
    return std::min(taken, consumer.assigned);
}

const Outstanding* named_assignment(const Subscription& consumer, const NoteCopy& note) {
    const auto named = std::find_if(
        consumer.outstanding.begin(), consumer.outstanding.end(), [&](const Outstanding& one) {
            return note.assignment == one.number + 1 && note.range.lane == one.range.lane &&
                   note.range.from == one.range.from && note.range.to == one.range.to;
        });
    return named == consumer.outstanding.end() ? nullptr : &*named;
}

bool holds(const Tables& tables, const Subscription& consumer, const NoteCopy& note) {
    if (note.assignment != 0) return named_assignment(consumer, note) != nullptr;
    const Range& range = note.range;
    return range.to <= tables.lane(range.lane)->queue_cursor &&
           is_claim(tables.claims, range.lane, range.to, consumer.consumer_slot, note.confirmed);
}

void Redelivery::gather_note(Destination& queue, Subscription& consumer, const InFlightNote& note) {
    auto copy = copy_note(*tables_, queue, note);
    if (!copy || !holds(*tables_, consumer, *copy)) return;
    Range& range = copy->range;
    const Lane& lane = *tables_->lane(range.lane);
    const Page& page = lane.pages[*page_index(lane, range.from)];
    range.count =
        std::min(range.count, range_content(tables_->pages, page, range.from, range.to).messages);
    range.due &= mask_of(range.count);
    if (const Outstanding* const assigned = named_assignment(consumer, *copy)) {
        range.due &= assigned->range.due;
        range.redelivered = assigned->range.redelivered;
        erase_if(consumer.outstanding,
                 [&](const Outstanding& one) { return one.number == copy->assignment - 1; });
    }
    range.due &= ~copy->acknowledged;
    range.redelivered = (range.redelivered | copy->started) & range.due;
    if (range.due == 0) return;
    range.charge =
        consumer.range_charge.split(std::min<Bytes>(range_bytes, consumer.range_charge.bytes()));
    range.charge.leave_session();
    add_pending(queue, std::move(copy->range));
}

void Redelivery::gather(Destination& queue, Subscription& consumer) {
    // Cursors first: a note of a range above the accepted cursor was not a claim then.
    for (const LaneId id : queue.lanes) accept_cursors(*tables_, *tables_->lane(id));
    const std::uint64_t taken = taken_by(consumer);
    for (std::uint32_t index = 0; index < consumer.piece.notes; ++index)
        gather_note(queue, consumer, consumer.piece.note(index));
    // What no note names: still in the ring, or done.
    for (Outstanding& outstanding : consumer.outstanding)
        if (outstanding.number >= taken) add_pending(queue, std::move(outstanding.range));
    consumer.outstanding.clear();
}

void Redelivery::add_pending(Destination& queue, Range range) {
    const auto at = std::upper_bound(queue.pending.begin(), queue.pending.end(), range, before);
    queue.pending.insert(at, std::move(range));
}

void Redelivery::drop_finished(Destination& queue) {
    for (const std::uint32_t slot : queue.consumers) {
        Subscription& consumer = *tables_->subscriptions[slot];
        if (consumer.outstanding.empty()) continue;
        const std::uint64_t taken = taken_by(consumer);
        erase_if(consumer.outstanding, [&](const Outstanding& one) {
            return one.number < taken && !any_note_names(consumer, one.number);
        });
    }
    tables_->show_ranges(queue);
}

// The consumer with the fewest ranges to do; among equals, turn by turn.
Subscription* Redelivery::next_consumer(Destination& queue) const {
    Subscription* best = nullptr;
    const std::size_t count = queue.consumers.size();
    for (std::size_t step = 0; step < count; ++step) {
        Subscription& consumer =
            *tables_->subscriptions[queue.consumers[(queue.next_consumer + step) % count]];
        const std::uint64_t waiting = consumer.assigned - taken_by(consumer);
        const std::uint32_t room = assignments_of(consumer.piece.notes);
        if (consumer.quarantined || waiting >= room) continue;
        if (consumer.outstanding.size() >= room) continue;
        if (best == nullptr || consumer.outstanding.size() < best->outstanding.size())
            best = &consumer;
    }
    return best;
}

void show_assignment(const ConsumerPiece& piece, const Outstanding& outstanding) noexcept {
    const Range& range = outstanding.range;
    Assignment& assignment = piece.assignment(outstanding.number);
    // relaxed: all of these are published by the step of `assigned`, or with the piece.
    assignment.from.store(range.from, std::memory_order_relaxed);
    assignment.to.store(range.to, std::memory_order_relaxed);
    assignment.lane.store(range.lane, std::memory_order_relaxed);
    assignment.count.store(range.count, std::memory_order_relaxed);
    assignment.due.store(range.due, std::memory_order_relaxed);
    assignment.redelivered.store(range.redelivered, std::memory_order_relaxed);
}

void Redelivery::write(Subscription& consumer, Range range) {
    consumer.outstanding.push_back({consumer.assigned, std::move(range)});
    show_assignment(consumer.piece, consumer.outstanding.back());
    ++consumer.assigned;
    // SYNC(assigned) release: the assignment's fields are complete when it is counted.
    consumer.piece.cell().assigned.store(consumer.assigned, std::memory_order_release);
}

// Ranges that found no place are assigned when a consumer is done with another: it has to ring
// then.
void Redelivery::note_waiting(Destination& queue) {
    tables_->show_ranges(queue);
    const bool wait = !queue.pending.empty() && !queue.consumers.empty();
    if (wait == queue.ranges_wait) return;
    queue.ranges_wait = wait;
    const bool any =
        std::any_of(tables_->destinations.begin(), tables_->destinations.end(),
                    [](const Destination& destination) { return destination.ranges_wait; });
    tables_->set_hungry(Tables::Hunger::pending_ranges, any);
}

bool Redelivery::assign(Destination& queue) {
    drop_finished(queue);
    bool assigned = false;
    while (!queue.pending.empty()) {
        Subscription* const consumer = next_consumer(queue);
        if (consumer == nullptr) break;
        ++queue.next_consumer;
        Range range = std::move(queue.pending.front());
        queue.pending.pop_front();
        queue.ended.redelivered += static_cast<std::uint64_t>(std::popcount(range.redelivered));
        write(*consumer, std::move(range));
        assigned = true;
    }
    if (assigned) tables_->wake_sleepers(queue);
    note_waiting(queue);
    return assigned;
}

}  // namespace weir::broker
