// SPDX-License-Identifier: Apache-2.0
#include "core/broker/grants.hpp"

#include <algorithm>
#include <climits>

#include "core/broker/collection.hpp"
#include "core/broker/counting.hpp"
#include "core/broker/cursors.hpp"
#include "core/broker/giving_up.hpp"
#include "core/broker/idle_tails.hpp"
#include "core/broker/limits.hpp"
#include "core/broker/regions.hpp"
#include "core/broker/retraction.hpp"
#include "core/broker/shortages.hpp"
#include "core/broker/window.hpp"
#include "shm/futex.hpp"

namespace weir::broker {
namespace {

// A record larger than any message may be is nonsense, and served as if nothing was said.
Bytes largest_record(const Limits& limits) noexcept {
    return round_up(limits.largest_message, 8) + 2 * commit_word_bytes;
}

// A lane that waits and asks again is answered at most so often.
constexpr std::uint64_t answer_again_ns = 10 * ns_per_ms;

LineKind line_kind(WaitReason reason) noexcept {
    switch (reason) {
        case WaitReason::destination_limit:
        case WaitReason::rate_limit:
        case WaitReason::depth_limit:
        case WaitReason::pace: return LineKind::destination;
        case WaitReason::session_limit:
        case WaitReason::user_limit: return LineKind::apart;
        default: return LineKind::broker;
    }
}

WaitReason reason_of(Append outcome) noexcept {
    switch (outcome) {
        case Append::done: return WaitReason::none;
        case Append::full: return WaitReason::direct_full;
        case Append::fragmented: return WaitReason::direct_fragmented;
        case Append::exhausted: return WaitReason::lane_exhausted;
        case Append::destination_limit: return WaitReason::destination_limit;
        case Append::part_full: return WaitReason::part_full;
        case Append::session_limit: return WaitReason::session_limit;
        case Append::user_limit: return WaitReason::user_limit;
    }
    return WaitReason::none;
}

// What is lacking is memory that backlog holds, of the destination or of all.
bool is_memory(WaitReason reason) noexcept {
    switch (reason) {
        case WaitReason::direct_full:
        case WaitReason::direct_fragmented:
        case WaitReason::destination_limit:
        case WaitReason::part_full:
        case WaitReason::disk_full:
        case WaitReason::disk_error: return true;
        default: return false;
    }
}

// A destination that somebody drains, and whose backlog has nowhere else to go.
bool is_slowed_down(const Tables& tables, const Destination& destination) noexcept {
    if (destination.policy.limit == 0 || destination.consumers.empty()) return false;
    const bool flows = tables.has_disk && tables.disk_reason == WaitReason::none &&
                       may_flow(destination.policy, destination.kind);
    return !flows;
}

Bytes what_is_left(Bytes most, Bytes used) noexcept { return most > used ? most - used : 0; }

bool within_reserve(const LimitedAccount& account) noexcept {
    return account.used() <= account.reserve();
}

}  // namespace

Grants::Request Grants::read_request(const Lane& lane) const noexcept {
    // relaxed: all were written before the need bit, which was taken with acquire (lane_bit).
    const Bytes wanted = lane.cell->wanted.load(std::memory_order_relaxed);
    const ProducerWaiting waiting = lane.cell->waiting.load(std::memory_order_relaxed);
    // relaxed: as above; a word that is none of them means to wait.
    const Overflow on_full = lane.cell->on_full.load(std::memory_order_relaxed);
    return {wanted <= largest_record(tables_->control.view().limits) ? wanted : 0,
            waiting == ProducerWaiting::in_line, waiting != ProducerWaiting::no,
            on_full <= Overflow::drop_newest ? on_full : Overflow::block};
}

bool Grants::has_room_ahead(const Lane& lane, Bytes record) const {
    const auto at = producer_page_index(*tables_, lane);
    for (std::size_t index = at ? *at + 1 : 0; index < lane.pages.size(); ++index) {
        const Page& page = lane.pages[index];
        if (page.start >= lane.producer_from && page.bytes() >= page_header_bytes + record)
            return true;
    }
    return false;
}

// A lane that only its meter held up may still have room where it writes.
bool Grants::has_room_in_page(Lane& lane, Bytes record) const {
    const auto at = producer_page_index(*tables_, lane);
    if (!at || tail_index(lane) != at) return false;
    return lane.pages[*at].end() - lane.counted.position >= record;
}

Bytes Grants::bytes_ahead(const Lane& lane) const {
    const auto at = producer_page_index(*tables_, lane);
    Bytes ahead = 0;
    for (std::size_t index = at ? *at + 1 : 0; index < lane.pages.size(); ++index)
        if (lane.pages[index].start >= lane.producer_from) ahead += lane.pages[index].bytes();
    return ahead;
}

void Grants::serve(Lane& lane) {
    if (!lane.live() || lane.cell == nullptr || !revocation_is_seen(lane)) return;
    const Request request = read_request(lane);
    if (tables_->stopping) return refused(lane, request, WaitReason::broker_stopping);
    if (!request.blocked) stop_waiting(lane);
    if (lane.due_ns != 0) {
        if (may_be_late(lane, request)) return;
        end_postponement(lane);
    }
    collect(*tables_, lane);
    const std::uint64_t now = tables_->clock.now_ns();
    const Bytes left = request.blocked ? 0 : bytes_ahead(lane);
    lane.window = next_window(lane.window, left, now - lane.asked_ns, window_bound(*tables_, lane));
    tables_->destination_of(lane).askers.asked(lane.asked_ns, now);
    lane.asked_ns = now;
    if (request.record != 0) lane.record_recent = request.record;

    if (!postpone(lane, request, now)) serve_now(lane, request, now);
}

void Grants::serve_now(Lane& lane, const Request& request, std::uint64_t now) {
    WaitReason reason = WaitReason::none;
    if (!satisfy(lane, request, reason)) return refused(lane, request, reason);
    if (!others_wait(lane, now)) {
        const std::optional<Lead> lead = lead_of(lane, request, now);
        fill_window(lane, request, lead ? lead->most_bytes() : no_bound);
    }
    granted(lane);
}

bool Grants::satisfy(Lane& lane, const Request& request, WaitReason& reason) {
    if (lane.meter.on && request.record != 0) {
        if (!allot_to(lane, request, reason)) return false;
        if (has_room_in_page(lane, request.record)) return true;
    }
    return has_room_ahead(lane, request.record) || grant_first(lane, request, reason);
}

bool Grants::allot_to(Lane& lane, const Request& request, WaitReason& reason) {
    Destination& destination = tables_->destination_of(lane);
    const std::size_t others = destination.line.lanes.size();
    Metered metered = allot(*tables_, lane, request.record, std::max<std::size_t>(1, others));
    if (metered == Metered::depth_reached && request.on_full == Overflow::drop_oldest) {
        const bool room = destination.kind == DestinationKind::queue
                              ? give_up_messages(*tables_, destination, 1) != 0
                              : give_up_oldest(*tables_, destination);
        if (room) metered = allot(*tables_, lane, request.record, 1);
    }
    if (metered == Metered::rate_used_up) reason = WaitReason::rate_limit;
    if (metered == Metered::depth_reached) reason = WaitReason::depth_limit;
    return metered == Metered::allotted;
}

void Grants::begin(Lane& lane) {
    lane.asked_ns = tables_->clock.now_ns();
    lane.window = page_unit;
    // relaxed: a hint for when to ask.
    tables_->slot(lane).window_bytes.store(lane.window, std::memory_order_relaxed);
    if (!tables_->stopping && stands_back(lane, page_unit, false) == WaitReason::none) {
        Append outcome = append(lane, 1);
        if (outcome != Append::done && reclaim_for(lane, level_of(reason_of(outcome)), true))
            outcome = append(lane, 1);
        if (outcome == Append::done) note_served(lane, page_unit);
    }
    begin_meter(*tables_, lane);
    raise_stop(*tables_, lane);
}

// The page without which the producer cannot go on.
bool Grants::grant_first(Lane& lane, const Request& request, WaitReason& reason) {
    LimitLevel in_vain = LimitLevel::none;
    succeeds_in_direct(*tables_, [&] {
        in_vain = in_vain_at(*tables_, lane, request.record);
        return in_vain != LimitLevel::broker;
    });
    if (in_vain != LimitLevel::none) {
        reason = WaitReason::never_fits;
        return false;
    }
    const Bytes needed = units_needed(request.record) * page_unit;
    const bool paced = waits_for_pace(lane, request);
    const WaitReason back = stands_back(lane, needed, paced);
    const bool in_turn = back == WaitReason::none;
    if (!in_turn && !gives_up(lane, request)) {
        reason = back;
        return false;
    }
    if (paced && !may_grant_now(lane, needed)) {
        reason = WaitReason::pace;
        return false;
    }
    // Smaller pages that are granted ahead would be skipped one by one.
    Lane* const alone[] = {&lane};
    if (request.record != 0) retract(*tables_, alone);
    const Bytes before = lane.granted();
    bool done = in_turn && append_suited(lane, request.record, reason);
    // Who wants an answer now cannot first learn that its own page was taken.
    const bool own_too = request.blocked && !gives_up(lane, request);
    if (!done && in_turn && reclaim_for(lane, level_of(reason), own_too) && lane.revoked_page == 0)
        done = append_suited(lane, request.record, reason);
    if (!done && lane.revoked_page == 0 && gives_up(lane, request))
        done = make_room(lane, request, in_turn ? 0 : needed, reason);
    if (done) note_served(lane, lane.granted() - before);
    if (done && paced) tables_->destination_of(lane).pace.granted(lane.granted() - before);
    return done;
}

// Is it one that waits, at a destination that is slowed down between high-water and limit?
bool Grants::waits_for_pace(const Lane& lane, const Request& request) const {
    if (!is_slowed_down(*tables_, tables_->destination_of(lane))) return false;
    return request.record == 0 || (request.waits() && !gives_up(lane, request));
}

bool Grants::may_grant_now(const Lane& lane, Bytes needed) {
    Destination& destination = tables_->destination_of(lane);
    const std::uint64_t now = tables_->clock.now_ns();
    destination.pace.look({.use = destination.direct_account.used(),
                           .high_water = destination.policy.high_water,
                           .limit = destination.policy.limit,
                           .drain = destination.drain.look(now)},
                          now, needed);
    return destination.pace.is_open();
}

// Would this request rather lose what is oldest than wait?
bool Grants::gives_up(const Lane& lane, const Request& request) const {
    if (request.record == 0) return false;
    if (request.on_full == Overflow::drop_oldest) return true;
    const Destination& destination = tables_->destination_of(lane);
    return destination.kind == DestinationKind::topic &&
           destination.policy.slow_subscriber != SlowSubscriber::throttle;
}

// Gives up the oldest of the lane's destination, at least so many bytes, until the record fits.
bool Grants::make_room(Lane& lane, const Request& request, Bytes at_least, WaitReason& reason) {
    Destination& destination = tables_->destination_of(lane);
    const bool ends_subscribers = request.on_full != Overflow::drop_oldest &&
                                  destination.policy.slow_subscriber == SlowSubscriber::end;
    const Bytes enough = units_needed(request.record) * page_unit + page_class_max;
    const Bytes free_before = free_bytes();
    const auto gained = [&] { return free_bytes() - std::min(free_bytes(), free_before); };
    if (at_least != 0) reason = WaitReason::direct_full;
    // What giving up cannot mend is not tried to be mended by giving up everything.
    while (is_memory(reason)) {
        const bool gave = ends_subscribers ? end_slowest(*tables_, destination)
                                           : give_up_oldest(*tables_, destination);
        if (!gave) return false;
        if (gained() >= at_least && append_suited(lane, request.record, reason)) return true;
        if (gained() >= at_least + enough) return false;
    }
    return false;
}

Append Grants::append(Lane& lane, Units units) {
    Append outcome = Append::done;
    succeeds_in_direct(*tables_, [&] {
        outcome = append_page(*tables_, lane, units);
        return outcome != Append::full && outcome != Append::part_full &&
               outcome != Append::fragmented;
    });
    return outcome;
}

bool Grants::append_suited(Lane& lane, Bytes record, WaitReason& reason) {
    const Units needed = units_needed(record);
    // Those who wait share what is free evenly, in the largest pages that gives: one trip through
    // the broker for each smallest page would make it the bottleneck of a region that is full.
    const Units suited = suited_units(*tables_, lane, record, share_of_free(lane));
    Append outcome = append(lane, suited);
    if (outcome != Append::done && suited != needed) outcome = append(lane, needed);
    reason = reason_of(outcome);
    // Memory is full because backlog cannot leave it: that is what has to be mended.
    const Destination& destination = tables_->destination_of(lane);
    const bool full = outcome == Append::full || outcome == Append::part_full ||
                      outcome == Append::destination_limit;
    if (full && may_flow(destination.policy, destination.kind) &&
        tables_->disk_reason != WaitReason::none)
        reason = tables_->disk_reason;
    return outcome == Append::done;
}

// What may be granted ahead of need: neither the region nor the destination is filled to its limit
// by it, nor the destination far enough to be slowed down.
Bytes Grants::spare_bytes(const Lane& lane) const {
    const Bytes spare = what_is_left(free_bytes(), tables_->direct.root.limit() / 16);
    const Destination& destination = tables_->destination_of(lane);
    const Bytes limit = destination.direct_account.limit();
    if (limit == no_limit) return spare;
    const bool slow = is_slowed_down(*tables_, destination) && destination.policy.high_water != 0;
    const Bytes most = std::min(limit - limit / 16, slow ? destination.policy.high_water : limit);
    return std::min(spare, what_is_left(most, destination.direct_account.used()));
}

// Ahead of need, as long as it costs nobody anything, and no more than `most`.
void Grants::fill_window(Lane& lane, const Request& request, Bytes most) {
    const Bytes record = std::max(request.record, lane.record_recent);
    const Bytes usual = record <= lane.window / 4 ? record : 0;
    Bytes ahead = bytes_ahead(lane);
    while (ahead < std::min(lane.window, most)) {
        const Units units = suited_units(*tables_, lane, usual, free_bytes());
        if (spare_bytes(lane) < units * page_unit ||
            append_page(*tables_, lane, units) != Append::done) {
            // Less than it should have: it would ask at each record if it went on believing in its
            // window.
            lane.window = std::max(lane.window / 2, page_unit);
            break;
        }
        ahead += units * page_unit;
    }
    // relaxed: a hint for when to ask.
    tables_->slot(lane).window_bytes.store(std::min(lane.window, ahead), std::memory_order_relaxed);
}

void Grants::granted(Lane& lane) {
    stop_waiting(lane);
    lane.granted_ns = tables_->clock.now_ns();
    asker_.asked(lane.id, lane.granted_ns);
    raise_stop(*tables_, lane);
    // relaxed: read behind `grants`.
    tables_->slot(lane).reason.store(WaitReason::none, std::memory_order_relaxed);
    step(lane);
}

void Grants::refused(Lane& lane, const Request& request, WaitReason reason) {
    LaneSlot& slot = tables_->slot(lane);
    if (!request.answer && request.record == 0) {
        // Asked ahead. A step would be taken for the answer to what the producer asks by now.
        // relaxed: a hint for when to ask.
        slot.window_bytes.store(0, std::memory_order_relaxed);
        return;
    }
    // relaxed: the broker's own word.
    const WaitReason before = slot.reason.load(std::memory_order_relaxed);
    const LineKind kind = line_kind(reason);
    const bool in_vain = reason == WaitReason::never_fits;
    const bool began = request.blocked && !lane.waiting && !tables_->stopping && !in_vain;
    if (began) {
        wait(lane, kind);
    } else if (lane.waiting && lane.line != kind) {
        leave(lane);
        join(lane, kind);
    }
    lane.piece_lacking = lane.waiting && reason == WaitReason::direct_fragmented
                             ? units_needed(request.record) * page_unit
                             : 0;
    // Who waits asks again when it wakes: answering each time would keep both sides awake.
    const bool answered = tables_->clock.now_ns() - lane.stepped_ns < answer_again_ns;
    if (lane.waiting && !began && before == reason && answered) return;
    note_shortage(*tables_, lane, reason);
    // relaxed: a hint for when to ask: not ahead, only when a record finds no room.
    slot.window_bytes.store(0, std::memory_order_relaxed);
    // relaxed: read behind `grants`.
    slot.reason.store(reason, std::memory_order_relaxed);
    step(lane);
}

void Grants::step(Lane& lane) {
    LaneSlot& slot = tables_->slot(lane);
    // SYNC(granted) release: the link, the stop or the reason is there.
    slot.grants.fetch_add(1, std::memory_order_release);
    lane.stepped_ns = tables_->clock.now_ns();
    // relaxed: it was set before the need bit that brought us here; a lane that waits set it long
    // ago.
    if (lane.cell->waiting.load(std::memory_order_relaxed) != ProducerWaiting::no)
        futex_wake(slot.grants, INT_MAX);
}

std::vector<Lane*> Grants::live_lanes() const {
    std::vector<Lane*> lanes;
    for (Lane& lane : tables_->lanes)
        if (lane.live()) lanes.push_back(&lane);
    return lanes;
}

// What was granted to a producer that is still waking up is not taken from it again, or two that
// wait could take one page from each other for ever; for a second, because a stopped process does
// not wake up. And what lies inside a destination's reserve is of no use to other destinations.
bool Grants::keeps_all(const Lane& lane, bool reserves_too) const {
    if (lane.cell == nullptr) return true;
    if (reserves_too && within_reserve(tables_->destination_of(lane).direct_account)) return true;
    // relaxed: a hint; a liar keeps what it was granted for a second.
    return lane.cell->waiting.load(std::memory_order_relaxed) != ProducerWaiting::no &&
           !lane.waiting && tables_->clock.now_ns() - lane.granted_ns < ns_per_s;
}

// Makes room at the cost of what others were granted and do not use, among those whose memory
// counts at the level that is full. True: it may be worth trying again.
bool Grants::reclaim_for(Lane& lane, LimitLevel level, bool own_too) {
    const bool of_broker = level != LimitLevel::destination && level != LimitLevel::session &&
                           level != LimitLevel::user;
    const Reclaimed once{of_broker ? LimitLevel::broker : level,
                         of_broker ? 0 : number_at(*tables_, lane, level)};
    if (std::find(reclaimed_.begin(), reclaimed_.end(), once) != reclaimed_.end()) return false;
    reclaimed_.push_back(once);
    bool freed = false;
    for (Lane& other : tables_->lanes)
        if (counts_at(*tables_, lane, level, other)) freed = collect(*tables_, other) || freed;
    std::vector<Lane*> lanes = live_lanes();
    std::erase_if(lanes, [&](const Lane* other) {
        if (other == &lane) return false;
        return !counts_at(*tables_, lane, level, *other) || keeps_all(*other, of_broker);
    });
    freed = retract(*tables_, lanes) || freed;
    // Idle tails. Of the broker's memory the smallest page of another destination is only worth
    // taking if its producer sleeps: one that is at work would need it again at once.
    const std::uint64_t now = tables_->clock.now_ns();
    std::erase_if(lanes, [&](const Lane* other) {
        if (other == &lane && !own_too) return true;
        const bool small = other->pages.empty() || other->pages.back().units == 1;
        return of_broker && small && other->destination != lane.destination &&
               now - other->asked_ns < ns_per_s;
    });
    if (revoke(*tables_, lanes)) {
        for (Lane* const other : lanes) {
            if (other->revoked_page == 0) continue;
            freed = collect(*tables_, *other) || freed;
            step(*other);
        }
    }
    freed = take_read_tails(*tables_, lanes) || freed;
    return freed;
}

void Grants::shrink_idle() {
    const std::uint64_t now = tables_->clock.now_ns();
    std::vector<Lane*> idle = live_lanes();
    std::erase_if(idle, [&](const Lane* lane) { return now - lane->asked_ns < ns_per_s; });
    for (Lane* const lane : idle) {
        lane->window = std::max(lane->window / 2, page_unit);
        lane->record_recent /= 2;
    }
    retract(*tables_, idle);
}

void Grants::stop() {
    for (Lane* const lane : live_lanes()) {
        if (lane->cell == nullptr) continue;
        stop_waiting(*lane);
        end_postponement(*lane);
        set_stop(*tables_, *lane, position_first);
        // relaxed: read behind `grants`.
        tables_->slot(*lane).reason.store(WaitReason::broker_stopping, std::memory_order_relaxed);
        step(*lane);
    }
}

}  // namespace weir::broker
