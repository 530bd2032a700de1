// SPDX-License-Identifier: Apache-2.0
//
// A lane whose window turns in place: the page that was read is granted again behind the last one,
// in the same thread. What a broker does per page is thereby inside the measured time, without a
// second process.
#ifndef WEIR_BENCH_MICRO_TURNING_WINDOW_HPP
#define WEIR_BENCH_MICRO_TURNING_WINDOW_HPP

#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "shm/lane_reader.hpp"
#include "shm/lane_writer.hpp"

namespace weir::bench {

class TurningWindow {
public:
    TurningWindow(std::uint64_t pages, std::uint64_t page_bytes)
        : units_each_(page_bytes / page_unit),
          units_(pages * units_each_),
          direct_(static_cast<std::byte*>(std::aligned_alloc(page_unit, units_ * page_unit))),
          slots_(units_) {
        std::memset(direct_.get(), 0, units_ * page_unit);
        lane_.state.store(SlotState::live, std::memory_order_release);  // SYNC(slot_live) release
        for (std::uint64_t page = 0; page < pages; ++page) grant(ref_of_unit(page * units_each_));
        writer_ = LaneWriter(view(), lane_, cell_);
        reader_ = LaneReader(view(), 0);
        // relaxed: one thread.
        reader_.stand(lane_.first_page.load(std::memory_order_relaxed), 0);
    }

    void send(const std::byte* payload, std::uint64_t bytes) {
        const std::uint64_t record_size = record_bytes(0, bytes);
        std::byte* record = writer_.claim(record_size);
        if (record == nullptr) {
            if (writer_.advance(record_size) != ClaimStatus::ok) std::abort();
            record = writer_.claim(record_size);
        }
        std::memcpy(record + commit_word_bytes, payload, bytes);
        writer_.commit(record, commit_word(RecordKind::message, 0, bytes));
    }

    RecordView receive() {
        const PageRef before = reader_.page();
        const RecordView view = reader_.look(nullptr);
        if (view) reader_.pass(view);
        if (reader_.page() != before) grant(before);
        return view;
    }

private:
    struct Free {
        void operator()(std::byte* memory) const noexcept { std::free(memory); }
    };

    PageView view() { return {direct_.get(), slots_.data(), units_}; }

    void grant(PageRef ref) {
        PageSlot& page = slots_[unit_of_ref(ref)];
        // relaxed: published by the link below.
        page.units.store(static_cast<std::uint32_t>(units_each_), std::memory_order_relaxed);
        page.next.store(0, std::memory_order_relaxed);  // relaxed: as above
        // SYNC(page_freed) release: this use of the page begins.
        page.start.store(next_start_, std::memory_order_release);
        std::byte* const first = direct_.get() + unit_of_ref(ref) * page_unit + page_header_bytes;
        word_at(first).store(0, std::memory_order_relaxed);  // relaxed: as above
        next_start_ += units_each_ * page_unit;
        if (last_ == 0) {
            // SYNC(page_linked) release: slot and first word are complete.
            lane_.first_page.store(ref, std::memory_order_release);
            // SYNC(page_linked) release: as above.
            lane_.producer_page.store(ref, std::memory_order_release);
        } else {
            // SYNC(page_linked) release: as above.
            slots_[unit_of_ref(last_)].next.store(ref, std::memory_order_release);
        }
        last_ = ref;
        // relaxed: one thread; the producer looks at it for each record.
        lane_.stop_and_revocations.store(stop_word(next_start_, 0), std::memory_order_relaxed);
    }

    std::uint64_t units_each_;
    std::uint64_t units_;
    std::unique_ptr<std::byte, Free> direct_;
    std::vector<PageSlot> slots_;
    LaneSlot lane_{};
    ProducerCell cell_{};
    LaneWriter writer_;
    LaneReader reader_;
    Position next_start_ = position_first;
    PageRef last_ = 0;
};

}  // namespace weir::bench

#endif
