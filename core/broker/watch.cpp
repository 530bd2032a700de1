// SPDX-License-Identifier: Apache-2.0
//
// The broker's look around; see watch.hpp.
#include "core/broker/watch.hpp"

#include <algorithm>

#include "core/broker/cursors.hpp"
#include "core/broker/redelivery.hpp"
#include "core/broker/regions.hpp"
#include "shm/barrier.hpp"
#include "shm/sleep.hpp"

namespace weir::broker {
namespace {

// How far the readers of a lane are, in a number that changes whenever one of them moves on.
std::uint64_t sum_of_cursors(const Lane& lane) noexcept {
    std::uint64_t sum = lane.queue_cursor;
    for (const Attachment& attachment : lane.attachments) sum += attachment.cursor;
    return sum;
}

}  // namespace

struct Watch::Seen {
    std::uint64_t moved = 0;
    bool awaited = false;  // somebody has something before him
    std::vector<Lane*> read;
    Numbers overlooked;  // destinations

    // True: this reader was overlooked.
    bool note(Standing& standing, bool awaited_now, std::uint64_t at) {
        awaited = awaited || awaited_now;
        return standing.stands(awaited_now, at);
    }
};

bool Watch::look() {
    Seen seen;
    for (Lane& lane : tables_->lanes) look_at(lane, seen);
    for (Destination& queue : tables_->destinations) look_at_ranges(queue, seen);
    clear_ready_bytes(seen.read);
    wake(seen.overlooked);
    seen.moved += tables_->pages_moved + tables_->sessions_ever + tables_->subscriptions_ever +
                  tables_->closings_ever;
    const bool moved = std::exchange(moved_, seen.moved) != seen.moved;
    return !moved && !seen.awaited && tables_->hunger == 0 && !tables_->stopping &&
           tables_->disk_reason == WaitReason::none && direct_is_whole(*tables_);
}

void Watch::look_at(Lane& lane, Seen& seen) {
    const Destination& destination = tables_->destination_of(lane);
    const bool unread = anything_unread(*tables_, lane);
    seen.moved += sum_of_cursors(lane) + lane.counted.position + lane.counted.messages;
    // relaxed: a hint; what it stands for is looked at with acquire.
    if (!unread && tables_->signals.head().ready[lane.id].load(std::memory_order_relaxed) != 0)
        seen.read.push_back(&lane);
    bool overlooked = false;
    if (destination.kind == DestinationKind::queue) {
        const bool awaited = unread && !destination.consumers.empty();
        overlooked = seen.note(lane.standing, awaited, lane.queue_cursor);
    }
    for (Attachment& attachment : lane.attachments) {
        const bool awaited = unread && readable_at(*tables_, lane, attachment.cursor);
        if (seen.note(attachment.standing, awaited, attachment.cursor)) overlooked = true;
    }
    if (!overlooked) return;
    tables_->mark_ready(lane);
    seen.overlooked.push_back(destination.slot);
}

void Watch::look_at_ranges(Destination& queue, Seen& seen) {
    std::uint64_t taken = 0;
    bool left = !queue.pending.empty();
    for (const std::uint32_t slot : queue.consumers) {
        const Subscription& consumer = *tables_->subscriptions[slot];
        if (consumer.outstanding.empty()) continue;
        taken += taken_by(consumer);
        left = left || taken_by(consumer) != consumer.assigned;
    }
    if (seen.note(queue.standing, left && !queue.consumers.empty(), taken))
        seen.overlooked.push_back(queue.slot);
}

// Each destination once, whatever number of lanes it has.
void Watch::wake(Numbers destinations) {
    if (destinations.empty()) return;
    std::sort(destinations.begin(), destinations.end());
    destinations.erase(std::unique(destinations.begin(), destinations.end()), destinations.end());
    for (const std::uint32_t slot : destinations)
        wake_whoever_waits(tables_->signals.destination(slot).word);
    wake_whoever_waits(tables_->signals.head().anyone.word);
}

void Watch::clear_ready_bytes(const std::vector<Lane*>& read) {
    if (read.empty()) return;
    for (const Lane* const lane : read) {
        // relaxed: ordered by the membarrier below.
        tables_->signals.head().ready[lane->id].store(0, std::memory_order_relaxed);
    }
    // barrier: who publishes from here on finds the byte cleared; what was published before is seen
    // below.
    barrier_everywhere();
    for (Lane* const lane : read) {
        if (!anything_unread(*tables_, *lane)) continue;
        tables_->mark_ready(*lane);
        tables_->wake_sleepers(tables_->destination_of(*lane));
    }
}

}  // namespace weir::broker
