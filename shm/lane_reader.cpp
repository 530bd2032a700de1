// SPDX-License-Identifier: Apache-2.0
#include "shm/lane_reader.hpp"

namespace weir {

// A reader steps into a page only once something is written there. So it never stands in a page
// that its producer has not entered, and the broker may take such a page back without asking
// readers. Between the two looks at the link the page may have gone and come again: its start
// tells, no start comes twice.
bool LaneReader::next_page(std::atomic<PageRef>* entering) noexcept {
    // SYNC(page_linked) acquire: the page's slot and its cleared first word are visible with the
    // link.
    const PageRef next = pages_.slot(page_).next.load(std::memory_order_acquire);
    if (!pages_.has(next)) return false;
    // SYNC(page_freed) acquire: the start of this use of the page; compared again below.
    const Position start = pages_.slot(next).start.load(std::memory_order_acquire);
    if (start < end_) return false;
    // SYNC(published) acquire: orders the looks below behind it; the record itself is loaded again.
    if (word_at(pages_.bytes(next) + page_header_bytes).load(std::memory_order_acquire) == 0)
        return false;
    if (entering != nullptr) {
        // SYNC(put_down) release: what is held of a lane that was named before stands in its
        // cursor. Against the loads below it is ordered by the broker's membarrier (retract).
        entering->store(next, std::memory_order_release);
        // barrier: the page is named before the link is looked at again, in program order.
        std::atomic_signal_fence(std::memory_order_seq_cst);
    }
    // relaxed: only compared; ordered behind the first word by its acquire.
    if (pages_.slot(page_).next.load(std::memory_order_relaxed) != next ||
        // relaxed: as above.
        pages_.slot(next).start.load(std::memory_order_relaxed) != start ||
        // A reader whose pages may be taken does not step into one that is being given up.
        (entering != nullptr && is_being_taken(next))) {
        // SYNC(put_down) release: as above.
        if (entering != nullptr) entering->store(page_, std::memory_order_release);
        return false;
    }
    stand(next, 0);
    // relaxed: written before the link that led here.
    lost_ += pages_.slot(next).lost.load(std::memory_order_relaxed);
    return true;
}

std::uint64_t LaneReader::lost_here() const noexcept {
    // relaxed: written before the link by which this page was found.
    const std::uint64_t lost = pages_.slot(page_).lost.load(std::memory_order_relaxed);
    if (lost == 0) return 0;
    Position first = start_ + page_header_bytes;
    while (first < position_) {
        // SYNC(published) acquire: only the word's own lengths are used.
        const std::uint64_t word = word_at(origin_ + first).load(std::memory_order_acquire);
        if (!is_skip(word) || !record_fits(word, position_ - first)) return 0;
        first += record_bytes_of(word);
    }
    return lost;
}

// Everything but a message at the position. Bounded: each turn passes a record or a page.
RecordView LaneReader::look_further(std::atomic<PageRef>* entering) noexcept {
    for (;;) {
        if (position_ >= end_) {
            if (!next_page(entering)) return {};
            continue;
        }
        std::byte* const record = origin_ + position_;
        // SYNC(published) acquire: the record behind this word is complete.
        const std::uint64_t word = word_at(record).load(std::memory_order_acquire);
        if (word == 0) return {};
        const std::uint64_t room = end_ - position_;
        if (is_message(word) && record_fits(word, room)) return {record, word, position_, lane_};
        if (is_skip(word) && record_fits(word, room)) {
            position_ += record_bytes_of(word);
        } else if (is_end(word)) {
            position_ = end_;
        } else {
            ++damaged_;
            position_ = end_;
        }
    }
}

}  // namespace weir
