// SPDX-License-Identifier: Apache-2.0
#include "core/broker/read_back.hpp"

#include "core/base/log.hpp"
#include "core/broker/counting.hpp"
#include "core/broker/cursors.hpp"
#include "core/broker/window.hpp"

namespace weir::broker {
namespace {

// One read: gathered like a write, so that the disk is asked rarely and for much.
constexpr Bytes read_bytes = 1024 * 1024;

constexpr std::uint64_t rate_span_ns = 10 * ns_per_ms;

// A disk that rots loses many pages: one line of the log in so long, and all of them in the books.
constexpr std::uint64_t told_again_ns = 10 * ns_per_s;

io::SpillPage spill_page(const Tables& tables, const Lane& lane, const Page& page) {
    return {{tables.pages.bytes(page.ref), page.bytes()},
            page_tag(tables, lane, page.start),
            page.messages_before};
}

// What the header of a page that came back says was before it in the lane.
std::uint64_t messages_before(const Tables& tables, const Page& page) {
    // relaxed: the page is out of the chain, or the broker's own store.
    return tables.pages.header(page.ref).messages_before.load(std::memory_order_relaxed);
}

}  // namespace

std::uint64_t page_tag(const Tables& tables, const Lane& lane, Position start) noexcept {
    const std::uint64_t epoch = tables.control.view().superblock().epoch;
    return epoch << 53 | std::uint64_t{lane.id} << 41 | start / page_unit;
}

Ahead ReadBack::ahead_of(const Lane& lane, const Drain& drain) const noexcept {
    const Bytes direct = tables_->direct.root.limit();
    const Bytes whole = std::min(direct, tables_->destination_of(lane).direct_account.limit());
    // One record passes over no more than a lane is granted ahead.
    return {read_ahead_bytes(drain.per_s, store_->counts().read_ns, whole), window_limit(direct)};
}

void ReadBack::add(Ahead& ahead, const Page& page) const noexcept {
    ahead.add(page.bytes(),
              is_sealed(tables_->pages, page) && page_content(tables_->pages, page).messages == 0);
}

void ReadBack::measure(Position at, Drain& drain) const noexcept {
    const std::uint64_t now = tables_->clock.now_ns();
    const std::uint64_t span = now - drain.at_ns;
    if (span < rate_span_ns) return;
    const Bytes drained = at > drain.to ? at - drain.to : 0;
    drain.per_s = drain.per_s / 2 + drained * 1000 / (span / ns_per_ms) / 2;
    drain.to = at;
    drain.at_ns = now;
}

void ReadBack::serve(Lane& lane) {
    accept_cursors(*tables_, lane);
    drop_unneeded(*tables_, lane);
    ask_alone(lane);
    for (const Reading& reading : readings(*tables_, lane)) {
        measure(reading.to, *reading.drain);
        serve(lane, reading);
    }
}

void ReadBack::serve(Lane& lane, const Reading& reading) {
    auto at = page_index(lane, reading.to);
    // A cursor stands in no page that is out, but a liar's may.
    if (!at) at = page_index_before(lane, reading.to);
    if (!at) return;
    Ahead ahead = ahead_of(lane, *reading.drain);
    std::size_t index = *at;
    for (; index + 1 < lane.pages.size() && !ahead.is_enough(); ++index) {
        if (gap_between(lane, lane.pages[index].end(), lane.pages[index + 1].start)) break;
        add(ahead, lane.pages[index + 1]);
    }
    if (index + 1 == lane.pages.size()) return;
    Position from = lane.pages[index].end();
    const Position to = lane.pages[index + 1].start;
    while (!ahead.is_enough()) {
        const Run* const run = lane.spilled.first_from(from);
        const Position run_start = run != nullptr && run->start < to ? run->start : to;
        for (const Arriving& one : lane.arriving) {
            if (one.page.start < from || one.page.start >= run_start) continue;
            from = one.page.end();
            ahead.add(one.page.bytes(), false);
        }
        for (Leaving& one : lane.leaving) {
            if (one.page.start < from || one.page.start >= run_start) continue;
            one.wanted = true;  // it comes back when it has been written
            from = one.page.end();
            ahead.add(one.page.bytes(), false);
        }
        if (run_start == to || ahead.is_enough()) return;
        const Bytes asked = ask(lane, *run, ahead.missing());
        if (asked == 0) return;
        ahead.add(asked, false);
        from = run_start + asked;
    }
}

// Memory for a page that comes back. Nothing of it is visible before it is linked.
std::optional<Page> ReadBack::make_room(Lane& lane, Position start, std::uint32_t units) {
    auto charge = lane.read_back.charge(units * page_unit);
    refused_ = refused_ || !charge;
    if (!charge) return std::nullopt;
    const auto unit = tables_->units.take(units);
    if (!unit) {
        if (tables_->units.free_units() >= units)
            piece_lacking_ = std::max(piece_lacking_, units * page_unit);
        return std::nullopt;
    }
    Page page;
    page.ref = ref_of_unit(*unit);
    page.units = units;
    page.start = start;
    page.charge = std::move(*charge);
    PageSlot& slot = tables_->control.page(page.ref);
    // SYNC(page_freed) release: as in prepare (lane_pages.cpp).
    slot.next.store(0, std::memory_order_release);
    // SYNC(page_freed) release: as above.
    slot.units.store(units, std::memory_order_release);
    // relaxed: all of these become visible with the start, which is set when the page is linked.
    slot.lane.store(lane.id, std::memory_order_relaxed);
    slot.lane_birth.store(static_cast<std::uint32_t>(lane.birth), std::memory_order_relaxed);
    slot.lost.store(0, std::memory_order_relaxed);
    slot.state.store(PageState::reading, std::memory_order_relaxed);
    ++tables_->pages_moved;
    // relaxed: a number for people.
    tables_->slot(lane).direct_bytes.store(lane.granted(), std::memory_order_relaxed);
    return page;
}

// Reads from the front of a run; how many bytes were asked for.
Bytes ReadBack::ask(Lane& lane, const Run& run, Bytes most) {
    if (store_->reads_flying() >= io::SpillStore::flying_max) return 0;
    const Bytes page_bytes = run.page_bytes();
    const Bytes pages_wanted = std::max<Bytes>(1, std::min(most, read_bytes) / page_bytes);
    const auto count = std::min<Bytes>({pages_wanted, run.pages, io::SpillStore::pages_max});
    const Position start = run.start;
    std::vector<Page> room;
    while (room.size() < count) {
        auto page = make_room(lane, start + room.size() * page_bytes, run.page_units);
        if (!page) break;
        page->copy = {run.extent.file,
                      run.extent.unit + static_cast<std::uint32_t>(room.size()) * run.page_units};
        room.push_back(std::move(*page));
    }
    if (room.empty()) return 0;
    lane.spilled.take_front(start, static_cast<std::uint32_t>(room.size()));
    std::vector<io::SpillPage> pages;
    for (const Page& page : room) pages.push_back(spill_page(*tables_, lane, page));
    const std::uint64_t number = ++asked_ever_;
    store_->read(room.front().copy, pages, number);
    asked_[number] = lane.id;
    const auto behind = std::find_if(lane.arriving.begin(), lane.arriving.end(),
                                     [&](const Arriving& one) { return one.page.start > start; });
    auto at = lane.arriving.begin() + (behind - lane.arriving.begin());
    for (Page& page : room)
        at = lane.arriving.insert(at, {std::move(page), number, ArrivingState::reading}) + 1;
    return room.size() * page_bytes;
}

void ReadBack::ask_alone(Lane& lane) {
    for (Arriving& one : lane.arriving) {
        if (one.state != ArrivingState::alone) continue;
        if (store_->reads_flying() >= io::SpillStore::flying_max) return;
        const io::SpillPage page = spill_page(*tables_, lane, one.page);
        one.read = ++asked_ever_;
        one.state = ArrivingState::reading;
        asked_[one.read] = lane.id;
        store_->read(one.page.copy, std::span(&page, 1), one.read);
    }
}

void ReadBack::answered(const io::SpillOutcome& outcome) {
    const auto asked = asked_.find(outcome.owner);
    Lane& lane = *tables_->lane(asked->second);
    asked_.erase(asked);
    std::vector<Arriving*> pages;
    for (Arriving& one : lane.arriving)
        if (one.read == outcome.owner) pages.push_back(&one);
    for (std::uint32_t index = 0; index < pages.size(); ++index) {
        const bool damaged = std::find(outcome.damaged.begin(), outcome.damaged.end(), index) !=
                             outcome.damaged.end();
        ArrivingState& state = pages[index]->state;
        if (outcome.error != 0 && pages.size() > 1) {
            state = ArrivingState::alone;
        } else {
            state = outcome.error != 0 || damaged ? ArrivingState::lost : ArrivingState::sound;
        }
    }
    link_arrived(lane);
}

void ReadBack::drop(Lane& lane, Page& page) {
    ++pages_lost_;
    const std::uint64_t now = tables_->clock.now_ns();
    if (told_ns_ == 0 || now - told_ns_ >= told_again_ns) {
        log::error(
            "{}: a page of {} bytes at position {} cannot be read back: its messages are "
            "lost ({} pages since the last time this was said)",
            tables_->destination_of(lane).name, page.bytes(), page.start,
            pages_lost_ - pages_told_);
        told_ns_ = now;
        pages_told_ = pages_lost_;
    }
    tables_->copies_freed.push_back({page.copy, page.bytes()});
    free_memory(*tables_, lane, page);
}

void ReadBack::link_arrived(Lane& lane) {
    bool linked = false;
    for (std::size_t at = 0; at < lane.arriving.size();) {
        Arriving& one = lane.arriving[at];
        const bool over = one.state == ArrivingState::sound || one.state == ArrivingState::lost;
        const auto before = page_index_before(lane, one.page.start);
        if (!over || !before || gap_between(lane, lane.pages[*before].end(), one.page.start)) {
            ++at;
            continue;
        }
        const bool sound = one.state == ArrivingState::sound;
        Page page = std::move(one.page);
        lane.arriving.erase(lane.arriving.begin() + static_cast<std::ptrdiff_t>(at));
        if (sound) {
            const Page& last = lane.pages[*before];
            const PageContent content = page_content(tables_->pages, last);
            // Its producer may have written over it: no more than can be true.
            page.messages_before = std::clamp(
                messages_before(*tables_, page), last.messages_before + content.messages,
                std::max(lane.counted.messages, last.messages_before + content.messages));
            page.payload_before = last.payload_before + content.payload;
            put_in(*tables_, lane, std::move(page));
        } else {
            drop(lane, page);
            close_gap(*tables_, lane, *before);
        }
        linked = true;
    }
    if (!linked) return;
    tables_->mark_ready(lane);
    tables_->wake_sleepers(tables_->destination_of(lane));
}

}  // namespace weir::broker
