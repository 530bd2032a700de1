// SPDX-License-Identifier: Apache-2.0
#include "core/broker/books.hpp"

#include <algorithm>
#include <bit>

#include "core/broker/counting.hpp"
#include "core/broker/cursors.hpp"
#include "core/broker/holders.hpp"
#include "core/broker/redelivery.hpp"

namespace weir::broker {
namespace {

constexpr std::uint64_t growth_span_ms = 1000;

struct Totals {
    Bytes disk = 0;
    std::uint64_t in = 0;
    std::uint64_t out = 0;
    std::uint64_t damaged = 0;
    std::uint64_t dropped_newest = 0;
    Depth depth;
    Depth pending;  // a queue's: the part of its depth that nobody was given yet
};

// What the producer says that it gave up; nobody else can know.
std::uint64_t dropped_by_producer(const Lane& lane) {
    // relaxed: a number for people.
    return lane.cell != nullptr ? lane.cell->dropped_newest.load(std::memory_order_relaxed) : 0;
}

void add_range(const Tables& tables, const Range& range, std::uint64_t due, Depth& depth) {
    const Lane* const lane = tables.lane(range.lane);
    const auto index = lane != nullptr ? page_index(*lane, range.from) : std::nullopt;
    if (!index) return;
    const RangeContent content =
        range_content(tables.pages, lane->pages[*index], range.from, range.to);
    for (std::uint32_t at = 0; at < content.messages; ++at) {
        if ((due >> at & 1) == 0) continue;
        ++depth.messages;
        depth.payload += content.payload[at];
    }
}

// What one consumer of a queue holds. Its cursors were accepted before; `taken` is read before the
// notes.
void add_held(const Tables& tables, const Destination& queue, const Subscription& consumer,
              Depth& depth) {
    const std::uint64_t taken = taken_by(consumer);
    std::vector<std::uint64_t> named;
    for (std::uint32_t index = 0; index < consumer.piece.notes; ++index) {
        const auto note = copy_note(tables, queue, consumer.piece.note(index));
        if (!note || !holds(tables, consumer, *note)) continue;
        if (note->assignment != 0) named.push_back(note->assignment - 1);
        add_range(tables, note->range, note->range.due & ~note->acknowledged, depth);
    }
    for (const Outstanding& outstanding : consumer.outstanding) {
        if (outstanding.number < taken) continue;
        if (std::find(named.begin(), named.end(), outstanding.number) != named.end()) continue;
        add_range(tables, outstanding.range, outstanding.range.due, depth);
    }
}

Totals count_queue(Tables& tables, const Destination& queue) {
    Totals totals;
    for (const LaneId id : queue.lanes) {
        Lane& lane = *tables.lane(id);
        lane.queue_counted =
            count_before(tables.pages, lane, lane.queue_counted, lane.queue_cursor);
        totals.depth.messages += less(lane.counted.messages, lane.queue_counted.messages);
        totals.depth.payload += less(lane.counted.payload, lane.queue_counted.payload);
    }
    for (const Range& range : queue.pending) add_range(tables, range, range.due, totals.pending);
    totals.depth.messages += totals.pending.messages;
    totals.depth.payload += totals.pending.payload;
    for (const std::uint32_t slot : queue.consumers)
        add_held(tables, queue, *tables.subscriptions[slot], totals.depth);
    return totals;
}

Totals count_topic(Tables& tables, const Destination& topic) {
    Totals totals;
    std::vector<Depth> depths(topic.consumers.size());
    for (const LaneId id : topic.lanes) {
        Lane& lane = *tables.lane(id);
        for (Attachment& attachment : lane.attachments) {
            attachment.counted =
                count_before(tables.pages, lane, attachment.counted, attachment.cursor);
            totals.out += attachment.messages_out();
            const auto at =
                std::find(topic.consumers.begin(), topic.consumers.end(), attachment.subscription);
            if (at == topic.consumers.end()) continue;
            Depth& depth = depths[static_cast<std::size_t>(at - topic.consumers.begin())];
            depth.messages += less(lane.counted.messages,
                                   attachment.counted.messages + attachment.messages_missing());
            depth.payload += less(lane.counted.payload,
                                  attachment.counted.payload + attachment.payload_missing());
        }
    }
    for (const Depth& depth : depths)
        if (depth.messages > totals.depth.messages) totals.depth = depth;
    return totals;
}

void publish(Tables& tables, const Destination& destination, const Totals& totals) {
    DestinationSlot& slot = tables.slot(destination);
    Books& books = slot.books;
    // SYNC(books) release: odd: the numbers behind are about to change.
    slot.books_generation.fetch_add(1, std::memory_order_acq_rel);
    // SYNC(books) release: all of these belong to the odd generation before, at least.
    books.messages_in.store(totals.in, std::memory_order_release);
    // SYNC(books) release: as above.
    books.messages_out.store(totals.out, std::memory_order_release);
    // SYNC(books) release: as above.
    books.depth_messages.store(totals.depth.messages, std::memory_order_release);
    // SYNC(books) release: as above.
    books.depth_bytes.store(totals.depth.payload, std::memory_order_release);
    // SYNC(books) release: as above.
    books.direct_bytes.store(destination.direct_account.used(), std::memory_order_release);
    // SYNC(books) release: as above.
    books.disk_bytes.store(totals.disk, std::memory_order_release);
    // SYNC(books) release: as above.
    books.redelivered.store(destination.ended.redelivered, std::memory_order_release);
    // SYNC(books) release: as above.
    books.damaged.store(totals.damaged, std::memory_order_release);
    // SYNC(books) release: as above.
    slot.pending_messages.store(totals.pending.messages, std::memory_order_release);
    // SYNC(books) release: as above.
    slot.pending_bytes.store(totals.pending.payload, std::memory_order_release);
    // SYNC(books) release: as above.
    slot.settled_ns.store(tables.clock.now_ns(), std::memory_order_release);
    // SYNC(books) release: as above.
    books.dropped.store(destination.ended.dropped, std::memory_order_release);
    // SYNC(books) release: as above.
    books.dropped_newest.store(totals.dropped_newest, std::memory_order_release);
    // SYNC(books) release: even: the numbers are those of one moment.
    slot.books_generation.fetch_add(1, std::memory_order_release);
}

// Out and depth of each subscription: of a queue's consumer what it holds, of a topic's what it has
// to come.
void publish_subscriptions(Tables& tables) {
    for (Subscription& subscription : tables.subscriptions) subscription.summed = {};
    for (const Lane& lane : tables.lanes) {
        for (const Attachment& attachment : lane.attachments) {
            SubscriptionSums& sums = tables.subscriptions[attachment.subscription]->summed;
            sums.depth_messages += less(
                lane.counted.messages, attachment.counted.messages + attachment.messages_missing());
            sums.messages_out += attachment.messages_out();
        }
    }
    for (const Subscription& subscription : tables.subscriptions) {
        Depth depth{.messages = subscription.summed.depth_messages};
        if (subscription.kind == SubscriptionKind::shared)
            add_held(tables, *tables.destinations[subscription.destination], subscription, depth);
        SubscriptionSlot& slot = tables.control.subscription(subscription.slot);
        // relaxed: both are numbers for people.
        slot.depth_messages.store(depth.messages, std::memory_order_relaxed);
        slot.messages_out.store(subscription.messages_out_ended + subscription.summed.messages_out,
                                std::memory_order_relaxed);
    }
}

}  // namespace

Depth settle_destination(Tables& tables, Destination& destination) {
    std::uint64_t in = destination.ended.messages_in;
    std::uint64_t damaged = destination.ended.damaged;
    std::uint64_t dropped_newest = destination.ended.dropped_newest;
    Bytes on_disk = 0;
    for (const LaneId id : destination.lanes) {
        Lane& lane = *tables.lane(id);
        // Cursors before counts: what a consumer has read is then counted as well.
        accept_cursors(tables, lane);
        count_forward(tables.pages, lane, everything, count_steps_max);
        in += lane.counted.messages;
        damaged += lane.damaged;
        dropped_newest += dropped_by_producer(lane);
        on_disk += lane.spilled.bytes();
        // relaxed: a number for people.
        tables.slot(lane).messages_in.store(lane.counted.messages, std::memory_order_relaxed);
    }
    const bool is_queue = destination.kind == DestinationKind::queue;
    Totals totals = is_queue ? count_queue(tables, destination) : count_topic(tables, destination);
    totals.in = in;
    totals.disk = on_disk;
    totals.damaged = damaged;
    totals.dropped_newest = dropped_newest;
    totals.out = is_queue ? less(in, totals.depth.messages + destination.ended.dropped)
                          : totals.out + destination.ended.messages_out;
    publish(tables, destination, totals);
    return totals.depth;
}

void measure_growth(Tables& tables) {
    const std::uint64_t now = tables.clock.now_ns();
    const std::uint64_t span_ms = (now - tables.growth_from_ns) / ns_per_ms;
    if (span_ms < growth_span_ms) return;
    const Bytes used = tables.direct.root.used();
    const Bytes grown = tables.growth_from_ns == 0 ? 0 : less(used, tables.growth_from);
    // relaxed: a number for people.
    tables.control.superblock().direct_growth_per_s.store(grown * 1000 / span_ms,
                                                          std::memory_order_relaxed);
    tables.growth_from = used;
    tables.growth_from_ns = now;
}

bool settle_some(Tables& tables, std::size_t& next, std::size_t lanes_max) {
    std::size_t lanes = 0;
    const auto settle = [&](auto at, std::size_t to) {
        for (; at != tables.destinations.end() && at->slot < to; ++at) {
            if (lanes >= lanes_max) return false;
            settle_destination(tables, *at);
            lanes += 1 + at->lanes.size();
            next = at->slot + 1;
        }
        return true;
    };
    const std::size_t first = next;
    const bool whole = settle(tables.destinations.from(first), tables.destinations.size()) &&
                       settle(tables.destinations.begin(), first);
    publish_subscriptions(tables);
    return whole;
}

Depth settle_all(Tables& tables) {
    Depth depth;
    for (Destination& destination : tables.destinations) {
        const Depth one = settle_destination(tables, destination);
        depth.messages += one.messages;
        depth.payload += one.payload;
    }
    publish_subscriptions(tables);
    settle_users(tables);
    return depth;
}

}  // namespace weir::broker
