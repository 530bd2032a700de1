// SPDX-License-Identifier: Apache-2.0
#include "core/broker/subscriptions.hpp"

#include <algorithm>

#include "core/broker/collection.hpp"
#include "core/broker/counting.hpp"
#include "core/broker/cursors.hpp"
#include "core/broker/queue_claims.hpp"
#include "core/protocol/channel.hpp"
#include "core/protocol/names.hpp"

namespace weir::broker {
namespace {

constexpr std::uint64_t every_lane_steps = 8 * count_steps_max;

// The lowest free number, above 0; 0: there is none.
std::uint32_t free_consumer_slot(Destination& queue) {
    std::uint32_t slot = 1;
    while (slot < queue.consumer_slots.size() && queue.consumer_slots[slot]) ++slot;
    if (slot > shared_consumers_max) return 0;
    if (slot >= queue.consumer_slots.size()) queue.consumer_slots.resize(slot + 1, false);
    return slot;
}

}  // namespace

Result<Subscription*, Refused> Subscriptions::make(Session& session, Destination* destination,
                                                   std::string_view pattern, SubscriptionKind kind,
                                                   std::uint32_t notes) {
    const auto free =
        free_slot(tables_->subscriptions, tables_->control.view().limits.subscriptions);
    if (!free)
        return fail(table_is_full("subscriptions (open consumers)", tables_->subscriptions.size()));
    Account& account = destination != nullptr ? destination->heap_account : tables_->heap_root;
    const bool shared = kind == SubscriptionKind::shared;
    const Bytes piece_bytes = shared ? shared_piece_bytes : exclusive_piece_bytes;
    const Bytes ranges = shared ? first_chunk * range_bytes : 0;
    auto charge = account.charge(subscription_object_bytes + sizing::text_bytes(pattern.size()));
    auto range_charge = account.charge(ranges);
    auto taken = session.blocks.take(piece_bytes);
    if (!charge || !range_charge || (!taken && taken.error() == NoPiece::heap_full)) {
        if (taken) session.blocks.give_back(*taken);
        return fail(heap_is_full(tables_->heap.ledger(), "another consumer",
                                 subscription_object_bytes + ranges + piece_bytes));
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
    if (ranges != 0) made->range_charges.push_back(std::move(*range_charge));
    made->place = *taken;
    made->piece.base = made->place.base;
    made->piece.notes = notes;
    // relaxed: it becomes visible with the answer.
    made->piece.cell().chunks.store(1, std::memory_order_relaxed);
    session.subscriptions.push_back(made->slot);
    tables_->subscriptions[*free] = std::move(made);
    return tables_->subscriptions[*free].get();
}

void Subscriptions::show(Subscription& subscription, std::uint32_t prefetch) {
    SubscriptionSlot& slot = tables_->control.subscription(subscription.slot);
    slot.kind = subscription.kind;
    slot.session = subscription.session;
    slot.destination = subscription.destination == nobody ? 0 : subscription.destination + 1;
    slot.consumer_slot = subscription.consumer_slot;
    slot.prefetch = prefetch;
    slot.birth = ++tables_->subscriptions_ever;
    // relaxed: both become visible with the state.
    slot.messages_out.store(0, std::memory_order_relaxed);
    slot.depth_messages.store(0, std::memory_order_relaxed);
    protocol::copy_text(slot.pattern, subscription.pattern);
    // SYNC(slot_live) release: the slot's fields.
    slot.state.store(SlotState::live, std::memory_order_release);
    const Session& session = *tables_->sessions[subscription.session];
    // relaxed: a number for people.
    tables_->control.session(session.slot)
        .subscriptions.store(static_cast<std::uint32_t>(session.subscriptions.size()),
                             std::memory_order_relaxed);
}

void Subscriptions::publish_consumers(Destination& destination) {
    if (!destination.consumers.empty()) destination.idle_since_ns = 0;
    // relaxed: a number for people.
    tables_->slot(destination)
        .consumers.store(static_cast<std::uint32_t>(destination.consumers.size()),
                         std::memory_order_relaxed);
}

bool Subscriptions::attach(Subscription& subscription, const Destination& destination, Lane& lane,
                           Position cursor) {
    auto charge = tables_->destinations[destination.slot]->heap_account.charge(attachment_bytes);
    if (!charge) return false;
    if (subscription.free_entries.empty() &&
        subscription.entries == room_of_chunks(subscription.piece.chunks) &&
        !add_chunk(subscription, 0))
        return false;
    if (subscription.free_entries.empty())
        subscription.free_entries.push_back(subscription.entries++);
    Attachment attachment;
    attachment.subscription = subscription.slot;
    attachment.entry = subscription.free_entries.back();
    subscription.free_entries.pop_back();
    attachment.cursor = cursor;
    attachment.counted = count_before(tables_->pages, lane, {}, cursor);
    attachment.messages_at_start = attachment.counted.messages;
    attachment.charge = std::move(*charge);
    CursorEntry& entry = subscription.piece.cursor(attachment.entry);
    lane.attachments.push_back(std::move(attachment));
    // relaxed: it becomes visible with the lane's name.
    entry.cursor.store(cursor, std::memory_order_relaxed);
    // SYNC(cursor_set) release: whoever finds the lane here finds where it begins.
    entry.lane.store(lane.id + 1, std::memory_order_release);
    return true;
}

// Ranges: bytes to be charged for what its notes may have to be kept as.
Result<void, Refused> Subscriptions::add_chunk(Subscription& subscription, Bytes ranges) {
    const std::uint32_t chunk = subscription.piece.chunks;
    const bool shared = subscription.kind == SubscriptionKind::shared;
    const std::uint32_t most = shared ? chunk_of(notes_max - 1) + 1 : chunks_max;
    if (chunk >= most) return fail(table_is_full("entries of one consumer", room_of_chunks(chunk)));
    Account& account = subscription.destination != nobody
                           ? tables_->destinations[subscription.destination]->heap_account
                           : tables_->heap_root;
    const Bytes bytes = shared ? notes_chunk_bytes(chunk) : cursors_chunk_bytes(chunk);
    auto charge = account.charge(ranges);
    auto taken = tables_->sessions[subscription.session]->blocks.take(bytes);
    if (!charge || (!taken && taken.error() == NoPiece::heap_full)) {
        if (taken) tables_->sessions[subscription.session]->blocks.give_back(*taken);
        return fail(heap_is_full(tables_->heap.ledger(), "what a consumer holds", bytes + ranges));
    }
    if (!taken)
        return fail(Refused{protocol::Refusal::system, "cannot make memory for a consumer"});
    if (ranges != 0) subscription.range_charges.push_back(std::move(*charge));
    subscription.chunks.push_back(*taken);
    subscription.piece.add_chunk(taken->base);
    if (shared) subscription.piece.notes = std::min(room_of_chunks(chunk + 1), notes_max);
    // SYNC(cursor_set) release: the chunk is there before a cursor is in it.
    subscription.piece.cell().chunks.store(subscription.piece.chunks, std::memory_order_release);
    return {};
}

Result<Piece, Refused> Subscriptions::open_chunk(Subscription& subscription, std::uint32_t chunk) {
    const bool more_notes = subscription.kind == SubscriptionKind::shared &&
                            chunk == subscription.piece.chunks &&
                            subscription.piece.notes >= first_chunk;
    if (more_notes) {
        const Bytes notes = room_of_chunks(chunk + 1) - room_of_chunks(chunk);
        if (auto added = add_chunk(subscription, notes * range_bytes); !added)
            return fail(added.error());
    }
    if (chunk == 0 || chunk > subscription.chunks.size())
        return fail(Refused{protocol::Refusal::not_found, "this consumer has no such chunk"});
    return subscription.chunks[chunk - 1];
}

bool Subscriptions::attach_new_lane(const Destination& destination, Lane& lane) {
    const bool attached = std::all_of(
        destination.consumers.begin(), destination.consumers.end(), [&](std::uint32_t slot) {
            Subscription& subscription = *tables_->subscriptions[slot];
            return subscription.kind != SubscriptionKind::exclusive ||
                   attach(subscription, destination, lane, lane.next_start);
        });
    for (std::size_t at = lane.attachments.size(); !attached && at-- > 0;)
        release_entry(lane.attachments[at]);
    return attached;
}

void Subscriptions::release_entry(const Attachment& attachment) {
    Subscription& subscription = *tables_->subscriptions[attachment.subscription];
    CursorEntry& entry = subscription.piece.cursor(attachment.entry);
    // SYNC(cursor_set) release: nothing is published; nobody looks at the lane any more.
    entry.lane.store(0, std::memory_order_release);
    // SYNC(cursor_set) release: as above.
    entry.cursor.store(0, std::memory_order_release);
    subscription.free_entries.push_back(attachment.entry);
}

// On lanes that exist a subscriber begins where they end now.
bool Subscriptions::attach_topic(Subscription& subscription, Destination& topic) {
    topic.consumers.push_back(subscription.slot);
    publish_consumers(topic);
    for (const LaneId id : topic.lanes) {
        Lane& lane = *tables_->lane(id);
        count_forward(tables_->pages, lane, everything, every_lane_steps);
        const bool in_page = page_index(lane, lane.counted.position).has_value();
        const Position ending = in_page ? lane.counted.position : lane.next_start;
        if (!attach(subscription, topic, lane, ending)) return false;
    }
    return true;
}

void Subscriptions::attach_new_topic(Destination& topic) {
    for (const auto& subscription : tables_->subscriptions) {
        if (!subscription || subscription->destination != nobody) continue;
        if (!matches(subscription->pattern, topic.name)) continue;
        topic.consumers.push_back(subscription->slot);
    }
    publish_consumers(topic);
}

Result<Subscription*, Refused> Subscriptions::open_exclusive(Session& session,
                                                             std::string_view pattern,
                                                             Destination* topic,
                                                             std::uint32_t prefetch) {
    auto made = make(session, topic, pattern, SubscriptionKind::exclusive, 0);
    if (!made) return fail(made.error());
    bool attached = true;
    for (const auto& destination : tables_->destinations) {
        if (!destination || destination->kind != DestinationKind::topic) continue;
        const bool meant =
            topic != nullptr ? destination.get() == topic : matches(pattern, destination->name);
        if (meant) attached = attached && attach_topic(**made, *destination);
    }
    if (!attached) {
        detach(**made);
        drop(**made);
        return fail(heap_is_full(tables_->heap.ledger(), "another consumer", attachment_bytes));
    }
    show(**made, prefetch);
    return *made;
}

Result<Subscription*, Refused> Subscriptions::open_shared(Session& session, Destination& queue,
                                                          std::uint32_t notes,
                                                          std::uint32_t prefetch) {
    notes = std::clamp(notes, 1u, first_chunk);
    const std::uint32_t number = free_consumer_slot(queue);
    if (number == 0) return fail(table_is_full("consumers of one queue", shared_consumers_max));
    auto made = make(session, &queue, queue.name, SubscriptionKind::shared, notes);
    if (!made) return fail(made.error());
    Subscription& consumer = **made;
    consumer.consumer_slot = number;
    if (!make_claims_room(*tables_, queue, 0, number, &consumer)) {
        drop(consumer);
        return fail(heap_is_full(tables_->heap.ledger(), "another consumer of a queue", page_unit));
    }
    queue.consumer_slots[number] = true;
    queue.consumers.push_back(consumer.slot);
    claims_told(*tables_, queue, consumer);
    publish_consumers(queue);
    show(consumer, prefetch);
    redelivery_->assign(queue);
    return &consumer;
}

void Subscriptions::detach(Subscription& subscription) {
    for (const auto& destination : tables_->destinations) {
        if (!destination) continue;
        const bool meant =
            subscription.destination == nobody || subscription.destination == destination->slot;
        if (!meant || std::erase(destination->consumers, subscription.slot) == 0) continue;
        publish_consumers(*destination);
        for (const LaneId id : destination->lanes) {
            Lane& lane = *tables_->lane(id);
            const auto at = std::find_if(
                lane.attachments.begin(), lane.attachments.end(),
                [&](const Attachment& one) { return one.subscription == subscription.slot; });
            if (at == lane.attachments.end()) continue;
            count_forward(tables_->pages, lane, everything, count_steps_max);
            accept_cursors(*tables_, lane);
            at->counted = count_before(tables_->pages, lane, at->counted, at->cursor);
            destination->ended.messages_out += less(at->counted.messages, at->messages_at_start);
            lane.attachments.erase(at);
            collect(*tables_, lane);
        }
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
    for (const Piece& chunk : subscription.chunks) session.blocks.give_back(chunk);
    session.blocks.give_back(subscription.place);
    tables_->subscriptions[subscription.slot].reset();
}

void Subscriptions::close(Subscription& subscription) {
    if (subscription.kind == SubscriptionKind::exclusive) {
        detach(subscription);
        drop(subscription);
        return;
    }
    Destination& queue = *tables_->destinations[subscription.destination];
    redelivery_->gather(queue, subscription);
    std::erase(queue.consumers, subscription.slot);
    queue.consumer_slots[subscription.consumer_slot] = false;
    publish_consumers(queue);
    leave_claims(*tables_, queue);
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
        const std::uint64_t out = less(attachment.counted.messages, attachment.messages_at_start);
        destination.ended.messages_out += out;
        Subscription& subscription = *tables_->subscriptions[attachment.subscription];
        subscription.messages_out_ended += out;
        release_entry(attachment);
    }
    lane.attachments.clear();
}

}  // namespace weir::broker
