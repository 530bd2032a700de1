// SPDX-License-Identifier: Apache-2.0
#include "core/broker/giving_up.hpp"

#include <algorithm>

#include "core/broker/collection.hpp"
#include "core/broker/counting.hpp"
#include "core/broker/cursors.hpp"
#include "core/broker/lane_gaps.hpp"
#include "core/broker/lane_pages.hpp"
#include "core/broker/lane_places.hpp"
#include "core/broker/retraction.hpp"
#include "shm/barrier.hpp"

namespace weir::broker {
namespace {

// A swap of a queue's cursor is lost to a consumer that claims; it is tried for again.
constexpr int swap_tries = 64;

// A page of a lane that may go: everything in it is complete and its producer is behind it.
struct Candidate {
    Lane* lane = nullptr;
    std::size_t index = 0;
    std::uint64_t order = ~std::uint64_t{0};  // pages were granted in this order
};

bool is_left(const Tables& tables, const Lane& lane, std::size_t index) {
    const Page& page = lane.pages[index];
    if (index + 1 == lane.pages.size() || page.end() > producer_floor(tables, lane)) return false;
    if (gap_between(lane, page.end(), lane.pages[index + 1].start)) return false;
    return page.end() <= lane.producer_from || is_sealed(tables.pages, page);
}

// The first page with something in it that the position has not passed, unless that is on disk: to
// give that up would make no room.
std::optional<std::size_t> unread_index(const Lane& lane, Position cursor) {
    auto index = page_index(lane, cursor);
    if (!index && !lane.pages.empty() && cursor < lane.pages.front().start) index = 0;
    if (index && cursor >= lane.pages[*index].end()) ++*index;
    if (!index || *index == lane.pages.size()) return std::nullopt;
    return gap_between(lane, cursor, lane.pages[*index].start) ? std::nullopt : index;
}

// The oldest page of each lane that may go, the oldest of all first.
std::vector<Candidate> oldest_pages(Tables& tables, const Destination& destination) {
    std::vector<Candidate> found;
    for (const LaneId id : destination.lanes) {
        Lane& lane = *tables.lane(id);
        accept_cursors(tables, lane);
        const auto index = unread_index(lane, lowest_cursor(tables, lane));
        if (!index || !is_left(tables, lane, *index)) continue;
        // It was left when the next one was granted, about; a first page may have lain empty.
        found.push_back({&lane, *index, lane.pages[*index + 1].order});
    }
    std::sort(found.begin(), found.end(),
              [](const Candidate& one, const Candidate& other) { return one.order < other.order; });
    return found;
}

void count_queue_drop(Tables& tables, Destination& queue, std::uint64_t messages) {
    queue.ended.dropped += messages;
    for (const std::uint32_t number : queue.consumers) {
        // relaxed: a number for people and for the consumer, read alone.
        tables.control.subscription(number).dropped.fetch_add(messages, std::memory_order_relaxed);
    }
}

// Moves a queue's cursor to `to`. What lay between is given up; how many messages that were.
std::uint64_t pass_over(Tables& tables, Destination& queue, Lane& lane, Position to) {
    count_forward(tables.pages, lane, to, count_steps_max);
    for (int tries = 0; tries < swap_tries; ++tries) {
        accept_cursors(tables, lane);
        const Position from = lane.queue_cursor;
        if (from >= to || lane.counted.position < from) return 0;
        if (queue.shares_cursors()) {
            // SYNC(cursor_moved) acquire: as a claimant would read it.
            const CursorWord seen = tables.claims.cursor(lane.id).load(std::memory_order_acquire);
            if (cursor_position(seen) != from) continue;
            if (move_cursor(tables.claims, lane.id, seen, to, 0) != ClaimOutcome::won) continue;
        }
        const CountedPlace before = count_before(tables.pages, lane, lane.queue_counted, from);
        lane.queue_cursor = to;
        // relaxed: for those who recount, within a change of all tables (tables_rest).
        tables.slot(lane).queue_cursor.store(to, std::memory_order_relaxed);
        const CountedPlace behind = count_before(tables.pages, lane, before, to);
        lane.queue_counted = behind;
        const std::uint64_t messages = less(behind.messages, before.messages);
        count_queue_drop(tables, queue, messages);
        return messages;
    }
    return 0;
}

// What waits to be delivered again is in nobody's hands, and older than everything behind a cursor.
// At most so many messages of the oldest range; how many that were.
std::uint64_t give_up_pending(Tables& tables, Destination& queue, std::uint64_t most) {
    if (queue.pending.empty()) return 0;
    Range& oldest = queue.pending.front();
    std::uint64_t messages = 0;
    for (; messages < most && oldest.due != 0; ++messages) oldest.due &= oldest.due - 1;
    count_queue_drop(tables, queue, messages);
    if (oldest.due != 0) return messages;
    Lane* const lane = tables.lane(oldest.lane);
    queue.pending.pop_front();
    if (lane != nullptr) collect(tables, *lane);
    return messages;
}

// No page has been left by its producer: the backlog lies where producers write. A producer that is
// not writing now loses its page with what is in it.
bool give_up_tail(Tables& tables, Destination& queue) {
    Candidate oldest;
    for (const LaneId id : queue.lanes) {
        Lane& lane = *tables.lane(id);
        if (!lane.live() || lane.cell == nullptr || lane.pages.empty() || lane.anything_out())
            continue;
        count_forward(tables.pages, lane, everything, count_steps_max);
        const Page& last = lane.pages.back();
        const bool waits =
            // relaxed: a hint; the revocation looks behind a membarrier.
            lane.cell->waiting.load(std::memory_order_relaxed) != ProducerWaiting::no;
        if (waits || lane.counted.position <= lane.queue_cursor) continue;
        if (last.order < oldest.order) oldest = {&lane, lane.pages.size() - 1, last.order};
    }
    if (oldest.lane == nullptr) return false;
    Lane& lane = *oldest.lane;
    const std::uint64_t messages = pass_over(tables, queue, lane, lane.counted.position);
    Lane* const alone[] = {&lane};
    retract(tables, alone);
    if (revoke(tables, alone)) collect(tables, lane);
    return messages != 0;
}

bool give_up_of_queue(Tables& tables, Destination& queue) {
    if (give_up_pending(tables, queue, note_records_max) != 0) return true;
    const std::vector<Candidate> oldest = oldest_pages(tables, queue);
    if (oldest.empty()) return give_up_tail(tables, queue);
    Lane& lane = *oldest.front().lane;
    const Position from = lane.queue_cursor;
    pass_over(tables, queue, lane, lane.pages[oldest.front().index + 1].first_record());
    collect(tables, lane);
    return lane.queue_cursor != from;
}

// ---- topics: who stands in the pages that are to go, and what each subscription loses.

struct Standing {
    std::size_t first = 0;  // pages[first, behind) are in its hands
    std::size_t behind = 0;

    bool anywhere() const noexcept { return behind > first; }
};

// To be asked behind the membarrier. `count`: pages that may go.
//
// The subscriber may put the lane down between any two of these looks: it stores its cursor, then
// clears `looking_at`, then `entering`. What it held at the barrier is found all the same:
//
//   `looking_at` names another lane    it was put down: the cursor, read last, says what is held
//   it names this one, and `entering`
//     a page of this lane              all from the cursor to that page stays
//     none, or another lane's          put down since the first look: as in the first line
//
// Whoever names this lane only after the barrier finds its pages marked, and holds of earlier
// visits what its cursor says. Reading the cursor before `entering` would miss a lane that is put
// down in between, and nothing would be kept of it.
Standing standing_of(const Tables& tables, const Lane& lane, const Attachment& attachment,
                     std::size_t count) {
    const Subscription& subscription = *tables.subscriptions[attachment.subscription];
    const ConsumerCell& cell = subscription.piece.cell();
    // SYNC(put_down) acquire: what is held of a lane that was put down stands in its cursor.
    const bool looks = cell.looking_at.load(std::memory_order_acquire) == lane.id + 1;
    // SYNC(put_down) acquire: as above, when it names no page of this lane any more.
    const PageRef entering = cell.entering.load(std::memory_order_acquire);
    const std::uint64_t word = shown_cursor(subscription, attachment);
    const std::size_t from = unread_index(lane, attachment.cursor).value_or(count);
    const auto at_cursor = page_index(lane, attachment.cursor);
    Standing standing{at_cursor.value_or(from), 0};
    const std::uint64_t units = exclusive_held_units(word);
    if (units != 0) {
        // Counted from the consumer's own word, which stays behind the accepted cursor when that
        // was moved over a gap while messages of other lanes were held.
        const Position at = exclusive_position(word);
        const Position last = at / page_unit * page_unit + (units - 1) * page_unit;
        standing.behind = count;
        for (std::size_t index = standing.first; index < count && units < held_units_max; ++index)
            if (lane.pages[index].end() > last) {
                standing.behind = index + 1;
                break;
            }
    }
    if (!looks) return standing;
    // Of a lane that is looked at, everything from the cursor to the page named may be held.
    for (std::size_t index = 0; index < lane.pages.size(); ++index) {
        if (lane.pages[index].ref != entering) continue;
        standing.first = std::min(standing.first, index);
        standing.behind = std::max(standing.behind, std::min(index + 1, count));
        break;
    }
    return standing;
}

void mark(Tables& tables, const Lane& lane, std::size_t first, std::size_t behind,
          PageState state) {
    for (std::size_t index = first; index < behind; ++index) {
        // relaxed: ordered by the membarrier between marking and looking.
        tables.control.page(lane.pages[index].ref).state.store(state, std::memory_order_relaxed);
    }
}

// One subscription's loss of what lies before pages[keep.size()], of which it reads `standing` to
// the end, and then what is kept for others.
std::uint64_t lose(Tables& tables, Lane& lane, Attachment& attachment, const Standing& standing,
                   const std::vector<bool>& keep) {
    const Page& target = lane.pages[keep.size()];
    const Position from =
        standing.anywhere() ? lane.pages[standing.behind - 1].end() : attachment.cursor;
    const CountedPlace before = count_before(tables.pages, lane, attachment.counted, from);
    const std::uint64_t passed = less(target.messages_before, before.messages);
    // Of what lies between, some may have been given up before.
    std::uint64_t known = 0;
    std::uint64_t known_payload = 0;
    for (const Gap& gap : attachment.gaps) {
        if (gap.from < from) continue;
        known += gap.messages;
        known_payload += gap.payload;
    }
    for (std::size_t index = standing.behind; standing.anywhere() && index < keep.size(); ++index) {
        if (!keep[index]) continue;
        const PageContent content = page_content(tables.pages, lane.pages[index]);
        known += content.messages;
        known_payload += content.payload;
    }
    const std::uint64_t messages = less(passed, known);
    if (standing.anywhere()) {
        if (attachment.gaps.empty() || attachment.gaps.back().from != from)
            attachment.gaps.push_back({from, 0, 0});
        attachment.gaps.back().messages += messages;
        attachment.gaps.back().payload +=
            less(less(target.payload_before, before.payload), known_payload);
    } else {
        attachment.dropped += passed;
        attachment.gaps.clear();
        attachment.cursor = target.first_record();
        attachment.counted = {attachment.cursor, target.messages_before, target.payload_before};
    }
    // relaxed: a number for people and for the consumer, read alone.
    tables.control.subscription(attachment.subscription)
        .dropped.fetch_add(messages, std::memory_order_relaxed);
    return messages;
}

// Gives up pages[0, count) of a topic's lane, but those that somebody stands in.
bool give_up_of_lane(Tables& tables, Destination& topic, Lane& lane, std::size_t count) {
    if (gap_between(lane, position_first, lane.pages[count].start)) return false;
    count_forward(tables.pages, lane, lane.pages[count - 1].end(), count_steps_max);
    if (lane.counted.position < lane.pages[count - 1].end()) return false;
    if (lane.counted.position == lane.pages[count - 1].end()) begin_count(lane, lane.pages[count]);
    mark(tables, lane, 0, count, PageState::giving_up);
    // barrier: who names a page from here on finds it marked; who named it before is seen.
    barrier_everywhere();
    accept_cursors(tables, lane);
    std::vector<bool> keep(count, false);
    std::vector<std::pair<Attachment*, Standing>> behind;
    for (Attachment& attachment : lane.attachments) {
        if (attachment.cursor >= lane.pages[count].first_record()) continue;
        const Standing standing = standing_of(tables, lane, attachment, count);
        for (std::size_t index = standing.first; index < standing.behind; ++index)
            keep[index] = true;
        behind.emplace_back(&attachment, standing);
    }
    for (std::size_t index = 0; index < count; ++index)
        if (keep[index]) mark(tables, lane, index, index + 1, PageState::granted);
    if (std::find(keep.begin(), keep.end(), false) == keep.end()) {
        // Who met a mark meanwhile reads on.
        tables.mark_ready(lane);
        tables.wake_sleepers(topic);
        return false;
    }
    // Who is not there now may come back to a page that is kept for another one: it reads that, and
    // its cursor keeps the page.
    for (auto& [attachment, standing] : behind) {
        const auto at = page_index(lane, attachment->cursor);
        if (!standing.anywhere() && at && *at < count && keep[*at]) standing = {*at, *at + 1};
    }
    for (const auto& [attachment, standing] : behind)
        topic.ended.dropped += lose(tables, lane, *attachment, standing, keep);
    const Position floor = lane.pages[count].first_record();
    free_read_pages(tables, lane, count, keep);
    // SYNC(given_up) release: what lay below is unlinked; the lane goes on here.
    tables.slot(lane).floor.store(floor, std::memory_order_release);
    tables.mark_ready(lane);
    tables.wake_sleepers(topic);
    return true;
}

bool reads_up_to(const Attachment& attachment, const Page& page) {
    return attachment.cursor <= page.end();
}

// Its subscription is over: nothing waits for it, but what it stands in stays until it goes.
void let_go(Tables& tables, Subscription& subscription, Destination& topic, Lane& lane) {
    // SYNC(put_down) acquire: as in standing_of.
    if (subscription.piece.cell().looking_at.load(std::memory_order_acquire) == lane.id + 1) return;
    const auto at =
        std::find_if(lane.attachments.begin(), lane.attachments.end(),
                     [&](const Attachment& one) { return one.subscription == subscription.slot; });
    if (at == lane.attachments.end()) return;
    if (exclusive_held_units(shown_cursor(subscription, *at)) != 0) return;
    count_forward(tables.pages, lane, everything, count_steps_max);
    at->counted = count_before(tables.pages, lane, at->counted, at->cursor);
    const std::uint64_t out = at->messages_out();
    const std::uint64_t unread = less(lane.counted.messages, at->counted.messages);
    topic.ended.messages_out += out;
    topic.ended.dropped += less(unread, at->messages_missing());
    subscription.messages_out_ended += out;
    leave_place(subscription, at->place);
    lane.attachments.erase(at);
    collect(tables, lane);
}

void end_subscriptions(Tables& tables, const std::vector<Subscription*>& slow) {
    for (Subscription* const subscription : slow) {
        subscription->ended = true;
        // SYNC(slot_live) release: nothing is published; who looks again finds it ended.
        tables.control.subscription(subscription->slot)
            .state.store(SlotState::ended, std::memory_order_release);
    }
    // barrier: a subscriber that names a lane from here on finds itself ended; who named one before
    // is seen.
    barrier_everywhere();
    for (Subscription* const subscription : slow) {
        for (Destination& topic : tables.destinations) {
            const auto& consumers = topic.consumers;
            if (std::find(consumers.begin(), consumers.end(), subscription->slot) ==
                consumers.end())
                continue;
            for (const LaneId id : topic.lanes) {
                Lane& lane = *tables.lane(id);
                accept_cursors(tables, lane);
                let_go(tables, *subscription, topic, lane);
            }
            tables.wake_sleepers(topic);
        }
    }
}

}  // namespace

bool give_up_oldest(Tables& tables, Destination& destination) {
    if (destination.kind == DestinationKind::queue) return give_up_of_queue(tables, destination);
    for (const Candidate& oldest : oldest_pages(tables, destination)) {
        Lane& lane = *oldest.lane;
        // Where somebody stands in the oldest one, the next one goes.
        for (std::size_t at = oldest.index; at < lane.pages.size() && is_left(tables, lane, at);
             ++at)
            if (give_up_of_lane(tables, destination, lane, at + 1)) return true;
    }
    return false;
}

std::uint64_t give_up_messages(Tables& tables, Destination& queue, std::uint64_t messages) {
    std::uint64_t given_up = 0;
    while (given_up < messages && !queue.pending.empty())
        given_up += give_up_pending(tables, queue, messages - given_up);
    for (bool found = true; found && given_up < messages;) {
        found = false;
        Candidate oldest;
        for (const LaneId id : queue.lanes) {
            Lane& lane = *tables.lane(id);
            count_forward(tables.pages, lane, everything, count_steps_max);
            accept_cursors(tables, lane);
            const auto index = unread_index(lane, lane.queue_cursor);
            if (!index || lane.counted.position <= lane.queue_cursor) continue;
            const std::uint64_t order = lane.pages[*index].order;
            if (order < oldest.order) oldest = {&lane, *index, order};
        }
        if (oldest.lane == nullptr) break;
        Lane& lane = *oldest.lane;
        const Position to = position_behind(tables.pages, lane, oldest.index, lane.queue_cursor,
                                            messages - given_up);
        const Position from = lane.queue_cursor;
        given_up += pass_over(tables, queue, lane, to);
        found = lane.queue_cursor != from;
        collect(tables, lane);
    }
    return given_up;
}

bool end_slowest(Tables& tables, Destination& topic) {
    const std::vector<Candidate> oldest = oldest_pages(tables, topic);
    if (oldest.empty()) return false;
    const Lane& lane = *oldest.front().lane;
    const Page& page = lane.pages[oldest.front().index];
    std::vector<Subscription*> slow;
    for (const Attachment& attachment : lane.attachments) {
        Subscription& subscription = *tables.subscriptions[attachment.subscription];
        if (reads_up_to(attachment, page) && !subscription.ended) slow.push_back(&subscription);
    }
    // Those that were ended before stand in one page each, and hold what came since.
    if (slow.empty()) return give_up_oldest(tables, topic);
    end_subscriptions(tables, slow);
    return true;
}

}  // namespace weir::broker
