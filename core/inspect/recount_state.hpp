// SPDX-License-Identifier: Apache-2.0
//
// What the parts of one recount share: the walked lanes, who is named what, and the result that
// grows. Each part counts one resource (recount.hpp) and knows nothing of the others.
#ifndef WEIR_CORE_INSPECT_RECOUNT_STATE_HPP
#define WEIR_CORE_INSPECT_RECOUNT_STATE_HPP

#include <optional>

#include "core/inspect/lane_walk.hpp"
#include "core/inspect/recount.hpp"
#include "shm/exchange.hpp"

namespace weir::inspect {

// Each load is ordered before the second look at `changes`.
inline std::uint64_t shown(const std::atomic<std::uint64_t>& word) noexcept {
    // SYNC(tables_rest) acquire: a number of a later change comes with that change's odd word.
    return word.load(std::memory_order_acquire);
}
inline std::uint32_t shown(const std::atomic<std::uint32_t>& word) noexcept {
    // SYNC(tables_rest) acquire: as above.
    return word.load(std::memory_order_acquire);
}
inline SlotState shown(const std::atomic<SlotState>& word) noexcept {
    // SYNC(slot_live) acquire: the slot's other fields are those of this use.
    return word.load(std::memory_order_acquire);
}

struct WalkedLane {
    LaneId lane = 0;
    std::uint32_t destination = 0;  // slot number; limits.destinations: none that there is
    std::uint32_t session = 0;      // slot number; limits.sessions: none
    LanePages pages;
};

struct RecountState {
    const ControlView* view = nullptr;
    BrokerFiles* files = nullptr;
    RecountPlan plan;
    std::vector<WalkedLane> lanes;  // in use, by number
    Recounted result;
    std::uint64_t stamp = 0;  // of the place that is being counted

    bool used_destination(std::uint32_t slot) const noexcept {
        return slot < view->limits.destinations &&
               shown(view->destination(slot).state) != SlotState::free;
    }
    std::string destination_name(std::uint32_t slot) const;
    std::string lane_name(const WalkedLane& lane) const;
    // Where its piece of its session's exchange is mapped; null: it cannot be seen.
    ConsumerPiece piece_of(const SubscriptionSlot& subscription) const;

    void differ(Resource resource, std::string where, std::string what, std::uint64_t books,
                std::uint64_t counted) {
        result.differences.push_back(
            {resource, std::move(where), std::move(what), books, counted, stamp});
    }
    void stamp_with(std::uint64_t word) noexcept {
        stamp = (stamp ^ word) * 0x9e3779b97f4a7c15;  // odd: no word is lost
    }
    // Notes a difference if there is one; `unit` stands behind the numbers.
    void compare(Resource resource, const std::string& where, std::uint64_t books,
                 std::uint64_t counted, const char* unit);
};

void count_direct(RecountState& state);
void count_heap(RecountState& state, std::uint64_t control_bytes);
void count_messages(RecountState& state);

}  // namespace weir::inspect

#endif  // WEIR_CORE_INSPECT_RECOUNT_STATE_HPP
