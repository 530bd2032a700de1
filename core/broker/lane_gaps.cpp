// SPDX-License-Identifier: Apache-2.0
#include "core/broker/lane_gaps.hpp"

#include <algorithm>

#include "core/broker/counting.hpp"
#include "core/broker/cursors.hpp"
#include "core/broker/lane_places.hpp"
#include "shm/barrier.hpp"

namespace weir::broker {
namespace {

template <class Waiting>
bool any_in(const Deque<Waiting>& pages, Position from, Position to) {
    return std::any_of(pages.begin(), pages.end(), [&](const Waiting& one) {
        return one.page.start >= from && one.page.start < to;
    });
}

void link(Tables& tables, Lane& lane, std::size_t index, PageRef next) {
    // SYNC(page_linked) release: the page that is linked was made ready before.
    tables.control.page(lane.pages[index].ref).next.store(next, std::memory_order_release);
}

// Where the first page begins that is out of memory at or behind `from`; `everything`: none is.
Position first_out(const Lane& lane, Position from) {
    const Run* const run = lane.spilled.first_from(from);
    Position first = run != nullptr ? run->start : everything;
    for (const Leaving& one : lane.leaving)
        if (one.page.start >= from) first = std::min(first, one.page.start);
    for (const Arriving& one : lane.arriving)
        if (one.page.start >= from) first = std::min(first, one.page.start);
    return first;
}

// Tells those who would have read them.
void show_lost(Tables& tables, const Lane& lane, Position before, std::uint32_t messages) {
    const auto show = [&](std::uint32_t subscription) {
        // relaxed: a number for people and for the consumer, read alone.
        tables.control.subscription(subscription)
            .lost.fetch_add(messages, std::memory_order_relaxed);
    };
    const Destination& destination = tables.destination_of(lane);
    if (destination.kind == DestinationKind::queue)
        for (const std::uint32_t consumer : destination.consumers) show(consumer);
    for (const Attachment& attachment : lane.attachments)
        if (attachment.cursor < before) show(attachment.subscription);
}

// J3: what is missing between a page and the one before it, if nothing is out between them. Both
// know how many messages of the lane lie before them. `back`: the page was out itself, and what is
// missing before it may have been counted when it came before.
void mark_lost(Tables& tables, Lane& lane, std::size_t index, bool back) {
    if (index == 0 || index >= lane.pages.size()) return;
    const Page& before = lane.pages[index - 1];
    const Page& page = lane.pages[index];
    if (page.start <= lane.unneeded_to || gap_between(lane, before.end(), page.start)) return;
    const std::uint64_t missing = less(
        page.messages_before, before.messages_before + page_content(tables.pages, before).messages);
    const auto lost = static_cast<std::uint32_t>(std::min<std::uint64_t>(missing, 0xffffffff));
    std::atomic<std::uint32_t>& mark = tables.control.page(page.ref).lost;
    // relaxed: the broker's own word.
    const std::uint32_t marked = mark.load(std::memory_order_relaxed);
    if (lost == marked) return;
    // relaxed: visible with the link that leads here (page_linked).
    mark.store(lost, std::memory_order_relaxed);
    if (lost < marked || (back && page.start <= lane.lost_counted_to)) return;
    lane.lost_counted_to = std::max(lane.lost_counted_to, page.start);
    // Its producer writes where these counts are read: no more is lost than there was.
    const auto added = static_cast<std::uint32_t>(
        std::min<std::uint64_t>(lost - marked, less(lane.counted.messages, lane.damaged)));
    lane.damaged += added;
    show_lost(tables, lane, page.start, added);
}

// How far a subscription's user may hold messages. Exact behind the membarrier of whoever takes a
// page out, elsewhere a hint. A lie keeps pages of this lane in memory.
Position held_to(const Tables& tables, const Lane& lane, const Attachment& attachment) {
    const Subscription& subscription = *tables.subscriptions[attachment.subscription];
    const ConsumerCell& cell = subscription.piece.cell();
    // SYNC(put_down) acquire: what is held of a lane that was put down stands in its cursor.
    const bool looks = cell.looking_at.load(std::memory_order_acquire) == lane.id + 1;
    // SYNC(put_down) acquire: as above, where the lane was put down between these two looks.
    const PageRef entering = cell.entering.load(std::memory_order_acquire);
    const std::uint64_t word = shown_cursor(subscription, attachment);
    Position to = attachment.cursor;
    if (const std::uint64_t units = exclusive_held_units(word); units == held_units_max) {
        // So much that the word cannot say it. What is held never left memory: up to the next gap.
        const auto last = page_index_before(lane, first_out(lane, attachment.cursor));
        if (last) to = std::max(to, lane.pages[*last].start);
    } else if (units != 0) {
        const Position first_unit = exclusive_position(word) / page_unit * page_unit;
        to = std::max(to, first_unit + units * page_unit - 1);
    }
    if (looks && tables.pages.has(entering)) {
        const auto named =
            std::find_if(lane.pages.begin(), lane.pages.end(),
                         [entering](const Page& page) { return page.ref == entering; });
        if (named != lane.pages.end()) to = std::max(to, named->start);
    }
    return to;
}

void set_state(Tables& tables, const Lane& lane, std::size_t first, std::size_t last,
               PageState state) {
    for (std::size_t index = first; index < last; ++index) {
        // relaxed: ordered by the membarrier between marking and looking.
        tables.control.page(lane.pages[index].ref).state.store(state, std::memory_order_relaxed);
    }
}

// Behind the barrier: the first of pages[first, last) that nobody stands in or before.
std::size_t first_unused(Tables& tables, Lane& lane, std::size_t first, std::size_t last) {
    const Destination& destination = tables.destination_of(lane);
    std::size_t free_from = first;
    for (const std::uint32_t slot : destination.consumers) {
        // SYNC(entered) acquire: a claim that is over has moved the cursor.
        const PageRef named =
            tables.subscriptions[slot]->piece.cell().entering.load(std::memory_order_acquire);
        for (std::size_t index = free_from; index < last; ++index)
            if (lane.pages[index].ref == named) free_from = index + 1;
    }
    accept_cursors(tables, lane);
    for (const Reading& reading : readings(tables, lane))
        for (std::size_t index = free_from; index < last; ++index)
            if (lane.pages[index].start <= reading.to && lane.pages[index].end() >= reading.from)
                free_from = index + 1;
    return free_from;
}

}  // namespace

std::vector<Reading> readings(const Tables& tables, Lane& lane) {
    std::vector<Reading> all;
    if (tables.destination_of(lane).kind == DestinationKind::queue)
        all.push_back({position_first, lane.queue_cursor, &lane.drain});
    for (Attachment& attachment : lane.attachments)
        all.push_back({attachment.cursor, held_to(tables, lane, attachment), &attachment.drain});
    std::sort(all.begin(), all.end(),
              [](const Reading& one, const Reading& other) { return one.from < other.from; });
    return all;
}

bool is_unneeded(const Tables& tables, const Lane& lane, const Page& page) {
    return page.end() < lowest_cursor(tables, lane);
}

void drop_unneeded(Tables& tables, Lane& lane) {
    if (!lane.anything_out()) return;
    const Position lowest = lowest_cursor(tables, lane);
    bool dropped = false;
    while (!lane.spilled.empty()) {
        const Run& run = lane.spilled.all().front();
        if (run.start + run.page_bytes() >= lowest) break;
        const std::uint64_t pages =
            std::min<std::uint64_t>(run.pages, (lowest - run.start - 1) / run.page_bytes());
        const Run gone = lane.spilled.take_front(run.start, static_cast<std::uint32_t>(pages));
        tables.copies_freed.push_back({gone.extent, gone.bytes()});
        dropped = true;
    }
    // What is being read or written is dropped when the disk has answered.
    for (std::size_t at = 0; at < lane.arriving.size();) {
        Arriving& one = lane.arriving[at];
        if (one.state == ArrivingState::reading || !is_unneeded(tables, lane, one.page)) {
            ++at;
            continue;
        }
        tables.copies_freed.push_back({one.page.copy, one.page.bytes()});
        free_memory(tables, lane, one.page);
        lane.arriving.erase(lane.arriving.begin() + static_cast<std::ptrdiff_t>(at));
        dropped = true;
    }
    if (!dropped) return;
    lane.unneeded_to = std::max(lane.unneeded_to, std::min(lowest, lane.next_start));
    for (std::size_t index = 0; index + 1 < lane.pages.size(); ++index) {
        if (lane.pages[index].end() >= lowest) break;
        link_onward(tables, lane, index);
    }
}

bool gap_between(const Lane& lane, Position from, Position to) {
    if (from >= to) return false;  // neighbours: most questions, and no look at what is out
    const Run* const run = lane.spilled.first_from(from);
    return (run != nullptr && run->start < to) || any_in(lane.leaving, from, to) ||
           any_in(lane.arriving, from, to);
}

std::optional<std::size_t> page_index_before(const Lane& lane, Position position) {
    const auto behind =
        std::lower_bound(lane.pages.begin(), lane.pages.end(), position,
                         [](const Page& page, Position at) { return page.start < at; });
    if (behind == lane.pages.begin()) return std::nullopt;
    return static_cast<std::size_t>(behind - lane.pages.begin()) - 1;
}

void link_onward(Tables& tables, Lane& lane, std::size_t index) {
    PageRef next = 0;
    if (index + 1 < lane.pages.size()) {
        next = lane.pages[index + 1].ref;
        if (gap_between(lane, lane.pages[index].end(), lane.pages[index + 1].start))
            next |= link_over_gap;
    }
    link(tables, lane, index, next);
}

void close_gap(Tables& tables, Lane& lane, std::size_t index) {
    mark_lost(tables, lane, index + 1, false);
    link_onward(tables, lane, index);
}

std::vector<Page> take_out(Tables& tables, Lane& lane, std::size_t first, std::size_t last) {
    // Marked for those who come back to a page in which they stood before, by no link.
    set_state(tables, lane, first, last, PageState::giving_up);
    link(tables, lane, first - 1, lane.pages[last].ref | link_over_gap);
    // barrier: whoever looks at the cut link or the mark from here on finds it; who looked before
    // is named.
    barrier_everywhere();
    const std::size_t from = first_unused(tables, lane, first, last);
    if (from != first) {
        set_state(tables, lane, first, from, PageState::granted);
        if (from < last) link(tables, lane, from - 1, lane.pages[last].ref | link_over_gap);
        if (from == last) link_onward(tables, lane, last - 1);
        // Something before `first` may be out as well.
        link_onward(tables, lane, first - 1);
        // Who met the cut meanwhile reads on.
        tables.mark_ready(lane);
        tables.wake_sleepers(tables.destination_of(lane));
    }
    if (from < last) leave_counted(lane, lane.pages[last - 1].end(), last);
    set_state(tables, lane, from, last, PageState::writing);
    const auto begin = lane.pages.begin() + static_cast<std::ptrdiff_t>(from);
    const auto end = lane.pages.begin() + static_cast<std::ptrdiff_t>(last);
    std::vector<Page> taken(std::make_move_iterator(begin), std::make_move_iterator(end));
    lane.pages.erase(begin, end);
    ++tables.pages_moved;
    return taken;
}

void put_in(Tables& tables, Lane& lane, Page page) {
    PageSlot& slot = tables.control.page(page.ref);
    // relaxed: visible with the start and the link.
    slot.state.store(PageState::granted, std::memory_order_relaxed);
    const Position start = page.start;
    const auto behind =
        std::upper_bound(lane.pages.begin(), lane.pages.end(), page.start,
                         [](Position at, const Page& other) { return at < other.start; });
    const auto index = static_cast<std::size_t>(behind - lane.pages.begin());
    ++tables.pages_moved;
    lane.pages.insert(behind, std::move(page));
    mark_lost(tables, lane, index + 1, false);
    mark_lost(tables, lane, index, true);
    link_onward(tables, lane, index);
    // Behind its own link: the page may have come back to where it was, and who still walks by it
    // would take it for what it was before (page_of).
    // SYNC(page_freed) release: the page's bytes and its link are those of this position.
    slot.start.store(start, std::memory_order_release);
    if (index != 0) link_onward(tables, lane, index - 1);
}

void free_memory(Tables& tables, Lane& lane, Page& page) {
    PageSlot& slot = tables.control.page(page.ref);
    // SYNC(page_freed) release: the page was unlinked before.
    slot.start.store(0, std::memory_order_release);
    // relaxed: for tools.
    slot.state.store(PageState::free, std::memory_order_relaxed);
    tables.units.give_back(unit_of_ref(page.ref), page.units);
    page.charge = {};
    ++tables.pages_moved;
    // relaxed: a number for people.
    tables.slot(lane).direct_bytes.store(lane.granted(), std::memory_order_relaxed);
}

}  // namespace weir::broker
