// SPDX-License-Identifier: Apache-2.0
#include "shm/lane_reader.hpp"

namespace weir {

bool LaneReader::next_page(std::atomic<PageRef>* entering) noexcept {
    // SYNC(page_linked) acquire: the page's slot and its cleared first word are visible with the link.
    const PageRef next = pages_.slot(page_).next.load(std::memory_order_acquire);
    if (!pages_.has(next)) return false;
    if (entering != nullptr) {
        // relaxed: ordered against the load below by the broker's membarrier (retract).
        entering->store(next, std::memory_order_relaxed);
        // barrier: the page is named before the link is looked at again, in program order.
        std::atomic_signal_fence(std::memory_order_seq_cst);
        // relaxed: only compared with the link that was followed.
        if (pages_.slot(page_).next.load(std::memory_order_relaxed) != next) {
            // relaxed: as above.
            entering->store(page_, std::memory_order_relaxed);
            return false;
        }
    }
    // relaxed: made visible by the link. A page of another place in the lane is not ours (P3).
    if (pages_.slot(next).start.load(std::memory_order_relaxed) != end_) return false;
    stand(next, 0);
    return true;
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
