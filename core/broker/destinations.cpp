// SPDX-License-Identifier: Apache-2.0
#include "core/broker/destinations.hpp"

#include <algorithm>

#include "core/broker/cursors.hpp"
#include "core/broker/policy.hpp"
#include "core/broker/regions.hpp"
#include "core/broker/stated_sizes.hpp"
#include "core/protocol/channel.hpp"

namespace weir::broker {

Result<Destination*, Refused> Destinations::find_or_make(const DestinationName& name) {
    if (Destination* const found = tables_->destination_named(name.full)) return found;
    const auto free = tables_->destinations.free_slot();
    if (!free) return fail(table_is_full("destinations", tables_->destinations.size()));
    return make(name, *free);
}

Result<Destination*, Refused> Destinations::make(const DestinationName& name, std::uint32_t slot) {
    auto made =
        std::make_unique<Destination>(slot, name.full, name.kind, tables_->direct, tables_->heap);
    auto charge = made->heap_account.charge(destination_object_bytes);
    if (!charge)
        return fail(heap_is_full(charge.error(), "another destination", destination_object_bytes));
    made->charge = std::move(*charge);
    made->policy = tables_->policies.policy_of(name.full);
    const auto reserve = [&] { return made->direct_account.set_reserve(made->policy.reserve); };
    if (!succeeds_in_direct(*tables_, reserve))
        return fail(direct_is_full(tables_->direct.root, name.full, made->policy.reserve));
    made->direct_account.set_limit(limit_of(made->policy));

    Destination& destination = tables_->destinations.put(slot, std::move(made));
    tables_->enter_name(destination);
    DestinationSlot& shown = tables_->control.destination(slot);
    shown.kind = name.kind;
    ++shown.birth;
    protocol::copy_text(shown.name, name.full);
    // relaxed: all of these become visible with the state.
    shown.first_lane.store(0, std::memory_order_relaxed);
    shown.producers.store(0, std::memory_order_relaxed);
    shown.consumers.store(0, std::memory_order_relaxed);
    shown.blocked_producers.store(0, std::memory_order_relaxed);
    shown.ranges.store(0, std::memory_order_relaxed);
    shown.ranges_waiting.store(0, std::memory_order_relaxed);
    for (std::atomic<std::uint64_t>* book :
         {&shown.books.messages_in, &shown.books.messages_out, &shown.books.depth_messages,
          &shown.books.depth_bytes, &shown.books.direct_bytes, &shown.books.redelivered,
          &shown.books.damaged, &shown.books.dropped, &shown.books.dropped_newest,
          &shown.pending_messages, &shown.pending_bytes, &shown.settled_ns}) {
        // relaxed: as above.
        book->store(0, std::memory_order_relaxed);
    }
    destination.direct_account.publish_to(shown.direct);
    destination.direct_producers.publish_to(shown.direct_parts.producer);
    destination.direct_consumers.publish_to(shown.direct_parts.consumer);
    destination.heap_account.publish_to(shown.heap);
    show(destination.policy, shown.policy);
    // SYNC(slot_live) release: the slot's fields.
    shown.state.store(SlotState::live, std::memory_order_release);
    if (name.kind == DestinationKind::topic) subscriptions_->attach_new_topic(destination);
    return &destination;
}

bool Destinations::in_use(Destination& destination) const {
    const bool named = std::any_of(
        destination.consumers.begin(), destination.consumers.end(),
        [&](std::uint32_t slot) { return tables_->subscriptions[slot]->destination != nobody; });
    if (destination.kept || destination.producers != 0 || named || !destination.pending.empty())
        return true;
    return std::any_of(destination.lanes.begin(), destination.lanes.end(),
                       [&](LaneId id) { return anything_unread(*tables_, *tables_->lane(id)); });
}

void Destinations::end_idle() {
    const std::uint64_t now = tables_->clock.now_ns();
    std::vector<Destination*> over;
    for (Destination& destination : tables_->destinations) {
        if (in_use(destination)) {
            destination.idle_since_ns = 0;
        } else if (destination.idle_since_ns == 0) {
            destination.idle_since_ns = now;
        } else if (now - destination.idle_since_ns >= idle_ns_) {
            over.push_back(&destination);
        }
    }
    if (over.empty()) return;
    lanes_->end_read_lanes(over, true);
    for (Destination* const destination : over)
        if (destination->lanes.empty()) end(*destination);
}

void Destinations::end(Destination& destination) {
    DestinationSlot& shown = tables_->slot(destination);
    // SYNC(slot_live) release: nothing is published; the slot is out of use.
    shown.state.store(SlotState::free, std::memory_order_release);
    tables_->strike_name(destination);
    tables_->destinations.erase(destination.slot);
}

}  // namespace weir::broker
