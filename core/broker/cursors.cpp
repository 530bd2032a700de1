// SPDX-License-Identifier: Apache-2.0
#include "core/broker/cursors.hpp"

#include <algorithm>

#include "core/broker/counting.hpp"
#include "core/broker/lane_places.hpp"
#include "shm/lane_reader.hpp"

namespace weir::broker {
namespace {

// Behind the last page a cursor may stand at the first record of the page that is granted next.
Position accepted(const Lane& lane, Position last, Position read) noexcept {
    const bool plausible =
        read % 8 == 0 && read > last && read <= lane.next_start + page_header_bytes;
    return plausible ? read : last;
}

void stand_at(Tables& tables, Lane& lane, Position cursor) {
    lane.queue_cursor = cursor;
    // relaxed: for those who recount, within a change of all tables (tables_rest).
    tables.slot(lane).queue_cursor.store(cursor, std::memory_order_relaxed);
}

// What was given up behind the place where a subscription stood is behind it once it went on.
void pass_gaps(Attachment& attachment) {
    const auto passed = std::find_if(attachment.gaps.begin(), attachment.gaps.end(),
                                     [&](const Gap& gap) { return gap.from >= attachment.cursor; });
    for (auto gap = attachment.gaps.begin(); gap != passed; ++gap)
        attachment.dropped += gap->messages;
    attachment.gaps.erase(attachment.gaps.begin(), passed);
}

}  // namespace

void accept_cursors(Tables& tables, Lane& lane) {
    const Destination& destination = tables.destination_of(lane);
    if (destination.shares_cursors()) {
        // SYNC(cursor_moved) acquire: notes of ranges below it are visible to the looks that
        // follow.
        const CursorWord word = tables.claims.cursor(lane.id).load(std::memory_order_acquire);
        stand_at(tables, lane, accepted(lane, lane.queue_cursor, cursor_position(word)));
    }
    for (Attachment& attachment : lane.attachments) {
        const Subscription& subscription = *tables.subscriptions[attachment.subscription];
        const std::uint64_t word = shown_cursor(subscription, attachment);
        attachment.cursor = accepted(lane, attachment.cursor, exclusive_position(word));
        pass_gaps(attachment);
    }
}

Position lowest_cursor(const Tables& tables, const Lane& lane) {
    Position lowest = everything;
    if (tables.destination_of(lane).kind == DestinationKind::queue) lowest = lane.queue_cursor;
    for (const Attachment& attachment : lane.attachments)
        lowest = std::min(lowest, attachment.cursor);
    return lowest;
}

bool readable_at(const Tables& tables, const Lane& lane, Position cursor) {
    const auto index = page_index(lane, cursor);
    if (!index) return false;
    LaneReader reader(tables.pages, lane.id);
    reader.stand(lane.pages[*index].ref, cursor);
    return static_cast<bool>(reader.look(nullptr));
}

bool anything_unread(Tables& tables, Lane& lane) {
    accept_cursors(tables, lane);
    if (lane.anything_out()) return true;
    if (tables.destination_of(lane).kind == DestinationKind::queue)
        return readable_at(tables, lane, lane.queue_cursor);
    return std::any_of(
        lane.attachments.begin(), lane.attachments.end(),
        [&](const Attachment& attachment) { return readable_at(tables, lane, attachment.cursor); });
}

void pass_ended_page(Tables& tables, Lane& lane) {
    const Destination& destination = tables.destination_of(lane);
    if (destination.kind != DestinationKind::queue || lane.pages.empty()) return;
    const Page& last = lane.pages.back();
    if (last.end() != lane.producer_from) return;
    accept_cursors(tables, lane);
    if (lane.queue_cursor < last.start || lane.queue_cursor > last.end()) return;
    LaneReader reader(tables.pages, lane.id);
    reader.stand(last.ref, lane.queue_cursor);
    if (reader.look(nullptr) || reader.position() != last.end()) return;

    const Position behind = lane.next_start + page_header_bytes;
    if (destination.shares_cursors()) {
        // SYNC(cursor_moved) acquire: as a claimant would read it.
        const CursorWord seen = tables.claims.cursor(lane.id).load(std::memory_order_acquire);
        if (cursor_position(seen) != lane.queue_cursor) return;
        if (move_cursor(tables.claims, lane.id, seen, behind, 0) != ClaimOutcome::won) return;
    }
    stand_at(tables, lane, behind);
}

void show_queue_cursor(Tables& tables, const Lane& lane) {
    // relaxed: within a change of all tables (tables_rest).
    tables.slot(lane).queue_cursor.store(lane.queue_cursor, std::memory_order_relaxed);
    const Destination& destination = tables.destination_of(lane);
    if (!destination.shares_cursors()) return;
    // SYNC(cursor_moved) release: the lane's pages are linked before its cursor can be seen.
    tables.claims.cursor(lane.id).store(cursor_word(lane.queue_cursor, 0),
                                        std::memory_order_release);
}

}  // namespace weir::broker
