// SPDX-License-Identifier: Apache-2.0
//
// The part of a recount about heap-like memory: objects are counted, and files are measured.
#include <fmt/format.h>

#include <cstring>
#include <string_view>

#include "core/inspect/recount_state.hpp"
#include "core/protocol/names.hpp"
#include "shm/exchange.hpp"

namespace weir::inspect {
namespace {

std::uint64_t lanes_of(const RecountState& state, std::uint32_t destination) {
    std::uint64_t count = 0;
    for (const WalkedLane& lane : state.lanes) count += lane.destination == destination ? 1 : 0;
    return count;
}

// An exclusive subscription has one attachment per lane of each topic that it means, until it is
// ended: then it has those lanes in which it holds something.
std::uint64_t attachments_of(const RecountState& state, const SubscriptionSlot& subscription) {
    const ControlView& view = *state.view;
    if (shown(subscription.state) == SlotState::ended) {
        const ConsumerPiece piece = state.piece_of(subscription);
        std::uint64_t held = 0;
        for (std::uint32_t place = 0; place < piece.places; ++place)
            if (shown(piece.place(place).lane) != 0) ++held;
        return held;
    }
    if (subscription.destination != 0) return lanes_of(state, subscription.destination - 1);
    const std::string_view pattern(subscription.pattern,
                                   strnlen(subscription.pattern, sizeof subscription.pattern));
    std::uint64_t count = 0;
    for (std::uint32_t slot = 0; slot < view.limits.destinations; ++slot)
        if (state.used_destination(slot) && view.destination(slot).kind == DestinationKind::topic &&
            matches(pattern, state.destination_name(slot)))
            count += lanes_of(state, slot);
    return count;
}

std::uint64_t objects_of(const RecountState& state) {
    const ControlView& view = *state.view;
    const HeapSizes& sizes = view.superblock().heap_sizes;
    std::uint64_t bytes = state.lanes.size() * sizes.lane;
    for (const WalkedLane& lane : state.lanes)
        bytes += shown(view.lane(lane.lane).run_charges) * sizes.run_charge;
    for (std::uint32_t slot = 0; slot < view.limits.sessions; ++slot)
        if (shown(view.session(slot).state) != SlotState::free) bytes += sizes.session;
    for (std::uint32_t slot = 0; slot < view.limits.destinations; ++slot)
        if (state.used_destination(slot))
            bytes += sizes.destination + shown(view.destination(slot).ranges) * sizes.range;
    for (std::uint32_t slot = 0; slot < view.limits.subscriptions; ++slot) {
        const SubscriptionSlot& subscription = view.subscription(slot);
        if (shown(subscription.state) == SlotState::free) continue;
        const bool shared = subscription.kind == SubscriptionKind::shared;
        const std::uint64_t notes = shared ? shown(subscription.piece_entries) : 0;
        bytes += sizes.subscription + notes * sizes.range;
        if (subscription.kind == SubscriptionKind::exclusive)
            bytes += attachments_of(state, subscription) * sizes.attachment;
    }
    return bytes;
}

}  // namespace

void count_heap(RecountState& state, std::uint64_t control_bytes) {
    const std::uint64_t books = shown(state.view->superblock().heap.used);
    std::uint64_t files = 0;
    bool seen = false;
    if (state.plan.broker_lives) {
        for (const MemoryFile& file : state.files->list()) {
            if (file.name == "weir-direct") continue;
            seen = seen || file.name == "weir-signals";
            files += file.bytes;
        }
    }
    if (!seen) {
        state.result.unseen.push_back(
            "heap-like memory was not recounted: exchange and claims are memory files of the "
            "broker's process, which " +
            std::string(state.plan.broker_lives ? "this user may not look into" : "is gone"));
        state.result.of(Resource::heap) = {books, 0, false};
        return;
    }
    const std::uint64_t tables =
        state.view->superblock().heap_sizes.tables + shown(state.view->superblock().policies_bytes);
    const std::uint64_t counted = control_bytes + tables + files + objects_of(state);
    state.compare(Resource::heap, "the broker", books, counted, "bytes");
    state.result.of(Resource::heap) = {books, counted, true};
}

}  // namespace weir::inspect
