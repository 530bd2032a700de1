// SPDX-License-Identifier: Apache-2.0
#include "core/broker/meter.hpp"

#include "core/broker/books.hpp"
#include "core/broker/counting.hpp"
#include "shm/barrier.hpp"

namespace weir::broker {
namespace {

void give_back(std::uint64_t& all, std::uint64_t& one, std::uint64_t units) noexcept {
    const std::uint64_t back = std::min(one, units);
    one -= back;
    all -= back;
}

// Pays for what the lane's count has advanced.
void bill(Tables& tables, Lane& lane) {
    Meter& meter = tables.destination_of(lane).meter;
    count_forward(tables.pages, lane, everything, count_steps_max);
    const std::uint64_t messages = less(lane.counted.messages, lane.meter.billed.messages);
    const std::uint64_t payload = less(lane.counted.payload, lane.meter.billed.payload);
    lane.meter.billed = {lane.counted.messages, lane.counted.payload};
    if (meter.messages.limits()) meter.messages.take(messages);
    if (meter.payload.limits()) meter.payload.take(payload);
    give_back(meter.open.messages, lane.meter.open.messages, messages);
    give_back(meter.open.payload, lane.meter.open.payload, payload);
}

void return_open(Meter& meter, LaneMeter& lane) noexcept {
    give_back(meter.open.messages, lane.open.messages, lane.open.messages);
    give_back(meter.open.payload, lane.open.payload, lane.open.payload);
}

// Units for one lane, or 0 if it has to wait. `least`: with fewer it could not go on.
std::uint64_t share_of(Bucket& bucket, std::uint64_t open, std::uint64_t least,
                       std::uint64_t sharers, std::uint64_t now_ns) {
    bucket.fill(now_ns);
    const std::int64_t left = bucket.level() - static_cast<std::int64_t>(open);
    const std::uint64_t share = std::max<std::uint64_t>(1, bucket.batch() / sharers);
    // More than the bucket ever holds is lent, and paid for before the next allotment.
    const std::uint64_t needed =
        std::max(share, std::min(least, static_cast<std::uint64_t>(bucket.size())));
    if (left < static_cast<std::int64_t>(needed)) return 0;
    return std::max({share, least, static_cast<std::uint64_t>(left) / sharers});
}

// When a share of the bucket will be there.
std::uint64_t share_due_ns(const Bucket& bucket, std::uint64_t open, std::uint64_t least,
                           std::uint64_t sharers, std::uint64_t now_ns) {
    const std::uint64_t share = std::max<std::uint64_t>(1, bucket.batch() / sharers);
    const std::uint64_t needed =
        std::max(share, std::min(least, static_cast<std::uint64_t>(bucket.size())));
    const std::int64_t missing = static_cast<std::int64_t>(needed + open) - bucket.level();
    return now_ns + std::max(meter_look_ns, bucket.time_for(missing));
}

}  // namespace

bool is_metered(const Destination& destination) noexcept {
    const Policy& policy = destination.policy;
    return policy.rate_bytes != 0 || policy.rate_messages != 0 || policy.max_depth != 0;
}

void begin_meter(Tables& tables, Lane& lane) {
    Destination& destination = tables.destination_of(lane);
    Meter& meter = destination.meter;
    const std::uint64_t now = tables.clock.now_ns();
    meter.messages.set_rate(destination.policy.rate_messages, now);
    meter.payload.set_rate(destination.policy.rate_bytes, now);
    return_open(meter, lane.meter);
    lane.meter = {};
    lane.meter.on = is_metered(destination);
    count_forward(tables.pages, lane, everything, count_steps_max);
    lane.meter.billed = {lane.counted.messages, lane.counted.payload};
    LaneSlot& slot = tables.slot(lane);
    // relaxed: input; a producer that lies about it sends what is billed all the same.
    const std::uint64_t sent = lane.cell->sent_messages.load(std::memory_order_relaxed);
    // relaxed: both are visible with the lane's state or the next step of `grants`.
    slot.message_stop.store(lane.meter.on ? sent + 1 : 0, std::memory_order_relaxed);
    slot.payload_stop.store(0, std::memory_order_relaxed);
}

void end_meter(Tables& tables, Lane& lane) {
    if (!lane.meter.on) return;
    bill(tables, lane);
    return_open(tables.destination_of(lane).meter, lane.meter);
    lane.meter.on = false;
}

namespace {

// What idle lanes were allotted and do not use comes back. As with a stop: it is taken first, then
// every process passes a barrier, and those that are writing then keep it until they ask.
bool take_back_unused(Tables& tables, Destination& destination, const Lane& asking,
                      std::uint64_t now) {
    if (now - destination.meter.taken_back_ns < unused_ns) return false;
    destination.meter.taken_back_ns = now;
    std::vector<Lane*> idle;
    for (const LaneId id : destination.lanes) {
        Lane& lane = *tables.lane(id);
        const bool unused = lane.meter.open.messages != 0 || lane.meter.open.payload != 0;
        if (&lane == &asking || !lane.live() || !lane.meter.on || !unused) continue;
        if (now - lane.meter.allotted_ns < unused_ns) continue;
        // relaxed: ordered by the membarrier below.
        tables.slot(lane).message_stop.store(1, std::memory_order_relaxed);
        idle.push_back(&lane);
    }
    if (idle.empty()) return false;
    // barrier: who announces a record from here on finds that it may not; who announced before is
    // seen.
    barrier_everywhere();
    for (Lane* const lane : idle) {
        // SYNC(announced) acquire: a record whose announcement is gone is published.
        const std::uint64_t announced = lane->cell->announced.load(std::memory_order_acquire);
        bill(tables, *lane);
        if (is_writing(announced, lane->counted.position)) continue;
        return_open(destination.meter, lane->meter);
    }
    return true;
}

Metered try_allot(Tables& tables, Lane& lane, std::uint64_t record, std::uint64_t sharers,
                  std::uint64_t now, Allotment& given) {
    Destination& destination = tables.destination_of(lane);
    Meter& meter = destination.meter;
    if (meter.messages.limits()) {
        given.messages = share_of(meter.messages, meter.open.messages, 1, sharers, now);
        meter.due_ns = share_due_ns(meter.messages, meter.open.messages, 1, sharers, now);
        if (given.messages == 0) return Metered::rate_used_up;
    }
    if (meter.payload.limits()) {
        given.payload = share_of(meter.payload, meter.open.payload, record, sharers, now);
        meter.due_ns = share_due_ns(meter.payload, meter.open.payload, record, sharers, now);
        if (given.payload == 0) return Metered::rate_used_up;
    }
    if (const std::uint64_t most = destination.policy.max_depth; most != 0) {
        const Depth depth = settle_destination(tables, destination);
        const std::uint64_t room = less(most, depth.messages + meter.open.messages);
        meter.due_ns = now + depth_look_ns;
        if (room == 0) return Metered::depth_reached;
        const std::uint64_t part = std::max<std::uint64_t>(1, room / sharers);
        given.messages = meter.messages.limits() ? std::min(given.messages, part) : part;
    }
    return Metered::allotted;
}

}  // namespace

Metered allot(Tables& tables, Lane& lane, std::uint64_t record, std::size_t sharers) {
    Destination& destination = tables.destination_of(lane);
    Meter& meter = destination.meter;
    const std::uint64_t now = tables.clock.now_ns();
    bill(tables, lane);
    return_open(meter, lane.meter);
    const std::uint64_t shares = std::max<std::uint64_t>(1, sharers);
    Allotment given;
    Metered outcome = try_allot(tables, lane, record, shares, now, given);
    if (outcome != Metered::allotted && take_back_unused(tables, destination, lane, now))
        outcome = try_allot(tables, lane, record, shares, now, given);
    if (outcome != Metered::allotted) return outcome;
    lane.meter.open = given;
    lane.meter.allotted_ns = now;
    meter.open.messages += given.messages;
    meter.open.payload += given.payload;
    // relaxed: input, as in begin_meter.
    const std::uint64_t sent_messages = lane.cell->sent_messages.load(std::memory_order_relaxed);
    const std::uint64_t sent_payload =  // relaxed: as above
        lane.cell->sent_payload.load(std::memory_order_relaxed);
    LaneSlot& slot = tables.slot(lane);
    // relaxed: both are visible with the step of `grants`.
    slot.message_stop.store(given.messages == 0 ? 0 : sent_messages + given.messages + 1,
                            std::memory_order_relaxed);
    slot.payload_stop.store(given.payload == 0 ? 0 : sent_payload + given.payload + 1,
                            std::memory_order_relaxed);
    return Metered::allotted;
}

}  // namespace weir::broker
