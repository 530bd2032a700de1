// SPDX-License-Identifier: Apache-2.0
#include "core/broker/lane_places.hpp"

#include <algorithm>
#include <cstring>

namespace weir::broker {
namespace {

std::uint32_t wider_places(const Subscription& subscription) noexcept {
    return static_cast<std::uint32_t>(subscription.places.size());
}

// The places from `first` on, in the lanes of one topic.
void show_places(const Tables& tables, const Destination& topic, const Subscription& subscription,
                 std::uint32_t first) {
    for (const LaneId id : topic.lanes)
        for (const Attachment& attachment : tables.lane(id)->attachments)
            if (attachment.subscription == subscription.slot && attachment.place >= first)
                show_place(subscription, attachment, id);
}

}  // namespace

Result<std::uint32_t, Obstacle> take_place(Tables& tables, Subscription& subscription) {
    std::vector<bool>& places = subscription.places;
    const auto free = std::find(places.begin(), places.end(), false);
    const auto place = static_cast<std::uint32_t>(free - places.begin());
    if (free != places.end()) {
        *free = true;
        return place;
    }
    const std::uint32_t count = std::max(places_least, 2 * place);
    ExchangeBlocks& blocks = tables.sessions[subscription.session]->blocks;
    auto wider = blocks.take(exclusive_piece_bytes(count));
    if (!wider) {
        if (wider.error() == NoPiece::heap_full) return fail(blocks.obstacle());
        const Account& heap = tables.heap.root;  // the machine has none left
        return fail(Obstacle{LimitLevel::broker, heap.used(), heap.limit()});
    }
    blocks.give_back(subscription.wider);
    subscription.wider = *wider;
    places.resize(count, false);
    places[place] = true;
    // SYNC(place_set) release: nothing is published yet; the consumer asks when it sees it.
    subscription.piece.cell().places.store(count, std::memory_order_release);
    return place;
}

void leave_place(Subscription& subscription, std::uint32_t place) noexcept {
    subscription.places[place] = false;
    if (place >= subscription.piece.places) return;
    LanePlace& shown = subscription.piece.place(place);
    // SYNC(place_set) release: nothing is published; nobody looks at the lane any more.
    shown.lane.store(0, std::memory_order_release);
    // SYNC(cursor_set) release: as above.
    shown.cursor.store(0, std::memory_order_release);
}

void show_place(const Subscription& subscription, const Attachment& attachment,
                LaneId lane) noexcept {
    if (attachment.place >= subscription.piece.places) return;
    LanePlace& shown = subscription.piece.place(attachment.place);
    // SYNC(cursor_set) release: nothing is read before it.
    shown.cursor.store(exclusive_cursor(attachment.cursor, 0), std::memory_order_release);
    // SYNC(place_set) release: the cursor beside it.
    shown.lane.store(lane + std::uint64_t{1}, std::memory_order_release);
}

std::uint64_t shown_cursor(const Subscription& subscription,
                           const Attachment& attachment) noexcept {
    if (attachment.place >= subscription.piece.places)
        return exclusive_cursor(attachment.cursor, 0);
    // SYNC(cursor_set) acquire: what lies before it has been read.
    return subscription.piece.place(attachment.place).cursor.load(std::memory_order_acquire);
}

void widen_places(Tables& tables, Subscription& subscription) {
    if (!subscription.wider) return;
    const std::uint32_t had = subscription.piece.places;
    const ConsumerPiece wider{subscription.wider.base, 0, wider_places(subscription)};
    std::memcpy(wider.base, subscription.piece.base, exclusive_piece_bytes(had));
    tables.sessions[subscription.session]->blocks.give_back(subscription.place);
    subscription.place = std::exchange(subscription.wider, {});
    subscription.piece = wider;
    if (subscription.destination != nobody) {
        show_places(tables, *tables.destinations[subscription.destination], subscription, had);
        return;
    }
    for (Destination& topic : tables.destinations) show_places(tables, topic, subscription, had);
}

}  // namespace weir::broker
