// SPDX-License-Identifier: Apache-2.0
//
// The half of Grants (grants.hpp) that is about lanes which wait.
#include <algorithm>

#include "core/broker/collection.hpp"
#include "core/broker/cursors.hpp"
#include "core/broker/grants.hpp"
#include "core/broker/limits.hpp"
#include "core/broker/retraction.hpp"
#include "core/broker/shortages.hpp"
#include "core/broker/window.hpp"

namespace weir::broker {
namespace {

// Where the lane's last grant ended on the clock of a line.
std::uint64_t& finish_of(Lane& lane, LineKind kind) noexcept {
    return kind == LineKind::destination ? lane.finish_in_destination : lane.finish_in_broker;
}

// Time mends it, and what the first in a line lacks the others lack too.
bool is_in_time(WaitReason reason) noexcept {
    return reason == WaitReason::rate_limit || reason == WaitReason::depth_limit;
}

// So long a lane is put off at most because memory is short, and for less than that not at all.
constexpr std::uint64_t patience_ns = ns_per_ms;
constexpr std::uint64_t postponed_least_ns = 20 * ns_per_us;

}  // namespace

WaitingLine& Grants::line_of(const Lane& lane, LineKind kind) {
    switch (kind) {
        case LineKind::destination: return tables_->destination_of(lane).line;
        case LineKind::apart: return apart_;
        case LineKind::broker: break;
    }
    return line_;
}

bool Grants::contended(const WaitingLine& line) const {
    if (!line.lanes.empty()) return true;
    return line.left_ns != 0 && tables_->clock.now_ns() - line.left_ns < line_memory_ns;
}

bool Grants::contended(const Lane& lane) const {
    return contended(line_) || contended(tables_->destination_of(lane).line);
}

// Why a request has to stand back behind those who wait; none: it need not.
// `for_pace_too`: also behind those who wait for nothing but their destination's pace.
WaitReason Grants::stands_back(const Lane& lane, Bytes bytes, bool for_pace_too) const {
    if (lane.account.reserved(bytes)) return WaitReason::none;
    const WaitingLine& line = tables_->destination_of(lane).line;
    if (!line.lanes.empty()) {
        // Who waits for time or for a depth waits for no memory.
        const WaitReason reason = reason_shown(line.lanes.front());
        const bool in_the_way =
            reason == WaitReason::destination_limit || (reason == WaitReason::pace && for_pace_too);
        if (in_the_way && !may_pass_in(line, lane, bytes)) return reason;
    }
    if (may_pass_in(line_, lane, bytes)) return WaitReason::none;
    const WaitReason reason = reason_shown(line_.lanes.front());
    return reason == WaitReason::none ? WaitReason::direct_full : reason;
}

WaitReason Grants::reason_shown(LaneId lane) const {
    // relaxed: the broker's own word.
    return tables_->control.lane(lane).reason.load(std::memory_order_relaxed);
}

bool Grants::may_pass_in(const WaitingLine& line, const Lane& lane, Bytes bytes) const {
    if (line.lanes.empty() || line.lanes.front() == lane.id) return true;
    const Lane* const first = tables_->lane(line.lanes.front());
    if (first == nullptr || first->cell == nullptr) return true;
    const Bytes wanted = units_needed(read_request(*first).record) * page_unit;
    if (bytes >= wanted) return false;
    if (first->destination != lane.destination)
        return first->passed_by + bytes <= std::max(passing_max, wanted);
    // Among those of one destination nobody gets further ahead of the first one than by what that
    // wants, however often it is passed.
    const std::uint64_t finish =
        first->line == LineKind::destination ? lane.finish_in_destination : lane.finish_in_broker;
    return std::max(line.clock, finish) + bytes <= first->tag + wanted;
}

// Moves the clocks of the lines that this grant has passed through or passed by.
void Grants::note_served(Lane& lane, Bytes bytes) {
    for (const LineKind kind : {LineKind::broker, LineKind::destination}) {
        WaitingLine& line = line_of(lane, kind);
        if (!contended(line)) continue;
        std::uint64_t& finish = finish_of(lane, kind);
        // Who stood in the line starts at its place in it, also when it was passed there and the
        // clock has gone on: else it would pay for those who passed it.
        const bool stood = lane.waiting && lane.line == kind;
        const std::uint64_t start = stood ? lane.tag : std::max(line.clock, finish);
        if (!line.lanes.empty()) line.clock = std::max(line.clock, start);
        finish = std::min(start + bytes, line.clock + std::max(passing_max, bytes));
        line.highest = std::max(line.highest, finish);
        if (line.lanes.empty() || line.lanes.front() == lane.id) continue;
        if (Lane* const first = tables_->lane(line.lanes.front())) first->passed_by += bytes;
    }
}

// What a lane may count on when it shares what is free evenly with those who wait, times the pages
// of a window: one trip through the broker for each smallest page would make it the bottleneck of a
// region that is full.
Bytes Grants::share_of_free(const Lane& lane) const {
    const Destination& destination = tables_->destination_of(lane);
    Bytes free = free_bytes();
    if (!line_.lanes.empty()) free = free / line_.lanes.size() * page_part_of_window;
    if (const Bytes limit = destination.policy.limit; limit != 0) {
        const Bytes used = std::min(limit, destination.direct_account.used());
        const std::size_t sharers = std::max<std::size_t>(1, destination.producers);
        free = std::min(free, (limit - used) / sharers * page_part_of_window);
    }
    return free;
}

void Grants::join(Lane& lane, LineKind kind) {
    WaitingLine& line = line_of(lane, kind);
    lane.line = kind;
    lane.passed_by = 0;
    if (!contended(line)) line.clock = line.highest;  // what was before is forgotten
    lane.tag = std::max(line.clock, finish_of(lane, kind));
    const auto behind = std::find_if(line.lanes.begin(), line.lanes.end(),
                                     [&](LaneId id) { return tables_->lane(id)->tag > lane.tag; });
    if (kind == LineKind::destination && line.lanes.empty()) crowded_.push_back(lane.destination);
    line.lanes.insert(kind == LineKind::apart ? line.lanes.end() : behind, lane.id);
}

void Grants::leave(Lane& lane) {
    WaitingLine& line = line_of(lane, lane.line);
    line.lanes.erase(std::remove(line.lanes.begin(), line.lanes.end(), lane.id), line.lanes.end());
    give_back_room(line.lanes);
    line.left_ns = tables_->clock.now_ns();
    if (lane.line == LineKind::destination && line.lanes.empty())
        std::erase(crowded_, lane.destination);
}

void Grants::wait(Lane& lane, LineKind kind) {
    const bool first = line_.lanes.empty() && apart_.lanes.empty() && crowded_.empty();
    lane.waiting = true;
    join(lane, kind);
    // relaxed: both are numbers for people.
    tables_->slot(lane).waiting_since_ns.store(tables_->clock.now_ns(), std::memory_order_relaxed);
    tables_->slot(tables_->destination_of(lane))
        .blocked_producers.fetch_add(1, std::memory_order_relaxed);
    if (first) set_hungry(true);
}

void Grants::stop_waiting(Lane& lane) {
    if (!lane.waiting) return;
    lane.waiting = false;
    leave(lane);
    // relaxed: both are numbers for people.
    tables_->slot(lane).waiting_since_ns.store(0, std::memory_order_relaxed);
    tables_->slot(tables_->destination_of(lane))
        .blocked_producers.fetch_sub(1, std::memory_order_relaxed);
    if (line_.lanes.empty() && apart_.lanes.empty() && crowded_.empty()) set_hungry(false);
}

// What was written and is not read by its slowest consumer.
Bytes Grants::unread_bytes(const Lane& lane) const {
    if (lane.pages.empty()) return 0;
    const Position written = lane.pages.back().end() - bytes_ahead(lane);
    const Position cursor = lowest_cursor(*tables_, lane);
    return cursor < written ? written - cursor : 0;
}

void Grants::end_postponement(Lane& lane) {
    postponed_.erase({std::exchange(lane.due_ns, 0), lane.id});
}

// Asked ahead, or by one that waits as long as it takes.
bool Grants::may_be_late(const Lane& lane, const Request& request) const {
    const bool ahead = !request.answer && request.record == 0;
    return (ahead || (request.blocked && request.on_full == Overflow::block)) &&
           !gives_up(lane, request);
}

// The only producer of its destination, and nobody else has asked for anything of late.
bool Grants::is_alone(const Lane& lane, std::uint64_t now) const noexcept {
    return tables_->destination_of(lane).producers == 1 && asker_.is_alone(now);
}

// None: its consumers are slow, or it is slowed down by something else.
std::optional<Lead> Grants::lead_of(Lane& lane, const Request& request, std::uint64_t now) {
    Destination& destination = tables_->destination_of(lane);
    destination.reading.look(now);
    if (destination.consumers.empty() || !destination.reading.is_fast() || lane.meter.on ||
        lane.anything_out() || waits_for_pace(lane, request))
        return std::nullopt;
    const std::uint32_t sharers = destination.askers.count();
    return Lead{unread_bytes(lane), head_start(tables_->direct.root.limit(), sharers), sharers};
}

// Is somebody to come first, or to have a share? A lane that is alone shares with nobody but itself
// of a moment ago.
bool Grants::others_wait(const Lane& lane, std::uint64_t now) const {
    if (!line_.lanes.empty() || !tables_->destination_of(lane).line.lanes.empty()) return true;
    return contended(lane) && !is_alone(lane, now);
}

// A lane is served later if that costs its consumers nothing: because it has its head start, or
// because nearly everything is granted. Then each page that is read would let one be written: a
// turn for each, and pages as small as what is free for a moment. That is for who is alone: others
// stand in a line, which has no place for who is not in it. Who stands in one stays there.
bool Grants::postpone(Lane& lane, const Request& request, std::uint64_t now) {
    if (lane.waiting || !may_be_late(lane, request) || lane.meter.on ||
        waits_for_pace(lane, request))
        return false;
    std::uint64_t later_ns = 0;
    const std::optional<Lead> lead = lead_of(lane, request, now);
    const ReadingSpeed& reading = tables_->destination_of(lane).reading;
    if (lead) later_ns = lead->hold_ns(reading);
    if (is_alone(lane, now) && !others_wait(lane, now) && spare_bytes(lane) < lane.window / 2)
        later_ns = std::max(later_ns, reading.busy_ns(unread_bytes(lane) / 2, patience_ns));
    if (later_ns < postponed_least_ns) return false;
    lane.due_ns = now + later_ns;
    postponed_.emplace(lane.due_ns, lane.id);
    return true;
}

void Grants::serve_postponed(std::uint64_t now) {
    while (!postponed_.empty() && postponed_.begin()->first <= now) {
        Lane& lane = *tables_->lane(postponed_.begin()->second);
        end_postponement(lane);
        if (!revocation_is_seen(lane)) continue;  // it asks when it sees that
        collect(*tables_, lane);
        serve_now(lane, read_request(lane), now);
    }
}

void Grants::forget(Lane& lane) {
    stop_waiting(lane);
    end_postponement(lane);
    end_meter(*tables_, lane);
}

// A consumer that passed a page and saw nobody hungry did not ring: what was passed before is
// looked for once more.
void Grants::set_hungry(bool hungry) {
    if (!tables_->set_hungry(Tables::Hunger::waiting_lanes, hungry)) return;
    for (Lane& lane : tables_->lanes) collect(*tables_, lane);
}

// `order` is a copy: who is granted leaves the line.
void Grants::serve_line(const Numbers& order) {
    for (const LaneId id : order) {
        Lane& lane = *tables_->lane(id);
        if (!lane.waiting) continue;
        const Request request = read_request(lane);
        const WaitReason before = reason_shown(id);
        WaitReason reason = before;
        if (!request.blocked) {
            stop_waiting(lane);  // gave up: the next in line is served as the first
        } else if (lane.revoked_page == 0 && satisfy(lane, request, reason)) {
            // It asks again when half of that is used, so that it need not stop each time.
            // relaxed: a hint for when to ask.
            tables_->slot(lane).window_bytes.store(bytes_ahead(lane), std::memory_order_relaxed);
            granted(lane);
        } else if (reason != before && reason != WaitReason::none) {
            refused(lane, request, reason);
        } else if (is_in_time(reason)) {
            return;  // what the first one lacks the others lack too
        }
    }
}

void Grants::serve_waiting() {
    const std::uint64_t now = tables_->clock.now_ns();
    serve_postponed(now);
    serve_line(Numbers(line_.lanes));
    for (const std::uint32_t slot : std::vector<std::uint32_t>(crowded_)) {
        const Destination& destination = *tables_->destinations[slot];
        const std::uint64_t due = due_of(destination);
        if (due == never_due || due <= now || !is_metered(destination))
            serve_line(Numbers(destination.line.lanes));
    }
    serve_line(Numbers(apart_.lanes));
}

// When the first in a destination's line that waits for time is worth looking at.
std::uint64_t Grants::due_of(const Destination& destination) const {
    for (const LaneId id : destination.line.lanes) {
        if (tables_->lane(id)->revoked_page != 0) continue;  // it has to see that first, and asks
        const WaitReason reason = reason_shown(id);
        if (reason == WaitReason::pace) return destination.pace.due_ns();
        if (is_in_time(reason)) return destination.meter.due_ns;
    }
    return never_due;
}

std::uint64_t Grants::due_ns() const {
    std::uint64_t due = postponed_.empty() ? never_due : postponed_.begin()->first;
    for (const std::uint32_t slot : crowded_)
        due = std::min(due, due_of(*tables_->destinations[slot]));
    return due;
}

// Lanes learn of a meter by a stop that allows nothing: what they send next asks.
void Grants::policy_changed(Destination& destination) {
    for (const LaneId id : destination.lanes) {
        Lane& lane = *tables_->lane(id);
        if (!lane.live() || lane.cell == nullptr) continue;
        const bool was = lane.meter.on;
        begin_meter(*tables_, lane);
        if (lane.meter.on && !was && lane.revoked_page == 0)
            set_stop(*tables_, lane, position_first);
        else if (lane.meter.on || was)
            step(lane);
    }
    destination.meter.due_ns = 0;
}

}  // namespace weir::broker
