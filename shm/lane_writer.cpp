// SPDX-License-Identifier: Apache-2.0
#include "shm/lane_writer.hpp"

#include <algorithm>

#include "core/base/kill_point.hpp"

namespace weir {

void LaneWriter::enter(PageRef page, Position start) noexcept {
    page_ = page;
    origin_ = pages_.bytes(page) - start;
    tail_ = start + page_header_bytes;
    page_end_ = start + pages_.length(page);
    bound_short_way();
    count_ = {};
    PageHeader& header = pages_.header(page);
    // relaxed: the header is read by the broker after the page was sealed, or as a hint.
    header.sealed.store(0, std::memory_order_relaxed);
    // relaxed: as above.
    header.start.store(start, std::memory_order_relaxed);
    // relaxed: as above.
    header.first_message.store(numbered_, std::memory_order_relaxed);
}

void LaneWriter::resume(PageRef page, Position tail, std::uint64_t messages,
                        std::uint64_t payload) noexcept {
    if (!pages_.has(page)) return;
    // relaxed: the broker published this page in its answer, over the control socket.
    const Position start = pages_.slot(page).start.load(std::memory_order_relaxed);
    // relaxed: as in enter.
    numbered_ = pages_.header(page).first_message.load(std::memory_order_relaxed);
    enter(page, start);
    tail_ = tail;
    count_ = {messages, payload};
    // relaxed: the broker looks at this word only behind a membarrier.
    cell_->page.store(page, std::memory_order_relaxed);
}

PageRef LaneWriter::granted_next() const noexcept {
    // SYNC(page_linked) acquire: the page's slot and its cleared first word are visible with the
    // link.
    return page_ != 0 ? pages_.slot(page_).next.load(std::memory_order_acquire)
                      // SYNC(page_linked) acquire: as above, for a lane that has no page yet.
                      : lane_->producer_page.load(std::memory_order_acquire);
}

// Bounded by the number of pages there are; each step follows a link that only the broker writes.
bool LaneWriter::room_behind(PageRef page, std::uint64_t bytes) const noexcept {
    for (std::uint64_t steps = 0; steps < pages_.units; ++steps) {
        // SYNC(page_linked) acquire: as in granted_next.
        page = pages_.slot(page).next.load(std::memory_order_acquire);
        if (!pages_.has(page)) return false;
        if (pages_.length(page) >= page_header_bytes + bytes) return true;
    }
    return false;
}

ClaimStatus LaneWriter::advance(std::uint64_t bytes) noexcept {
    // SYNC(slot_live) acquire: a lane that ended or was handed on is not written to any more.
    if (lane_->state.load(std::memory_order_acquire) != SlotState::live) return ClaimStatus::closed;
    // SYNC(revoked) acquire: the end marker that the broker wrote in our stead is there.
    const std::uint64_t revocations =
        stop_revocations(lane_->stop_and_revocations.load(std::memory_order_acquire));
    if (revocations != revocations_) {
        revocations_ = revocations;
        numbered_ += count_.messages();
        page_ = 0;
        tail_ = page_end_ = 0;
        bound_short_way();
        count_ = {};
        // relaxed: published by the need bit that follows; the broker grants only once it is named
        // no more.
        cell_->page.store(0, std::memory_order_relaxed);
    }
    const PageRef next = granted_next();
    if (!pages_.has(next)) return ClaimStatus::no_grant;

    // Enter: name the page, then look whether it is still granted.
    // relaxed: ordered against the load below by the broker's membarrier (retract).
    cell_->page.store(next, std::memory_order_relaxed);
    // barrier: the page is named before the link is looked at again, in program order.
    std::atomic_signal_fence(std::memory_order_seq_cst);
    if (granted_next() != next) {
        // relaxed: as above.
        cell_->page.store(page_, std::memory_order_relaxed);
        return ClaimStatus::no_grant;
    }
    // From here on the page cannot be taken back, so its slot stands still.
    // relaxed: the start was made visible by the link.
    const Position start = pages_.slot(next).start.load(std::memory_order_relaxed);
    const Position end = start + page_header_bytes + bytes;
    const bool too_small = end > start + pages_.length(next);
    // relaxed: a stop that is read too late is what naming the page is for.
    const std::uint64_t stop = lane_->stop_and_revocations.load(std::memory_order_relaxed);
    // A page that is too small is passed, left empty, if one with room is granted behind it: the
    // broker does that where it cannot take the small one back, because this producer has no page
    // to cut it from.
    if (too_small && room_behind(next, bytes) &&
        stop_allows(stop, revocations_, start + page_header_bytes + commit_word_bytes)) {
        leave();
        enter(next, start);
        return advance(bytes);
    }
    if (too_small || !stop_allows(stop, revocations_, end)) {
        // relaxed: as above. The page stays granted; the broker may take it back and give a larger
        // one.
        cell_->page.store(page_, std::memory_order_relaxed);
        return ClaimStatus::no_grant;
    }
    KILL_POINT("lane.page_entered");
    leave();
    enter(next, start);
    return ClaimStatus::ok;
}

void LaneWriter::leave() noexcept {
    if (page_ == 0) return;
    numbered_ += count_.messages();
    const PageRef page = page_;
    if (tail_ < page_end_) {
        // SYNC(published) release: a reader that passes this marker sees every record before it.
        word_at(origin_ + tail_)
            .store(commit_word(RecordKind::end, 0, 0), std::memory_order_release);
    }
    KILL_POINT("lane.page_left");
    const std::uint32_t open_here = open_ - open_elsewhere_;
    if (open_here == 0) {
        seal(page, count_);
        return;
    }
    left_.push_back({page, open_here, count_});
    open_elsewhere_ += open_here;
}

void LaneWriter::seal(PageRef page, const PageCount& count) noexcept {
    PageHeader& header = pages_.header(page);
    // relaxed: published by the release below.
    header.payload_bytes.store(count.payload(), std::memory_order_relaxed);
    // SYNC(sealed) release: the counts above are complete when this is not zero.
    header.sealed.store(count.messages() + 1, std::memory_order_release);
}

void LaneWriter::resolve_in_its_page(const Claim& claim, const PageCount& more) noexcept {
    if (claim.page == page_) {
        count_.add(more);
        return;
    }
    const auto left = std::find_if(left_.begin(), left_.end(),
                                   [&](const LeftPage& page) { return page.page == claim.page; });
    if (left == left_.end()) return;
    left->count.add(more);
    numbered_ += more.messages();
    --open_elsewhere_;
    if (--left->open == 0) {
        seal(left->page, left->count);
        left_.erase(left);
    }
}

void LaneWriter::commit(const Claim& claim, std::uint64_t word) noexcept {
    // SYNC(published) release: the payload and the cleared word behind become visible with this.
    word_at(claim.record).store(word, std::memory_order_release);
    KILL_POINT("lane.committed");
    resolve_in_its_page(claim, {1, commit_payload(word)});
    resolve();
}

void LaneWriter::abandon(const Claim& claim) noexcept {
    const std::uint64_t word = commit_word(RecordKind::skip, 0, claim.bytes - commit_word_bytes);
    // SYNC(published) release: readers pass over the bytes, whatever was written into them.
    word_at(claim.record).store(word, std::memory_order_release);
    resolve_in_its_page(claim, {});
    resolve();
}

void LaneWriter::commit_shortened(const Claim& claim, std::uint64_t word) noexcept {
    const std::uint64_t used = record_bytes_of(word);
    if (used < claim.bytes) {
        const std::uint64_t rest = claim.bytes - used - commit_word_bytes;
        // relaxed: lies behind the record and becomes visible with its commit.
        word_at(claim.record + used)
            .store(commit_word(RecordKind::skip, 0, rest), std::memory_order_relaxed);
    }
    commit(claim, word);
}

}  // namespace weir
