// SPDX-License-Identifier: Apache-2.0
#include "shm/shared_reader.hpp"

#include <optional>

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

// How often a walk begins anew. Each time the broker has changed the chain just where the walk was;
// that often in a row only a broker of another mind could.
constexpr int walks_max = 64;

// What a page is used for. Positions of a lane never come twice, but two lanes may have the same.
struct Use {
    Position start = 0;  // 0: free
    LaneId lane = 0;
    bool operator==(const Use&) const = default;
};

Use use_of(const PageSlot& slot) noexcept {
    // SYNC(page_freed) acquire: a freed page has start 0 or a position of its next use.
    const Position start = slot.start.load(std::memory_order_acquire);
    // relaxed: stored before that start.
    return {start, slot.lane.load(std::memory_order_relaxed)};
}

// One walk along the chain, hand over hand: no page is believed before the link to it, and the page
// in which that link stands, have been seen unchanged behind it. Nothing: they had changed, and
// what was met may be free by now, or another lane's.
//
// A page is unlinked before its start is cleared. So of a page that goes while it is looked at, the
// link has changed, or the page with the link has gone as well, which its use shows.
std::optional<PageRef> walk_to(const PageView& pages, const LaneSlot& lane,
                               Position position) noexcept {
    const std::atomic<PageRef>* link = &lane.first_page;
    const PageSlot* before = nullptr;
    Use use_before;
    for (std::uint64_t steps = 0; steps < pages.units; ++steps) {
        // SYNC(page_linked) acquire: the page's slot is visible with the reference.
        const PageRef named = link->load(std::memory_order_acquire);
        const PageRef ref = linked_page(named);
        const PageSlot* const slot = pages.has(ref) ? &pages.slot(ref) : nullptr;
        const Use use = slot != nullptr ? use_of(*slot) : Use{};
        const std::uint64_t length = slot != nullptr ? pages.length(ref) : 0;
        // relaxed: compared only, behind the acquires above.
        if (link->load(std::memory_order_relaxed) != named) return std::nullopt;
        if (before != nullptr && use_of(*before) != use_before) return std::nullopt;
        if (slot == nullptr) return 0;
        // The link may lead to the same page in its next use.
        if (use.start == 0 || use_of(*slot) != use) return std::nullopt;
        if (use.start > position) return 0;
        if (position <= use.start + length) return ref;
        link = &slot->next;
        before = slot;
        use_before = use;
    }
    return 0;
}

}  // namespace

PageRef page_of(const PageView& pages, const LaneSlot& lane, Position position) noexcept {
    for (int walk = 0; walk < walks_max; ++walk)
        if (const auto page = walk_to(pages, lane, position)) return *page;
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
