// SPDX-License-Identifier: Apache-2.0
#include "core/broker/subscriptions.hpp"

#include <algorithm>
#include <cstring>

#include "core/broker/collection.hpp"
#include "core/broker/counting.hpp"
#include "core/broker/cursors.hpp"
#include "core/broker/lane_places.hpp"
#include "core/broker/stated_sizes.hpp"
#include "core/protocol/channel.hpp"
#include "core/protocol/names.hpp"

namespace weir::broker {
namespace {

constexpr std::uint64_t every_lane_steps = 8 * count_steps_max;

void leave_places(Tables& tables, Lane& lane) noexcept {
    for (const Attachment& attachment : lane.attachments)
        leave_place(*tables.subscriptions[attachment.subscription], attachment.place);
    lane.attachments.clear();
}

}  // namespace

Result<Subscription*, Refused> Subscriptions::make(Session& session, Destination* destination,
                                                   std::string_view pattern, SubscriptionKind kind,
                                                   std::uint32_t notes, std::uint32_t places) {
    const auto free = tables_->subscriptions.free_slot();
    if (!free)
        return fail(table_is_full("subscriptions (open consumers)", tables_->subscriptions.size()));
    // One of several destinations stands with its session.
    Account& account =
        destination != nullptr ? destination->heap_consumers : tables_->heap_sessions;
    Account* const holder = &session.heap_held;
    auto charge = account.charge(subscription_object_bytes, holder);
    // Ranges that are assigned to it bring their own charges.
    auto range_charge = account.charge(notes * range_bytes, holder);
    const Bytes piece_bytes = kind == SubscriptionKind::shared ? shared_piece_bytes(notes)
                                                               : exclusive_piece_bytes(places);
    auto taken = session.blocks.take(piece_bytes);
    if (!charge || !range_charge || (!taken && taken.error() == NoPiece::heap_full)) {
        if (taken) session.blocks.give_back(*taken);
        const Obstacle at = !charge         ? charge.error()
                            : !range_charge ? range_charge.error()
                                            : session.blocks.obstacle();
        return fail(heap_is_full(at, "another consumer",
                                 subscription_object_bytes + notes * range_bytes + piece_bytes));
    }
    if (!taken)
        return fail(Refused{protocol::Refusal::system, "cannot make memory for a consumer"});

    auto made = std::make_unique<Subscription>();
    made->slot = *free;
    made->session = session.slot;
    made->kind = kind;
    made->destination = destination != nullptr ? destination->slot : nobody;
    made->pattern = pattern;
    made->charge = std::move(*charge);
    made->range_charge = std::move(*range_charge);
    made->place = *taken;
    made->piece = {made->place.base, notes, places};
    made->places.assign(places, false);
    // relaxed: nobody looks before it is answered.
    made->piece.cell().places.store(places, std::memory_order_relaxed);
    session.subscriptions.push_back(made->slot);
    return &tables_->subscriptions.put(*free, std::move(made));
}

void Subscriptions::show(Subscription& subscription, std::uint32_t prefetch) {
    SubscriptionSlot& slot = tables_->control.subscription(subscription.slot);
    slot.kind = subscription.kind;
    slot.session = subscription.session;
    slot.destination = subscription.destination == nobody ? 0 : subscription.destination + 1;
    slot.consumer_slot = subscription.consumer_slot;
    slot.prefetch = prefetch;
    slot.birth = ++tables_->subscriptions_ever;
    show_piece(subscription);
    // relaxed: all of these become visible with the state.
    slot.messages_out.store(0, std::memory_order_relaxed);
    slot.depth_messages.store(0, std::memory_order_relaxed);
    slot.dropped.store(0, std::memory_order_relaxed);
    slot.lost.store(0, std::memory_order_relaxed);
    protocol::copy_text(slot.pattern, subscription.pattern);
    // SYNC(slot_live) release: the slot's fields.
    slot.state.store(SlotState::live, std::memory_order_release);
    const Session& holder = *tables_->sessions[subscription.session];
    // relaxed: a number for people.
    tables_->control.session(holder.slot)
        .subscriptions.store(static_cast<std::uint32_t>(holder.subscriptions.size()),
                             std::memory_order_relaxed);
}

void Subscriptions::show_piece(const Subscription& subscription) {
    SubscriptionSlot& slot = tables_->control.subscription(subscription.slot);
    const ExchangeBlocks& blocks = tables_->sessions[subscription.session]->blocks;
    // relaxed: all within a change of all tables (tables_rest).
    slot.exchange_descriptor.store(shown_descriptor(blocks.descriptor(subscription.place.block)),
                                   std::memory_order_relaxed);
    slot.exchange_offset.store(subscription.place.offset, std::memory_order_relaxed);
    slot.piece_entries.store(subscription.piece.notes + subscription.piece.places,
                             std::memory_order_relaxed);
}

void Subscriptions::publish_consumers(Destination& destination) {
    if (!destination.consumers.empty()) destination.idle_since_ns = 0;
    // relaxed: a number for people.
    tables_->slot(destination)
        .consumers.store(static_cast<std::uint32_t>(destination.consumers.size()),
                         std::memory_order_relaxed);
}

Obstacle Subscriptions::attach(Subscription& subscription, const Destination& destination,
                               Lane& lane, Position cursor, Session& holder) {
    Account& account = tables_->destinations[destination.slot]->heap_consumers;
    auto charge = account.charge(attachment_bytes, &holder.heap_held);
    if (!charge) return charge.error();
    const auto place = take_place(*tables_, subscription);
    if (!place) return place.error();
    Attachment attachment;
    attachment.subscription = subscription.slot;
    attachment.place = *place;
    attachment.cursor = cursor;
    attachment.counted = count_before(tables_->pages, lane, {}, cursor);
    attachment.messages_at_start = attachment.counted.messages;
    attachment.charge = std::move(*charge);
    show_place(subscription, attachment, lane.id);
    lane.attachments.push_back(std::move(attachment));
    return {};
}

Obstacle Subscriptions::attach_new_lane(const Destination& destination, Lane& lane,
                                        Session& opener) {
    for (const std::uint32_t slot : destination.consumers) {
        Subscription& subscription = *tables_->subscriptions[slot];
        if (subscription.kind != SubscriptionKind::exclusive || subscription.ended) continue;
        const Obstacle at = attach(subscription, destination, lane, lane.next_start, opener);
        if (!at) continue;
        leave_places(*tables_, lane);
        return at;
    }
    return {};
}

// On lanes that exist a subscriber begins where they end now.
Obstacle Subscriptions::attach_topic(Subscription& subscription, Destination& topic) {
    topic.consumers.push_back(subscription.slot);
    publish_consumers(topic);
    for (const LaneId id : topic.lanes) {
        Lane& lane = *tables_->lane(id);
        count_forward(tables_->pages, lane, everything, every_lane_steps);
        const bool in_page = page_index(lane, lane.counted.position).has_value();
        const Position ending = in_page ? lane.counted.position : lane.next_start;
        Session& session = *tables_->sessions[subscription.session];
        if (const Obstacle at = attach(subscription, topic, lane, ending, session)) return at;
    }
    return {};
}

void Subscriptions::attach_new_topic(Destination& topic) {
    for (const Subscription& subscription : tables_->subscriptions) {
        if (subscription.destination != nobody || subscription.ended) continue;
        if (!matches(subscription.pattern, topic.name)) continue;
        topic.consumers.push_back(subscription.slot);
    }
    publish_consumers(topic);
}

Result<Subscriptions::Opened, Refused> Subscriptions::open_exclusive(Session& session,
                                                                     std::string_view pattern,
                                                                     Destination* topic,
                                                                     std::uint32_t prefetch) {
    const std::uint32_t most = topic != nullptr ? topic->policy.max_consumers : 0;
    if (most != 0 && topic->consumers.size() >= most)
        return fail(destination_is_full(topic->name, "consumers", "max-consumers", most));
    Opened opened;
    std::vector<Destination*> topics;
    if (topic != nullptr) topics.push_back(topic);
    if (topic == nullptr)
        for (Destination& one : tables_->destinations)
            if (one.kind == DestinationKind::topic && matches(pattern, one.name))
                topics.push_back(&one);
    std::size_t lanes = 0;
    for (const Destination* const one : topics) lanes += one->lanes.size();
    const auto places = std::max(places_least, static_cast<std::uint32_t>(round_up(lanes, 8)));
    auto made = make(session, topic, pattern, SubscriptionKind::exclusive, 0, places);
    if (!made) return fail(made.error());
    opened.subscription = *made;
    Obstacle at;
    for (Destination* const destination : topics)
        if (!at) at = attach_topic(**made, *destination);
    if (at) {
        detach(**made);
        drop(**made);
        return fail(heap_is_full(at, "another consumer", attachment_bytes));
    }
    show(**made, prefetch);
    return opened;
}

// K5 of claims.hpp. What the claimant won is decided, and it claims no more.
void Subscriptions::take_name_off(const Destination& queue, std::uint32_t claimant) {
    for (const LaneId id : queue.lanes) {
        // relaxed: nothing is read under it; a cursor that others move on names it no more.
        const CursorWord word = tables_->claims.cursor(id).load(std::memory_order_relaxed);
        if (cursor_claimant(word) == claimant)
            step_off(tables_->claims, id, cursor_position(word), claimant);
    }
}

Result<Subscriptions::Opened, Refused> Subscriptions::open_shared(Session& session,
                                                                  Destination& queue,
                                                                  std::uint32_t notes,
                                                                  std::uint32_t prefetch) {
    notes = std::clamp(notes, 1u, piece_notes_max);
    const std::uint32_t most = queue.policy.max_consumers;
    if (most != 0 && queue.consumers.size() >= most)
        return fail(destination_is_full(queue.name, "consumers", "max-consumers", most));
    Opened opened;
    auto made = make(session, &queue, queue.name, SubscriptionKind::shared, notes, 0);
    if (!made) return fail(made.error());
    opened.subscription = *made;
    (*made)->consumer_slot = claimant_of((*made)->slot);
    queue.consumers.push_back((*made)->slot);
    if (queue.consumers.size() == 1)
        for (const LaneId id : queue.lanes) show_queue_cursor(*tables_, *tables_->lane(id));
    publish_consumers(queue);
    show(**made, prefetch);
    redelivery_->assign(queue);
    return opened;
}

Result<void, Refused> Subscriptions::widen_notes(Subscription& subscription, std::uint32_t notes) {
    const std::uint32_t had = subscription.piece.notes;
    if (notes <= had) return {};
    Session& session = *tables_->sessions[subscription.session];
    const Bytes bytes = shared_piece_bytes(notes);
    const Bytes more = Bytes{notes - had} * range_bytes;
    Account& account = tables_->destinations[subscription.destination]->heap_consumers;
    auto charge = account.charge(more, &session.heap_held);
    if (!charge) return fail(heap_is_full(charge.error(), "a consumer that holds more", more));
    auto wider = session.blocks.take(bytes);
    if (!wider && wider.error() == NoPiece::heap_full)
        return fail(heap_is_full(session.blocks.obstacle(), "a consumer that holds more", bytes));
    if (!wider)
        return fail(Refused{protocol::Refusal::system, "cannot make memory for a consumer"});
    subscription.range_charge.absorb(std::move(*charge));
    const ConsumerPiece piece{wider->base, notes, 0};
    std::memcpy(piece.base, subscription.piece.base,
                sizeof(ConsumerCell) + had * sizeof(InFlightNote));
    for (const Outstanding& outstanding : subscription.outstanding)
        show_assignment(piece, outstanding);
    session.blocks.give_back(subscription.place);
    subscription.place = *wider;
    subscription.piece = piece;
    return {};
}

Result<void, Refused> Subscriptions::widen(Subscription& subscription, std::uint32_t notes) {
    if (subscription.kind == SubscriptionKind::exclusive) {
        widen_places(*tables_, subscription);
    } else {
        auto widened = widen_notes(subscription, std::min(notes, piece_notes_max));
        if (!widened) return widened;
        // Ranges that found no place have one now.
        redelivery_->assign(*tables_->destinations[subscription.destination]);
    }
    show_piece(subscription);
    return {};
}

void Subscriptions::detach(Subscription& subscription) {
    if (subscription.destination != nobody)
        return detach_from(*tables_->destinations[subscription.destination], subscription);
    for (Destination& destination : tables_->destinations) detach_from(destination, subscription);
}

void Subscriptions::detach_from(Destination& topic, const Subscription& subscription) {
    if (std::erase(topic.consumers, subscription.slot) == 0) return;
    publish_consumers(topic);
    for (const LaneId id : topic.lanes) {
        Lane& lane = *tables_->lane(id);
        const auto at = std::find_if(
            lane.attachments.begin(), lane.attachments.end(),
            [&](const Attachment& one) { return one.subscription == subscription.slot; });
        if (at == lane.attachments.end()) continue;
        count_forward(tables_->pages, lane, everything, count_steps_max);
        accept_cursors(*tables_, lane);
        at->counted = count_before(tables_->pages, lane, at->counted, at->cursor);
        topic.ended.messages_out += at->messages_out();
        lane.attachments.erase(at);
        collect(*tables_, lane);
    }
}

void Subscriptions::drop(Subscription& subscription) {
    Session& session = *tables_->sessions[subscription.session];
    SubscriptionSlot& slot = tables_->control.subscription(subscription.slot);
    // SYNC(slot_live) release: nothing is published; the slot is out of use.
    slot.state.store(SlotState::free, std::memory_order_release);
    std::erase(session.subscriptions, subscription.slot);
    // relaxed: a number for people.
    tables_->control.session(session.slot)
        .subscriptions.store(static_cast<std::uint32_t>(session.subscriptions.size()),
                             std::memory_order_relaxed);
    session.blocks.give_back(subscription.place);
    session.blocks.give_back(subscription.wider);
    tables_->subscriptions.erase(subscription.slot);
}

void Subscriptions::close(Subscription& subscription) {
    if (subscription.kind == SubscriptionKind::exclusive) {
        detach(subscription);
        drop(subscription);
        return;
    }
    Destination& queue = *tables_->destinations[subscription.destination];
    redelivery_->gather(queue, subscription);
    take_name_off(queue, subscription.consumer_slot);
    std::erase(queue.consumers, subscription.slot);
    publish_consumers(queue);
    drop(subscription);
    redelivery_->assign(queue);
    // What it was woken for, or was about to take, is left to the others.
    tables_->wake_sleepers(queue);
    for (const LaneId id : queue.lanes) collect(*tables_, *tables_->lane(id));
}

void Subscriptions::quarantine(Subscription& subscription) {
    subscription.quarantined = true;
    // SYNC(slot_live) release: nothing is published; for tools.
    tables_->control.subscription(subscription.slot)
        .state.store(SlotState::quarantined, std::memory_order_release);
}

void Subscriptions::detach_lane(Destination& destination, Lane& lane) {
    for (Attachment& attachment : lane.attachments) {
        attachment.counted =
            count_before(tables_->pages, lane, attachment.counted, attachment.cursor);
        const std::uint64_t out = attachment.messages_out();
        destination.ended.messages_out += out;
        Subscription& subscription = *tables_->subscriptions[attachment.subscription];
        subscription.messages_out_ended += out;
    }
    leave_places(*tables_, lane);
}

}  // namespace weir::broker
