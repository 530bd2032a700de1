// SPDX-License-Identifier: Apache-2.0
//
// A lane without a broker: direct region, page slots and lane slot in private memory, granted by
// hand. Tests build their rare states directly in these bytes.
#ifndef WEIR_TESTS_SUPPORT_LANE_STAGE_HPP
#define WEIR_TESTS_SUPPORT_LANE_STAGE_HPP

#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "shm/claims.hpp"
#include "shm/lane_reader.hpp"
#include "shm/lane_writer.hpp"
#include "shm/shared_reader.hpp"

namespace weir::test {

class LaneStage {
public:
    explicit LaneStage(std::uint64_t units = 64)
        : direct_(static_cast<std::byte*>(std::aligned_alloc(page_unit, units * page_unit))),
          slots_(units),
          units_(units) {
        // Old contents: a page that comes from somebody else is full of what he wrote.
        for (std::uint64_t i = 0; i < units * page_unit; ++i) direct_.get()[i] = std::byte{0x57};
        lane.state.store(SlotState::live, std::memory_order_relaxed);
        next_start_ = position_first;
    }

    // Does what the broker does for one grant; the page of `units` units.
    PageRef grant(std::uint64_t units) {
        const PageRef ref = ref_of_unit(taken_);
        taken_ += units;
        PageSlot& page = slots_[unit_of_ref(ref)];
        page.start.store(next_start_, std::memory_order_relaxed);
        page.units.store(static_cast<std::uint32_t>(units), std::memory_order_relaxed);
        page.state.store(PageState::granted, std::memory_order_relaxed);
        word_at(pages().bytes(ref) + page_header_bytes).store(0, std::memory_order_relaxed);
        next_start_ += units * page_unit;
        if (last_ != 0) {
            slots_[unit_of_ref(last_)].next.store(ref, std::memory_order_release);
        } else {
            lane.first_page.store(ref, std::memory_order_relaxed);
            lane.producer_page.store(ref, std::memory_order_release);
        }
        last_ = ref;
        lane.stop_and_revocations.store(stop_word(next_start_, revocations),
                                        std::memory_order_release);
        return ref;
    }

    PageView pages() { return {direct_.get(), slots_.data(), units_}; }
    PageSlot& slot(PageRef ref) { return slots_[unit_of_ref(ref)]; }
    LaneWriter writer() { return LaneWriter(pages(), lane, producer); }
    LaneReader reader(PageRef page) {
        LaneReader reader(pages(), 7);
        reader.stand(page, 0);
        return reader;
    }

    // Sends one message, taking the next page when it must. False: no grant.
    static bool send(LaneWriter& writer, std::string_view text) {
        const std::uint64_t bytes = record_bytes(0, text.size());
        std::byte* record = writer.claim(bytes);
        if (record == nullptr) {
            if (writer.advance(bytes) != ClaimStatus::ok) return false;
            record = writer.claim(bytes);
            if (record == nullptr) return false;
        }
        std::memcpy(record + commit_word_bytes, text.data(), text.size());
        writer.commit(record, commit_word(RecordKind::message, 0, text.size()));
        return true;
    }

    // Claims a record for later; the caller commits or abandons it.
    static Claim open(LaneWriter& writer, std::uint64_t payload) {
        const std::uint64_t bytes = record_bytes(0, payload);
        std::byte* record = writer.claim(bytes);
        if (record == nullptr && writer.advance(bytes) == ClaimStatus::ok)
            record = writer.claim(bytes);
        return record == nullptr ? Claim{} : writer.keep(record, bytes);
    }

    static std::string text(const RecordView& view) {
        return {reinterpret_cast<const char*>(view.payload()), view.payload_bytes()};
    }

    // Everything that can be read now.
    static std::vector<std::string> drain(LaneReader& reader) {
        std::vector<std::string> texts;
        while (const RecordView view = reader.look(nullptr)) {
            texts.push_back(text(view));
            reader.pass(view);
        }
        return texts;
    }

    LaneSlot lane{};
    std::uint64_t revocations = 0;
    ProducerCell producer{};

private:
    struct Free {
        void operator()(std::byte* memory) const noexcept { std::free(memory); }
    };
    std::unique_ptr<std::byte, Free> direct_;
    std::vector<PageSlot> slots_;
    std::uint64_t units_;
    std::uint64_t taken_ = 0;
    Position next_start_ = 0;
    PageRef last_ = 0;
};

}  // namespace weir::test

#endif
