// SPDX-License-Identifier: Apache-2.0
#include "core/inspect/lane_walk.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "shm/record.hpp"

namespace weir::inspect {
namespace {

std::uint64_t word_of(const PageView& pages, const WalkedPage& page, Position at) noexcept {
    // SYNC(published) acquire: only the lengths in the word itself are used.
    return word_at(pages.bytes(page.ref) + (at - page.start)).load(std::memory_order_acquire);
}

// Where a cursor may stand although no record begins there yet: at the lane's end, or where the
// first record of a page stands that is granted later (LAYOUT.md). Pages begin at multiples of
// page_unit.
bool may_become_record(const LanePages& lane, Position tail, Position at) noexcept {
    if (lane.pages.empty() || at == tail) return true;
    if (at < tail) return false;
    const auto at_edge = [at](const WalkedPage& page) {
        return at == page.start || at == page.first_record() || at == page.end();
    };
    if (std::any_of(lane.pages.begin(), lane.pages.end(), at_edge)) return true;
    const bool behind = at > lane.pages.back().end();
    return behind && (at % page_unit == 0 || at % page_unit == page_header_bytes);
}

// Gives the marks their answers while the walk comes by.
class Marker {
public:
    explicit Marker(std::span<Mark> marks) noexcept : marks_(marks) {
        std::sort(marks_.begin(), marks_.end(),
                  [](const Mark& one, const Mark& other) { return one.at < other.at; });
    }
    // The walk stands at `at`, where a record or a page begins or ends.
    void come_by(Position at, const Tally& before) noexcept {
        for (; next_ < marks_.size() && marks_[next_].at <= at; ++next_) {
            marks_[next_].before = before;
            marks_[next_].at_record = marks_[next_].at == at;
        }
    }
    void finish(const LanePages& lane, const LaneRecords& records) noexcept {
        for (; next_ < marks_.size(); ++next_) {
            marks_[next_].before = records.total;
            marks_[next_].at_record = may_become_record(lane, records.tail, marks_[next_].at);
        }
    }

private:
    std::span<Mark> marks_;
    std::size_t next_ = 0;
};

// Walks one page. False: the lane ends in it.
bool walk_page(const PageView& pages, const WalkedPage& page, LaneRecords& records,
               Marker& marker) {
    Position at = page.first_record();
    marker.come_by(page.start, records.total);
    while (at < page.end()) {
        records.tail = at;
        marker.come_by(at, records.total);
        const std::uint64_t word = word_of(pages, page, at);
        if (word == 0) return false;
        if (!record_fits(word, page.end() - at)) {
            if (!is_end(word)) ++records.damaged;
            break;
        }
        ++records.records;
        if (is_message(word)) {
            ++records.total.messages;
            records.total.payload += commit_payload(word);
        }
        at += record_bytes_of(word);
    }
    records.tail = page.end();
    marker.come_by(page.end(), records.total);
    return true;
}

}  // namespace

LanePages walk_pages(const ControlView& view, LaneId lane) {
    LanePages found;
    const std::uint64_t units = view.limits.pages;
    // SYNC(page_linked) acquire: the page's slot is visible with the link.
    PageRef ref = view.lane(lane).first_page.load(std::memory_order_acquire);
    while (ref != 0) {
        if (unit_of_ref(ref) >= units || found.pages.size() >= units) {
            found.broken = fmt::format("its chain leads to page {}, which there cannot be", ref);
            return found;
        }
        const PageSlot& slot = view.pages()[unit_of_ref(ref)];
        // SYNC(page_freed) acquire: the slot's other words are those of this use.
        const Position start = slot.start.load(std::memory_order_acquire);
        // relaxed: all three were written before the start or the link.
        const std::uint64_t length = slot.units.load(std::memory_order_relaxed);
        const LaneId owner = slot.lane.load(std::memory_order_relaxed);
        const PageState state = slot.state.load(std::memory_order_relaxed);
        const bool inside = length != 0 && length <= units - unit_of_ref(ref);
        const bool in_order = found.pages.empty() || start >= found.pages.back().end();
        if (start == 0 || state == PageState::free || owner != lane || !inside || !in_order) {
            found.broken = fmt::format("its chain leads to page {}, which is not its own", ref);
            return found;
        }
        found.pages.push_back({ref, start, length * page_unit});
        found.bytes += length * page_unit;
        // SYNC(page_linked) acquire: as for the first one.
        const PageRef link = slot.next.load(std::memory_order_acquire);
        ref = linked_page(link);
        found.over_gap = found.over_gap || link != ref;
    }
    return found;
}

LaneRecords walk_records(const PageView& pages, const LanePages& lane, std::span<Mark> marks) {
    LaneRecords records;
    Marker marker(marks);
    for (std::size_t index = 0; index < lane.pages.size(); ++index) {
        const WalkedPage& page = lane.pages[index];
        // As readers do: a page in which nothing is written yet has not been entered.
        if (index != 0 && word_of(pages, page, page.first_record()) == 0) break;
        if (!walk_page(pages, page, records, marker)) break;
    }
    marker.finish(lane, records);
    return records;
}

std::vector<std::uint64_t> messages_in(const PageView& pages, const LanePages& lane, Position from,
                                       Position to) {
    std::vector<std::uint64_t> payloads;
    const auto in =
        std::find_if(lane.pages.begin(), lane.pages.end(), [from, to](const WalkedPage& page) {
            return from >= page.first_record() && from < to && to <= page.end();
        });
    if (in == lane.pages.end() || from % 8 != 0) return payloads;
    while (from < to && payloads.size() < 64) {
        const std::uint64_t word = word_of(pages, *in, from);
        if (!record_fits(word, in->end() - from)) break;
        from += record_bytes_of(word);
        if (is_message(word)) payloads.push_back(commit_payload(word));
    }
    return payloads;
}

}  // namespace weir::inspect
