// SPDX-License-Identifier: Apache-2.0
//
// The broker's side of one lane, as short as LAYOUT.md allows: grants, frees, retracts, revokes.
// The stress tests of shm/ race it against writers and readers, so that a mistake in the shared
// protocols is not covered by the real broker's being slow.
//
// Runs in one thread. Everything it takes back it fills with rubbish at once, so that whoever still
// reads or writes there is found out.
#ifndef WEIR_TESTS_SUPPORT_HAND_BROKER_HPP
#define WEIR_TESTS_SUPPORT_HAND_BROKER_HPP

#include <cstdlib>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "shm/barrier.hpp"
#include "shm/lane_writer.hpp"

namespace weir::test {

class HandBroker {
public:
    explicit HandBroker(std::uint64_t units)
        : direct_(static_cast<std::byte*>(std::aligned_alloc(page_unit, units * page_unit))),
          slots_(units),
          units_(units) {
        for (std::uint64_t unit = 0; unit < units; ++unit) free_.push_back(ref_of_unit(unit));
        lane.state.store(SlotState::live, std::memory_order_release);
    }

    PageView pages() { return {direct_.get(), slots_.data(), units_}; }

    // Links one more page of 4 KiB behind the last one. False: none is free.
    bool grant() {
        if (free_.empty()) return false;
        const PageRef ref = free_.front();
        free_.pop_front();
        PageSlot& page = slot(ref);
        page.units.store(1, std::memory_order_relaxed);
        page.next.store(0, std::memory_order_relaxed);
        page.start.store(next_start_, std::memory_order_release);
        word_at(pages().bytes(ref) + page_header_bytes).store(0, std::memory_order_relaxed);
        next_start_ += page_unit;
        if (chain_.empty()) {
            lane.first_page.store(ref, std::memory_order_release);
            lane.producer_page.store(ref, std::memory_order_release);
        } else {
            slot(chain_.back()).next.store(ref, std::memory_order_release);
            if (chain_.back() == revoked_tail_)
                lane.producer_page.store(ref, std::memory_order_release);
        }
        chain_.push_back(ref);
        lane.stop_and_revocations.store(stop_word(next_start_, revocations_),
                                        std::memory_order_release);
        return true;
    }

    // Frees from the front what `pinned` allows and the producer has left.
    void collect(Position lowest_cursor, const std::function<bool(Position, Position)>& pinned) {
        const PageRef written = producer.page.load(std::memory_order_acquire);
        while (chain_.size() > 1) {
            const PageRef ref = chain_.front();
            const Position start = slot(ref).start.load(std::memory_order_relaxed);
            if (ref == written || lowest_cursor <= start + page_unit) return;
            if (pinned(start, start + page_unit)) return;
            lane.first_page.store(chain_[1], std::memory_order_release);
            chain_.pop_front();
            release(ref);
        }
    }

    // Takes back every page that the producer has not entered. How many it got.
    std::size_t retract() {
        const PageRef written = producer.page.load(std::memory_order_acquire);
        const std::size_t kept = index_of(written);
        if (kept + 1 >= chain_.size()) return 0;
        const PageRef taken = chain_[kept + 1];
        // A producer whose tail was revoked comes in through producer_page.
        std::atomic<PageRef>& way =
            written == revoked_tail_ ? lane.producer_page : slot(written).next;
        way.store(0, std::memory_order_release);
        barrier_everywhere();
        const std::size_t entered = index_of(producer.page.load(std::memory_order_acquire));
        if (entered > kept && entered != chain_.size()) {
            way.store(taken, std::memory_order_release);  // it stepped in: put back
            return 0;
        }
        slot(written).next.store(0, std::memory_order_release);
        const std::size_t count = chain_.size() - kept - 1;
        while (chain_.size() > kept + 1) {
            release(chain_.back());
            chain_.pop_back();
        }
        const Position end = slot(written).start.load(std::memory_order_relaxed) + page_unit;
        lane.stop_and_revocations.store(stop_word(end, revocations_), std::memory_order_release);
        return count;
    }

    // Takes the page that an idle producer writes. False: it is in a record, or has pages ahead.
    bool revoke() {
        if (chain_.empty() || chain_.back() == revoked_tail_) return false;
        const PageRef tail = chain_.back();
        if (producer.page.load(std::memory_order_acquire) != tail) return false;
        // A page without a record may be named by a producer that only tried to enter it.
        std::byte* const first = pages().bytes(tail) + page_header_bytes;
        if (word_at(first).load(std::memory_order_acquire) == 0) return false;
        const std::uint64_t stop = lane.stop_and_revocations.load(std::memory_order_relaxed);
        lane.stop_and_revocations.store(stop_word(position_first, revocations_),
                                        std::memory_order_release);
        barrier_everywhere();
        const std::uint64_t announced = producer.announced.load(std::memory_order_acquire);
        const auto give_up = [&] {
            lane.stop_and_revocations.store(stop, std::memory_order_release);
            return false;
        };
        if (producer.page.load(std::memory_order_acquire) != tail) return give_up();
        std::byte* word = pages().bytes(tail) + page_header_bytes;
        std::byte* const end = pages().bytes(tail) + page_unit;
        while (word < end) {
            const std::uint64_t commit = word_at(word).load(std::memory_order_acquire);
            if (commit == 0) break;
            word +=
                is_end(commit) ? static_cast<std::uint64_t>(end - word) : record_bytes_of(commit);
        }
        const Position start = slot(tail).start.load(std::memory_order_relaxed);
        const std::byte* const first_byte = pages().bytes(tail);
        if (is_writing(announced, start + static_cast<std::uint64_t>(word - first_byte)))
            return give_up();
        if (word < end)
            word_at(word).store(commit_word(RecordKind::end, 0, 0), std::memory_order_release);
        lane.producer_page.store(0, std::memory_order_release);
        lane.stop_and_revocations.store(stop_word(position_first, ++revocations_),
                                        std::memory_order_release);
        revoked_tail_ = tail;
        return true;
    }

    std::size_t linked() const { return chain_.size(); }

    LaneSlot lane{};
    ProducerCell producer{};

private:
    PageSlot& slot(PageRef ref) { return slots_[unit_of_ref(ref)]; }

    std::size_t index_of(PageRef ref) const {
        std::size_t index = 0;
        while (index < chain_.size() && chain_[index] != ref) ++index;
        return index;
    }

    void release(PageRef ref) {
        if (ref == revoked_tail_) revoked_tail_ = 0;
        slot(ref).start.store(0, std::memory_order_release);
        slot(ref).next.store(0, std::memory_order_release);
        // Atomic words, because a shared reader may still look and throw away what it saw.
        for (std::uint64_t at = 0; at < page_unit; at += 8)
            word_at(pages().bytes(ref) + at).store(0xdeaddeaddeaddead, std::memory_order_relaxed);
        free_.push_back(ref);
    }

    struct Free {
        void operator()(std::byte* memory) const noexcept { std::free(memory); }
    };
    std::unique_ptr<std::byte, Free> direct_;
    std::vector<PageSlot> slots_;
    std::uint64_t units_;
    std::deque<PageRef> free_;
    std::deque<PageRef> chain_;
    Position next_start_ = position_first;
    std::uint64_t revocations_ = 0;
    PageRef revoked_tail_ =
        0;  // the producer forgot this page; it enters its next through producer_page
};

// A payload that says which message it is and can be told from rubbish and from a torn one.
struct Stamp {
    std::uint64_t number;
    std::uint64_t inverse;
    std::uint64_t filler[5];

    static Stamp of(std::uint64_t number) {
        return {number, ~number, {number, number, number, number, number}};
    }
    bool intact() const {
        bool same = inverse == ~number;
        for (const std::uint64_t word : filler) same = same && word == number;
        return same;
    }
};

// Sends one stamp; false when there is no grant now.
inline bool send_stamp(LaneWriter& writer, std::uint64_t number) {
    const std::uint64_t bytes = record_bytes(0, sizeof(Stamp));
    std::byte* record = writer.claim(bytes);
    if (record == nullptr) {
        if (writer.advance(bytes) != ClaimStatus::ok) return false;
        record = writer.claim(bytes);
        if (record == nullptr) return false;
    }
    const Stamp stamp = Stamp::of(number);
    std::memcpy(record + commit_word_bytes, &stamp, sizeof(stamp));
    writer.commit(record, commit_word(RecordKind::message, 0, sizeof(stamp)));
    return true;
}

inline Stamp read_stamp(const RecordView& view) {
    Stamp stamp{};
    if (view.payload_bytes() == sizeof(stamp)) std::memcpy(&stamp, view.payload(), sizeof(stamp));
    return stamp;
}

}  // namespace weir::test

#endif
