// SPDX-License-Identifier: Apache-2.0
#include "core/broker/queue_claims.hpp"

#include <algorithm>
#include <bit>

#include "core/broker/cursors.hpp"

namespace weir::broker {
namespace {

// The smallest memory file is one page: 128 lanes and 48 consumers.
constexpr std::uint32_t file_lanes_min = 128;
constexpr std::uint32_t file_consumers_min = 48;
static_assert(claims_bytes(file_lanes_min, file_consumers_min) == page_unit);

std::uint32_t highest_index(const Tables& tables, const Destination& queue, std::uint32_t index) {
    for (const LaneId id : queue.lanes) index = std::max(index, tables.lane(id)->index);
    return index;
}

struct NewClaims {
    ClaimsView view;
    Charge charge;
    Fd file;
    Mapping mapping;
};

std::optional<NewClaims> make_file(Destination& queue, std::uint32_t lanes,
                                   std::uint32_t consumers) {
    NewClaims made;
    const std::uint32_t room = std::max(std::bit_ceil(lanes), file_lanes_min);
    const std::uint32_t claimants =
        consumers <= file_consumers_min ? file_consumers_min : shared_consumers_max;
    const Bytes bytes = round_up(claims_bytes(room, claimants), page_unit);
    auto charge = queue.heap_account.charge(bytes);
    if (!charge) return std::nullopt;
    auto file = make_memory_file("weir-claims", bytes);
    if (!file) return std::nullopt;
    auto mapping = Mapping::map(file->get(), bytes, Access::read_write);
    if (!mapping) return std::nullopt;
    made.charge = std::move(*charge);
    made.file = std::move(*file);
    made.mapping = std::move(*mapping);
    made.view = {made.mapping.data(), room, claimants};
    return made;
}

// The cursor in the old place, as far as it can be true: what a consumer wrote there is input.
CursorWord taken_out(const Destination& queue, Lane& lane) {
    if (!queue.has_claims() || !queue.claims.has_lane(lane.index))
        return cursor_word(lane.queue_cursor, 0);
    // SYNC(cursor_moved) acquire: as a claimant's swap: who swaps later finds 0 and loses.
    const CursorWord word = queue.claims.cursor(lane.index).exchange(0, std::memory_order_acq_rel);
    lane.queue_cursor = accepted_position(lane, lane.queue_cursor, cursor_position(word));
    const std::uint32_t claimant = cursor_claimant(word);
    const bool sound = lane.queue_cursor == cursor_position(word) &&
                       claimant < queue.consumer_slots.size() && queue.consumer_slots[claimant];
    return sound ? word : cursor_word(lane.queue_cursor, 0);
}

void move_to(Tables& tables, Destination& queue, NewClaims made) {
    for (const LaneId id : queue.lanes) {
        Lane& lane = *tables.lane(id);
        const CursorWord word = taken_out(queue, lane);
        // SYNC(cursor_moved) release: the lane's pages are linked before its cursor can be seen.
        made.view.cursor(lane.index).store(word, std::memory_order_release);
    }
    const bool moved = queue.has_claims();
    for (std::uint32_t claimant = 1; moved && claimant <= queue.claims.consumers; ++claimant) {
        // SYNC(winner_recorded) acquire: recorded before the cursor was taken out above.
        const std::uint64_t won = queue.claims.won(claimant).load(std::memory_order_acquire);
        // SYNC(winner_recorded) release: visible with the new region.
        made.view.won(claimant).store(won, std::memory_order_release);
    }
    ++queue.claims_generation;
    if (moved)
        queue.claims_left.push_back({std::move(queue.claims_charge), queue.claims_generation});
    queue.claims = made.view;
    queue.claims_charge = std::move(made.charge);
    queue.claims_fd = std::move(made.file);
    queue.claims_mapping = std::move(made.mapping);
    // SYNC(slot_live) release: whoever asks because of it finds all cursors in the new place.
    tables.slot(queue).claims_generation.store(queue.claims_generation, std::memory_order_release);
    if (moved) tables.wake_sleepers(queue);
}

void forget_left(const Tables& tables, Destination& queue) {
    std::erase_if(queue.claims_left, [&](const LeftClaims& left) {
        return std::all_of(queue.consumers.begin(), queue.consumers.end(), [&](auto slot) {
            return tables.subscriptions[slot]->claims_generation >= left.until;
        });
    });
}

}  // namespace

bool make_claims_room(Tables& tables, Destination& queue, std::uint32_t index,
                      std::uint32_t consumer, const Subscription* lone) {
    const bool enough =
        queue.has_claims() && queue.claims.has_lane(index) && consumer <= queue.claims.consumers;
    if (enough) return true;
    const std::uint32_t highest = highest_index(tables, queue, index);
    const std::uint32_t consumers = std::max(consumer, queue.claims.consumers);
    if (lone != nullptr && !queue.has_claims() && highest < claims_tiny_lanes &&
        consumers <= claims_tiny_consumers) {
        NewClaims made;
        made.view = lone->piece.lone_claims();
        move_to(tables, queue, std::move(made));
        return true;
    }
    auto made = make_file(queue, highest + 1, consumers);
    if (!made) return false;
    move_to(tables, queue, std::move(*made));
    return true;
}

void leave_claims(Tables& tables, Destination& queue) {
    if (!queue.consumers.empty()) return forget_left(tables, queue);
    for (const LaneId id : queue.lanes) accept_cursors(tables, *tables.lane(id));
    queue.claims = {};
    queue.claims_mapping = {};
    queue.claims_fd.reset();
    queue.claims_charge = {};
    queue.claims_left.clear();
}

void claims_told(Tables& tables, Destination& queue, Subscription& consumer) {
    consumer.claims_generation = queue.claims_generation;
    forget_left(tables, queue);
}

std::uint32_t take_lane_index(Destination& destination, Position& start) {
    std::uint32_t index = 0;
    if (destination.free_indexes.empty()) {
        index = static_cast<std::uint32_t>(destination.claims_floors.size());
        destination.claims_floors.push_back(0);
    } else {
        index = destination.free_indexes.back();
        destination.free_indexes.pop_back();
    }
    start = std::max(start, destination.claims_floors[index]);
    return index;
}

void give_back_lane_index(Destination& destination, const Lane& lane) {
    // A page further than any cursor ever stood.
    destination.claims_floors[lane.index] = lane.next_start + page_unit;
    destination.free_indexes.push_back(lane.index);
}

}  // namespace weir::broker
