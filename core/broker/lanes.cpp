// SPDX-License-Identifier: Apache-2.0
#include "core/broker/lanes.hpp"

#include <algorithm>

#include "core/broker/collection.hpp"
#include "core/broker/counting.hpp"
#include "core/broker/cursors.hpp"
#include "core/broker/holders.hpp"
#include "core/broker/stated_sizes.hpp"
#include "core/broker/window.hpp"
#include "shm/barrier.hpp"

namespace weir::broker {

// Closed last, taken first. A lane without positions for another window is left to end.
Lane* Lanes::closed_lane_of(Destination& destination) const {
    Lane* latest = nullptr;
    for (const LaneId id : destination.lanes) {
        Lane* const lane = tables_->lane(id);
        if (lane->state != SlotState::closed || !lane->ending_known) continue;
        if (lane->next_start + 2 * window_max > position_limit) continue;
        if (latest == nullptr || lane->closed_number > latest->closed_number) latest = lane;
    }
    return latest;
}

Result<Lane*, Refused> Lanes::new_lane(Session& session, Destination& destination) {
    const auto free = tables_->lanes.free_slot([&](std::size_t slot) {
        return tables_->histories[slot].next_start + 2 * window_max <= position_limit;
    });
    if (!free) return fail(table_is_full("lanes (open producers)", tables_->lanes.size()));
    const LaneId id = *free;
    auto charge = destination.heap_producers.charge(lane_object_bytes, &session.heap_held);
    if (!charge) return fail(heap_is_full(charge.error(), "another producer", lane_object_bytes));

    LaneHistory& history = tables_->histories[id];
    auto made = std::make_unique<Lane>(id, destination.slot, destination.direct_producers,
                                       destination.direct_consumers);
    made->charge = std::move(*charge);
    made->birth = ++history.births;
    made->next_start = history.next_start;
    made->producer_from = history.next_start;
    made->counted.position = history.next_start;
    made->queue_cursor = history.next_start;
    made->queue_counted.position = history.next_start;
    if (const Obstacle at = subscriptions_->attach_new_lane(destination, *made, session))
        return fail(heap_is_full(at, "another producer", attachment_bytes));
    return &tables_->lanes.put(id, std::move(made));
}

Lanes::Ending Lanes::ending_of(const Lane& lane) {
    if (lane.pages.empty()) return {};
    const Page& page = lane.pages.back();
    return {page.ref, lane.counted.position, less(lane.counted.messages, page.messages_before),
            less(lane.counted.payload, page.payload_before)};
}

Result<Lanes::Opened, Refused> Lanes::open(Session& session, Destination& destination) {
    const std::uint32_t most = destination.policy.max_producers;
    if (most != 0 && destination.producers >= most)
        return fail(destination_is_full(destination.name, "producers", "max-producers", most));
    auto taken = session.blocks.take(sizeof(ProducerCell));
    if (!taken) {
        if (taken.error() == NoPiece::heap_full)
            return fail(heap_is_full(session.blocks.obstacle(), "another producer", page_unit));
        return fail(Refused{protocol::Refusal::system, "cannot make memory for a producer"});
    }
    Opened opened;
    opened.lane = closed_lane_of(destination);
    if (opened.lane != nullptr && !opened.lane->charge.hand_to(session.heap_held)) {
        session.blocks.give_back(*taken);
        return fail(heap_is_full(session.heap_held.obstacle(lane_object_bytes), "another producer",
                                 lane_object_bytes));
    }
    const bool handed_on = opened.lane != nullptr;
    if (!handed_on) {
        auto made = new_lane(session, destination);
        if (!made) {
            session.blocks.give_back(*taken);
            return fail(made.error());
        }
        opened.lane = *made;
    }
    Lane& lane = *opened.lane;
    lane.piece = *taken;
    lane.cell = reinterpret_cast<ProducerCell*>(lane.piece.base);  // NOLINT: a piece of that layout
    lane.session = session.slot;
    lane.state = SlotState::live;
    lane.ending_known = false;
    lane.revoked_page = 0;
    lane.record_recent = 0;
    if (handed_on) opened.ending = ending_of(lane);  // before another page is appended
    lane.producer_from = lane.pages.empty() ? lane.next_start : lane.pages.back().start;
    session.lanes.push_back(lane.id);
    ++destination.producers;
    destination.idle_since_ns = 0;

    // A lane that goes on has room in its last page; every other one begins with a page.
    const bool room = !lane.pages.empty() && lane.counted.position < lane.pages.back().end();
    if (room) {
        lane.window = page_unit;
        begin_meter(*tables_, lane);
        raise_stop(*tables_, lane);
    } else {
        grants_->begin(lane);
    }
    LaneSlot& slot = tables_->slot(lane);
    // relaxed: all of these become visible with the state.
    slot.window_bytes.store(lane.window, std::memory_order_relaxed);
    slot.reason.store(WaitReason::none, std::memory_order_relaxed);
    slot.session.store(session.slot, std::memory_order_relaxed);
    slot.destination.store(destination.slot, std::memory_order_relaxed);
    slot.birth.store(lane.birth, std::memory_order_relaxed);
    if (!handed_on) show_queue_cursor(*tables_, lane);
    // SYNC(slot_live) release: the slot's fields, and the cursors of all who read this lane.
    slot.state.store(SlotState::live, std::memory_order_release);
    if (!handed_on) join_chain(destination, lane);
    // relaxed: both are numbers for people.
    tables_->slot(destination).producers.store(destination.producers, std::memory_order_relaxed);
    tables_->control.session(session.slot)
        .lanes.store(static_cast<std::uint32_t>(session.lanes.size()), std::memory_order_relaxed);
    return opened;
}

void Lanes::join_chain(Destination& destination, Lane& lane) {
    // SYNC(slot_live) release: the lane is live before the chain leads to it.
    tables_->slot(lane).next_lane.store(0, std::memory_order_release);
    if (destination.lanes.empty()) {
        // SYNC(slot_live) release: as above.
        tables_->slot(destination).first_lane.store(lane.id + 1, std::memory_order_release);
    } else {
        // SYNC(slot_live) release: as above.
        tables_->control.lane(destination.lanes.back())
            .next_lane.store(lane.id + 1, std::memory_order_release);
    }
    destination.lanes.push_back(lane.id);
    tables_->step_generations(destination);
    tables_->wake_sleepers(destination);
}

// The slot that leaves keeps its own link: a reader that stands on it goes on to lanes of this
// destination.
void Lanes::leave_chain(Destination& destination, Lane& lane) {
    const auto at = std::find(destination.lanes.begin(), destination.lanes.end(), lane.id);
    const auto behind = at + 1;
    const std::uint32_t next = behind == destination.lanes.end() ? 0 : *behind + 1;
    if (at == destination.lanes.begin()) {
        // SYNC(slot_live) release: the lane that follows is live.
        tables_->slot(destination).first_lane.store(next, std::memory_order_release);
    } else {
        // SYNC(slot_live) release: as above.
        tables_->control.lane(*(at - 1)).next_lane.store(next, std::memory_order_release);
    }
    destination.lanes.erase(at);
    give_back_room(destination.lanes);
    tables_->step_generations(destination);
}

void Lanes::quarantine(Lane& lane) {
    grants_->forget(lane);
    lane.state = SlotState::quarantined;
    // SYNC(slot_live) release: nothing is published; an honest producer stops at its next page.
    tables_->slot(lane).state.store(SlotState::quarantined, std::memory_order_release);
    for (const Page& page : lane.pages) {
        // relaxed: for tools and a later broker.
        tables_->control.page(page.ref).state.store(PageState::quarantined,
                                                    std::memory_order_relaxed);
    }
}

void Lanes::close(Lane& lane) {
    Destination& destination = tables_->destination_of(lane);
    Session& session = *tables_->sessions[lane.session];
    grants_->forget(lane);
    lane.state = SlotState::closed;
    lane.closed_number = ++tables_->closings_ever;
    // relaxed: a number for people; the producer is gone.
    destination.ended.dropped_newest += lane.cell->dropped_newest.load(std::memory_order_relaxed);
    lane.cell = nullptr;
    lane.revoked_page = 0;
    lane.session = nobody;
    leave_lane(session, lane);
    session.blocks.give_back(lane.piece);
    lane.piece = {};
    std::erase(session.lanes, lane.id);
    give_back_room(session.lanes);
    --destination.producers;

    LaneSlot& slot = tables_->slot(lane);
    // SYNC(slot_live) release: nothing is published; nobody writes to this lane any more.
    slot.state.store(SlotState::closed, std::memory_order_release);
    set_stop(*tables_, lane, position_first);
    // relaxed: all of these are for people and tools.
    slot.reason.store(WaitReason::none, std::memory_order_relaxed);
    slot.session.store(nobody, std::memory_order_relaxed);
    tables_->slot(destination).producers.store(destination.producers, std::memory_order_relaxed);
    tables_->control.session(session.slot)
        .lanes.store(static_cast<std::uint32_t>(session.lanes.size()), std::memory_order_relaxed);
    if (!find_ending(lane)) unfinished_.push_back(lane.id);
    // A producer may have died between its last record and telling anybody.
    tables_->mark_ready(lane);
    tables_->wake_sleepers(destination);
}

// Finds where a closed lane ends and frees what lies behind. False: not finished, there was too
// much to walk.
bool Lanes::find_ending(Lane& lane) {
    const CountEnd end = count_forward(tables_->pages, lane, everything, count_steps_max);
    if (end == CountEnd::out_of_steps) return false;
    lane.ending_known = true;
    if (auto tail = tail_index(lane)) {
        if (*tail + 1 < lane.pages.size() && lane.pages[*tail + 1].start < lane.queue_cursor)
            begin_count(lane, lane.pages[++*tail]);  // the cursor was moved there (pass_ended_page)
        // No reader is behind the first zero word, and there is no producer: no look is needed.
        if (*tail + 1 < lane.pages.size()) {
            cut_behind(*tables_, lane, *tail);
            free_pages(*tables_, lane, *tail + 1, lane.pages.size());
        }
        lane.producer_from = lane.pages[*tail].start;
        for (const Page& page : lane.pages) {
            // relaxed: for tools and a later broker; undoes a quarantine.
            tables_->control.page(page.ref).state.store(PageState::granted,
                                                        std::memory_order_relaxed);
        }
    } else {
        lane.producer_from = lane.next_start;
    }
    lane.start_is_shown = !lane.pages.empty();
    if (!lane.start_is_shown) {
        // SYNC(page_linked) release: nothing is published; the next producer begins with a new
        // page.
        tables_->slot(lane).producer_page.store(0, std::memory_order_release);
    }
    collect(*tables_, lane);
    return true;
}

bool Lanes::finish_closing() {
    if (unfinished_.empty()) return false;
    // One a turn. None of them is handed on or ends before its ending is known.
    if (find_ending(*tables_->lane(unfinished_.back()))) unfinished_.pop_back();
    return true;
}

bool Lanes::may_end(Lane& lane) const {
    return lane.state == SlotState::closed && lane.ending_known &&
           !anything_unread(*tables_, lane) && !in_hands(*tables_, lane);
}

bool Lanes::anyone_looks_at(const Lane& lane) const {
    const Destination& destination = tables_->destination_of(lane);
    return std::any_of(destination.consumers.begin(), destination.consumers.end(), [&](auto slot) {
        const ConsumerCell& cell = tables_->subscriptions[slot]->piece.cell();
        // relaxed: ordered by the membarrier behind the store of the lane's state.
        return cell.looking_at.load(std::memory_order_relaxed) == lane.id + 1;
    });
}

void Lanes::end_read_lanes(std::span<Destination* const> destinations, bool all) {
    std::vector<Lane*> ending;
    for (Destination* const destination : destinations) {
        const Lane* const kept = all ? nullptr : closed_lane_of(*destination);
        for (const LaneId id : destination->lanes) {
            Lane& lane = *tables_->lane(id);
            if (&lane == kept || !may_end(lane)) continue;
            // SYNC(slot_live) release: nothing is published; whoever looks again finds it ended.
            tables_->slot(lane).state.store(SlotState::ended, std::memory_order_release);
            ending.push_back(&lane);
        }
    }
    if (ending.empty()) return;
    // barrier: a consumer that names a lane from here on finds it ended; who named it before is
    // seen.
    barrier_everywhere();
    for (Lane* const lane : ending) {
        if (!anyone_looks_at(*lane)) {
            end(*lane);
            continue;
        }
        // SYNC(slot_live) release: as it was.
        tables_->slot(*lane).state.store(SlotState::closed, std::memory_order_release);
    }
}

void Lanes::end(Lane& lane) {
    Destination& destination = tables_->destination_of(lane);
    subscriptions_->detach_lane(destination, lane);
    destination.ended.messages_in += lane.counted.messages;
    destination.ended.damaged += lane.damaged;
    leave_chain(destination, lane);
    LaneSlot& slot = tables_->slot(lane);
    // SYNC(page_linked) release: nothing is published, both lead nowhere now.
    slot.first_page.store(0, std::memory_order_release);
    // SYNC(page_linked) release: as above.
    slot.producer_page.store(0, std::memory_order_release);
    free_pages(*tables_, lane, 0, lane.pages.size());
    // A page further than any cursor ever stood, so that no cursor word comes twice (claims.hpp,
    // K1).
    tables_->histories[lane.id].next_start = lane.next_start + page_unit;
    if (destination.shares_cursors()) {
        // SYNC(cursor_moved) release: nothing is published; a claimant that was stopped fails its
        // swap.
        tables_->claims.cursor(lane.id).store(0, std::memory_order_release);
    }
    // relaxed: for those who recount, within a change of all tables (tables_rest).
    slot.run_charges.store(0, std::memory_order_relaxed);
    // SYNC(slot_live) release: the slot may be used again.
    slot.state.store(SlotState::free, std::memory_order_release);
    tables_->lanes.erase(lane.id);
}

}  // namespace weir::broker
