// SPDX-License-Identifier: Apache-2.0
#include "core/broker/lane_pages.hpp"

#include <algorithm>

#include "core/broker/counting.hpp"

namespace weir::broker {
namespace {

// A page comes from its last owner full of what he wrote: its slot, header and first word are made
// new.
void prepare(Tables& tables, const Lane& lane, const Page& page) noexcept {
    PageSlot& slot = tables.control.page(page.ref);
    PageHeader& header = tables.pages.header(page.ref);
    std::byte* const first_word = tables.pages.bytes(page.ref) + page_header_bytes;
    // SYNC(page_freed) release: who still walks by this page and meets its new link or length finds
    // that its start is not what it was.
    slot.next.store(0, std::memory_order_release);
    // SYNC(page_freed) release: as above.
    slot.units.store(page.units, std::memory_order_release);
    // relaxed: all of these become visible with the link (page_linked).
    header.sealed.store(0, std::memory_order_relaxed);
    header.start.store(0, std::memory_order_relaxed);
    word_at(first_word).store(0, std::memory_order_relaxed);
    slot.lane.store(lane.id, std::memory_order_relaxed);
    slot.lane_birth.store(static_cast<std::uint32_t>(lane.birth), std::memory_order_relaxed);
    slot.lost.store(0, std::memory_order_relaxed);
    slot.state.store(PageState::granted, std::memory_order_relaxed);
    // SYNC(page_freed) release: who finds the new start finds the new lane too.
    slot.start.store(page.start, std::memory_order_release);
}

void link_last(Tables& tables, Lane& lane) {
    const PageRef ref = lane.pages.back().ref;
    LaneSlot& slot = tables.slot(lane);
    if (lane.pages.size() == 1) {
        // SYNC(page_linked) release: the page's slot and cleared first word are visible with it.
        slot.first_page.store(ref, std::memory_order_release);
    } else {
        const PageRef before = lane.pages[lane.pages.size() - 2].ref;
        // SYNC(page_linked) release: as above.
        tables.control.page(before).next.store(ref, std::memory_order_release);
    }
    if (!lane.start_is_shown) {
        lane.start_is_shown = true;
        // SYNC(page_linked) release: as above, for a producer that has no page.
        slot.producer_page.store(ref, std::memory_order_release);
    }
}

// Pages are held by the session that writes them.
Account* holder_of(const Tables& tables, const Lane& lane) noexcept {
    return lane.session == nobody ? nullptr : &tables.sessions[lane.session]->direct_held;
}

Append refused_by(LimitLevel level) noexcept {
    switch (level) {
        case LimitLevel::destination: return Append::destination_limit;
        case LimitLevel::producer_part:
        case LimitLevel::consumer_part: return Append::part_full;
        case LimitLevel::session: return Append::session_limit;
        case LimitLevel::user: return Append::user_limit;
        case LimitLevel::none:
        case LimitLevel::broker:
        case LimitLevel::disk: break;
    }
    return Append::full;
}

}  // namespace

Append append_page(Tables& tables, Lane& lane, Units units) {
    const Bytes bytes = units * page_unit;
    // A page end below the limit: a stop, and a cursor a header behind it, fit their fields.
    if (lane.next_start + bytes >= position_limit) return Append::exhausted;
    auto charge = lane.account.charge(bytes, holder_of(tables, lane));
    if (!charge) return refused_by(charge.error().level);
    const auto unit = tables.units.take(units);
    if (!unit) return tables.units.free_units() >= units ? Append::fragmented : Append::full;

    Page page;
    page.ref = ref_of_unit(*unit);
    page.units = static_cast<std::uint32_t>(units);
    page.start = lane.next_start;
    page.order = ++tables.pages_ever;
    page.charge = std::move(*charge);
    prepare(tables, lane, page);
    const bool count_goes_on_here = !tail_index(lane);  // the page it stood in is gone
    lane.pages.push_back(std::move(page));
    if (count_goes_on_here) begin_count(lane, lane.pages.back());
    lane.next_start += bytes;
    ++tables.pages_moved;
    tables.histories[lane.id].next_start = lane.next_start;
    link_last(tables, lane);
    // relaxed: a number for people.
    tables.slot(lane).direct_bytes.store(lane.granted(), std::memory_order_relaxed);
    return Append::done;
}

void set_stop(Tables& tables, const Lane& lane, Position stop) noexcept {
    // SYNC(revoked) release: a page that was taken has its end marker before its producer learns of
    // it.
    tables.slot(lane).stop_and_revocations.store(stop_word(stop, lane.revocations),
                                                 std::memory_order_release);
}

void raise_stop(Tables& tables, const Lane& lane) noexcept {
    set_stop(tables, lane, lane.pages.empty() ? position_first : lane.pages.back().end());
}

void link_successor(Tables& tables, Lane& lane, std::size_t index) {
    const PageRef next = index + 1 < lane.pages.size() ? lane.pages[index + 1].ref : 0;
    // SYNC(page_linked) release: the successor was prepared before it was linked for the first
    // time.
    tables.control.page(lane.pages[index].ref).next.store(next, std::memory_order_release);
}

void cut_behind(Tables& tables, Lane& lane, std::size_t index) {
    // SYNC(page_linked) release: nothing is published; whoever looks again finds no page.
    tables.control.page(lane.pages[index].ref).next.store(0, std::memory_order_release);
}

void free_pages(Tables& tables, Lane& lane, std::size_t first, std::size_t last) {
    if (first == last) return;
    const auto from = lane.pages.begin() + static_cast<std::ptrdiff_t>(first);
    const auto to = lane.pages.begin() + static_cast<std::ptrdiff_t>(last);
    for (auto page = from; page != to; ++page) {
        PageSlot& slot = tables.control.page(page->ref);
        // SYNC(page_freed) release: the page was unlinked before.
        slot.start.store(0, std::memory_order_release);
        // relaxed: for tools.
        slot.state.store(PageState::free, std::memory_order_relaxed);
        tables.units.give_back(unit_of_ref(page->ref), page->units);
        ++tables.pages_moved;
        if (page->has_copy()) tables.copies_freed.push_back({page->copy, page->bytes()});
    }
    lane.pages.erase(from, to);
    // relaxed: a number for people.
    tables.slot(lane).direct_bytes.store(lane.granted(), std::memory_order_relaxed);
}

void free_read_pages(Tables& tables, Lane& lane, std::size_t count, const std::vector<bool>& keep) {
    // Links first: over the gaps, from back to front, so that no reader finds a page that is about
    // to go.
    PageRef next = count < lane.pages.size() ? lane.pages[count].ref : 0;
    std::vector<Page> gone;
    std::vector<Page> kept;
    for (std::size_t index = count; index-- > 0;) {
        Page& page = lane.pages[index];
        if (!keep[index]) {
            gone.push_back(std::move(page));
            continue;
        }
        // SYNC(page_linked) release: the page behind the gap was linked before.
        tables.control.page(page.ref).next.store(next, std::memory_order_release);
        next = page.ref;
        kept.push_back(std::move(page));
    }
    // SYNC(page_linked) release: as above.
    tables.slot(lane).first_page.store(next, std::memory_order_release);

    // Those that are freed stand at the front for free_pages; those that are kept go back before
    // the rest.
    lane.pages.erase(lane.pages.begin(), lane.pages.begin() + static_cast<std::ptrdiff_t>(count));
    for (Page& page : kept) lane.pages.push_front(std::move(page));
    const std::size_t freed = gone.size();
    for (Page& page : gone) lane.pages.push_front(std::move(page));
    free_pages(tables, lane, 0, freed);
}

std::optional<std::size_t> producer_page_index(const Tables& tables, const Lane& lane) {
    if (lane.cell == nullptr) return std::nullopt;
    // relaxed: ordered by the membarrier of a retraction; for collecting, an old word names an
    // older page.
    const PageRef named = lane.cell->page.load(std::memory_order_relaxed);
    if (!tables.pages.has(named)) return std::nullopt;
    // relaxed: the broker's own word.
    const Position start = tables.pages.slot(named).start.load(std::memory_order_relaxed);
    const auto index = page_index(lane, start);
    if (!index || lane.pages[*index].ref != named || start < lane.producer_from)
        return std::nullopt;
    return index;
}

Position producer_floor(const Tables& tables, const Lane& lane) {
    const auto index = producer_page_index(tables, lane);
    return index ? lane.pages[*index].start : lane.producer_from;
}

}  // namespace weir::broker
