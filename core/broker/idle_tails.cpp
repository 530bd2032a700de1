// SPDX-License-Identifier: Apache-2.0
#include "core/broker/idle_tails.hpp"

#include <algorithm>

#include "core/broker/cursors.hpp"
#include "core/broker/lane_pages.hpp"
#include "core/broker/lane_places.hpp"
#include "shm/barrier.hpp"

namespace weir::broker {
namespace {

bool is_read_tail(Tables& tables, Lane& lane) {
    if (!lane.live() || lane.attachments.empty() || lane.pages.empty()) return false;
    return lane.pages.back().end() == lane.producer_from && !anything_unread(tables, lane);
}

void mark(Tables& tables, const Lane& lane, PageState state) {
    for (const Page& page : lane.pages) {
        // relaxed: ordered by the membarrier between marking and looking.
        tables.control.page(page.ref).state.store(state, std::memory_order_relaxed);
    }
}

// To be asked behind the membarrier: who names the lane from there on finds its pages marked.
bool is_in_hands(const Tables& tables, const Lane& lane) {
    return std::any_of(
        lane.attachments.begin(), lane.attachments.end(), [&](const Attachment& attachment) {
            const Subscription& subscription = *tables.subscriptions[attachment.subscription];
            const ConsumerCell& cell = subscription.piece.cell();
            // SYNC(put_down) acquire: what is held of a lane that was put down stands in its
            // cursor.
            if (cell.looking_at.load(std::memory_order_acquire) == lane.id + 1) return true;
            return exclusive_held_units(shown_cursor(subscription, attachment)) != 0;
        });
}

void take(Tables& tables, Lane& lane) {
    const Position floor = lane.next_start + page_header_bytes;
    for (Attachment& attachment : lane.attachments) {
        for (const Gap& gap : attachment.gaps) attachment.dropped += gap.messages;
        attachment.gaps.clear();
        attachment.cursor = floor;
        attachment.counted = {floor, lane.counted.messages, lane.counted.payload};
    }
    free_read_pages(tables, lane, lane.pages.size(), std::vector<bool>(lane.pages.size(), false));
    // SYNC(given_up) release: what lay below is unlinked; the lane goes on here.
    tables.slot(lane).floor.store(floor, std::memory_order_release);
}

}  // namespace

bool take_read_tails(Tables& tables, std::span<Lane* const> lanes) {
    std::vector<Lane*> marked;
    for (Lane* const lane : lanes) {
        if (!is_read_tail(tables, *lane)) continue;
        mark(tables, *lane, PageState::giving_up);
        marked.push_back(lane);
    }
    if (marked.empty()) return false;
    // barrier: who names a lane from here on finds its pages marked; who named one before is seen.
    barrier_everywhere();
    bool taken = false;
    for (Lane* const lane : marked) {
        // In this order: what is held stands in the cursors that are read last.
        if (!is_in_hands(tables, *lane) && !anything_unread(tables, *lane)) {
            take(tables, *lane);
            taken = true;
            continue;
        }
        mark(tables, *lane, PageState::granted);
        // Who met a mark meanwhile reads on.
        tables.mark_ready(*lane);
        tables.wake_sleepers(tables.destination_of(*lane));
    }
    return taken;
}

}  // namespace weir::broker
