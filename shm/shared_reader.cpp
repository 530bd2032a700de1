// SPDX-License-Identifier: Apache-2.0
#include "shm/shared_reader.hpp"

#include "core/base/kill_point.hpp"

namespace weir {
namespace {

void write_note(InFlightNote& note, LaneId lane, const ClaimedRange& range) noexcept {
    // relaxed: all published by the release of `from`.
    note.to.store(range.to, std::memory_order_relaxed);
    // relaxed: as above.
    note.lane.store(lane, std::memory_order_relaxed);
    // relaxed: as above.
    note.count.store(range.count, std::memory_order_relaxed);
    const std::uint64_t all =
        range.count == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << range.count) - 1;
    // relaxed: as above.
    note.due.store(all, std::memory_order_relaxed);
    // relaxed: as above.
    note.acknowledged.store(0, std::memory_order_relaxed);
    // relaxed: as above.
    note.started.store(0, std::memory_order_relaxed);
    // relaxed: as above.
    note.assignment.store(0, std::memory_order_relaxed);
    // relaxed: as above.
    note.confirmed.store(0, std::memory_order_relaxed);
    // SYNC(noted) release: the note is complete.
    note.from.store(range.from, std::memory_order_release);
}

// Counts messages from the reader's position to the end of its page, at most `limit`, and no
// further than `bytes` behind the first one's start.
void measure(const PageView& pages, ClaimedRange& range, std::uint32_t limit,
             std::uint64_t bytes) noexcept {
    const LaneReader& reader = range.reader;
    std::byte* const origin = pages.bytes(reader.page()) - reader.page_start();
    Position position = range.from;
    while (position < reader.page_end()) {
        // SYNC(published) acquire: the record behind this word is complete.
        const std::uint64_t word = word_at(origin + position).load(std::memory_order_acquire);
        if (!record_fits(word, reader.page_end() - position)) return;
        const bool too_far = position + record_bytes_of(word) - range.from > bytes;
        if (range.count == limit || too_far) {
            range.more = true;
            return;
        }
        position += record_bytes_of(word);
        if (is_message(word)) {
            ++range.count;
            range.to = position;
        }
    }
}

}  // namespace

PageRef page_of(const PageView& pages, const LaneSlot& lane, Position position) noexcept {
    // SYNC(page_linked) acquire: the oldest page's slot is visible with the reference.
    PageRef ref = lane.first_page.load(std::memory_order_acquire);
    for (std::uint64_t steps = 0; pages.has(ref) && steps < pages.units; ++steps) {
        // SYNC(page_freed) acquire: a freed page has start 0 or a position of its new lane.
        const Position start = pages.slot(ref).start.load(std::memory_order_acquire);
        if (start == 0 || start > position) return 0;
        if (position <= start + pages.length(ref)) return ref;
        // SYNC(page_linked) acquire: as for the first one.
        ref = linked_page(pages.slot(ref).next.load(std::memory_order_acquire));
    }
    return 0;
}

bool SharedReader::find(Position position) noexcept {
    const bool near = reader_.page_is_current() && position >= reader_.page_start() &&
                      position <= reader_.page_end();
    const PageRef page = near ? reader_.page() : page_of(pages_, *slot_, position);
    if (page == 0) return false;
    reader_.stand(page, position);
    return position >= reader_.page_start() && position <= reader_.page_end();
}

RangeStatus SharedReader::claim(const ClaimsView& claims, ConsumerCell& cell, InFlightNote& note,
                                std::uint32_t limit, std::uint64_t bytes,
                                ClaimedRange& range) noexcept {
    // SYNC(cursor_moved) acquire: pages at and behind the cursor stay while it does not move.
    const CursorWord seen = claims.cursor(lane_).load(std::memory_order_acquire);
    const Position position = cursor_position(seen);
    if (position == 0 || !find(position)) return RangeStatus::empty;
    reader_.take_lost();  // of an earlier look, which the cursor did not follow
    const RecordView first = reader_.look(&cell.entering);
    if (!first) return RangeStatus::empty;

    range = {.reader = reader_, .from = first.position, .lost = reader_.take_lost()};
    measure(pages_, range, limit, bytes);
    if (range.count == 0) return range.more ? RangeStatus::empty : RangeStatus::lost;
    write_note(note, lane_, range);
    KILL_POINT("claim.noted");
    const ClaimOutcome outcome = move_cursor(claims, lane_, seen, range.to, self_);
    KILL_POINT("claim.moved");
    if (outcome == ClaimOutcome::lost) {
        // SYNC(noted) release: the note is void again.
        note.from.store(0, std::memory_order_release);
        return RangeStatus::lost;
    }
    // SYNC(noted) release: from here on the note speaks for itself.
    note.confirmed.store(1, std::memory_order_release);
    return RangeStatus::taken;
}

bool SharedReader::has_work(const ClaimsView& claims, ConsumerCell& cell) noexcept {
    // SYNC(cursor_moved) acquire: as in claim; what is seen here is only a reason to wake somebody.
    const Position position = cursor_position(claims.cursor(lane_).load(std::memory_order_acquire));
    return position != 0 && find(position) && reader_.look(&cell.entering);
}

bool stand_at_range(LaneReader& reader, PageView pages, const LaneSlot& lane, Position from,
                    Position to) noexcept {
    const PageRef page = page_of(pages, lane, from);
    if (page == 0) return false;
    reader.stand(page, from);
    return reader.position() == from && to <= reader.page_end();
}

}  // namespace weir
