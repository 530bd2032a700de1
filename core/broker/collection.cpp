// SPDX-License-Identifier: Apache-2.0
#include "core/broker/collection.hpp"

#include <algorithm>

#include "core/broker/counting.hpp"
#include "core/broker/cursors.hpp"
#include "core/broker/lane_gaps.hpp"
#include "core/broker/lane_pages.hpp"

namespace weir::broker {
namespace {

// Calls `visit` with each position range of the lane that is in somebody's hands.
template <class Visit>
void each_held_range(const Tables& tables, const Lane& lane, Visit visit) {
    const Destination& destination = tables.destination_of(lane);
    for (const Range& range : destination.pending)
        if (range.lane == lane.id) visit(range.from, range.to);
    for (const std::uint32_t number : destination.consumers) {
        const Subscription& subscription = *tables.subscriptions[number];
        if (subscription.kind != SubscriptionKind::shared) continue;
        for (const Outstanding& outstanding : subscription.outstanding)
            if (outstanding.range.lane == lane.id)
                visit(outstanding.range.from, outstanding.range.to);
        for (std::uint32_t index = 0; index < subscription.piece.notes; ++index) {
            const InFlightNote& note = subscription.piece.note(index);
            // SYNC(noted) acquire: the note's fields are complete when `from` is set.
            const Position from = note.from.load(std::memory_order_acquire);
            // relaxed: both were made visible by `from`.
            const LaneId in = note.lane.load(std::memory_order_relaxed);
            const Position to = note.to.load(std::memory_order_relaxed);
            if (from != 0 && in == lane.id) visit(from, to);
        }
    }
}

// How many pages from the oldest on positions allow to free. The one before a gap stays while that
// is one: a cursor that stands behind it (a subscriber left, or a consumer lied) does not know what
// of the gap comes back, and what does is linked to this page.
std::size_t readable_behind(Tables& tables, Lane& lane) {
    accept_cursors(tables, lane);
    const Position cursor = lowest_cursor(tables, lane);
    const Position producer = producer_floor(tables, lane);
    const auto behind = std::find_if(lane.pages.begin(), lane.pages.end(), [&](const Page& page) {
        if (page.end() >= cursor || page.end() > producer) return true;
        return page.end() > lane.producer_from && !is_sealed(tables.pages, page);
    });
    const auto count = static_cast<std::size_t>(behind - lane.pages.begin());
    if (count == 0 || !lane.anything_out()) return count;
    const Position next = count < lane.pages.size() ? lane.pages[count].start : everything;
    return gap_between(lane, lane.pages[count - 1].end(), next) ? count - 1 : count;
}

}  // namespace

bool collect(Tables& tables, Lane& lane) {
    if (lane.pages.empty()) return false;
    pass_ended_page(tables, lane);
    std::size_t count = readable_behind(tables, lane);
    if (count == 0) return false;
    // The books need what is counted before the page goes.
    count_forward(tables.pages, lane, lane.pages[count - 1].end(), count_steps_max);
    while (count != 0 && lane.pages[count - 1].end() > lane.counted.position) --count;

    std::vector<bool> keep(count, false);
    each_held_range(tables, lane, [&](Position from, Position to) {
        const auto index = page_index(lane, from);
        if (index && *index < count && to <= lane.pages[*index].end()) keep[*index] = true;
    });
    if (std::find(keep.begin(), keep.end(), false) == keep.end()) return false;
    leave_counted(lane, lane.pages[count - 1].end(), count);
    const Bytes before = lane.granted();
    free_read_pages(tables, lane, count, keep);
    Destination& destination = tables.destination_of(lane);
    destination.drain.add(before - lane.granted());
    destination.reading.read(before - lane.granted());
    return true;
}

bool in_hands(const Tables& tables, const Lane& lane) {
    bool held = false;
    each_held_range(tables, lane, [&](Position from, Position) {
        held = held || page_index(lane, from).has_value();
    });
    return held;
}

std::optional<NoteCopy> copy_note(const Tables& tables, const Destination& destination,
                                  const InFlightNote& note) {
    NoteCopy copy;
    // SYNC(noted) acquire: the note's fields are complete when `from` is set.
    copy.range.from = note.from.load(std::memory_order_acquire);
    // relaxed: all of these were made visible by `from`; the consumer only adds to the masks.
    copy.range.to = note.to.load(std::memory_order_relaxed);
    copy.range.lane = note.lane.load(std::memory_order_relaxed);
    copy.range.count = note.count.load(std::memory_order_relaxed);
    copy.range.due = note.due.load(std::memory_order_relaxed);
    copy.acknowledged = note.acknowledged.load(std::memory_order_relaxed);
    copy.started = note.started.load(std::memory_order_relaxed);
    copy.assignment = note.assignment.load(std::memory_order_relaxed);
    // SYNC(noted) acquire: the claimant knew that it had won.
    copy.confirmed = note.confirmed.load(std::memory_order_acquire) != 0;

    const Range& range = copy.range;
    const Lane* const lane = tables.lane(range.lane);
    if (range.from == 0 || lane == nullptr || lane->destination != destination.slot)
        return std::nullopt;
    const auto index = page_index(*lane, range.from);
    if (!index || range.from % 8 != 0 || range.to % 8 != 0) return std::nullopt;
    const Page& page = lane->pages[*index];
    if (range.from < page.first_record() || range.from >= range.to || range.to > page.end())
        return std::nullopt;
    if (range.count == 0 || range.count > note_records_max) return std::nullopt;
    return copy;
}

}  // namespace weir::broker
