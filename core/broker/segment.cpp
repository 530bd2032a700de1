// SPDX-License-Identifier: Apache-2.0
#include "core/broker/segment.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "core/base/check.hpp"
#include "core/broker/books.hpp"
#include "core/broker/collection.hpp"
#include "core/broker/destinations.hpp"
#include "core/broker/disk.hpp"
#include "core/broker/holders.hpp"
#include "core/broker/policies.hpp"
#include "core/broker/recount.hpp"
#include "core/broker/regions.hpp"
#include "core/broker/shortages.hpp"
#include "core/broker/stated_sizes.hpp"
#include "core/broker/watch.hpp"
#include "core/protocol/channel.hpp"

namespace weir::broker {
namespace {

using protocol::Refusal;

constexpr std::uint32_t lanes_per_turn = 256;
// A broker that nobody needs is at the end of a recount after some seconds, and rests.
// Published books are at most so old as it takes to come round: one tick with fewer lanes. With
// more the broker never says that all is at rest.
constexpr std::size_t lanes_settled_per_tick = 1024;
constexpr int recount_steps_per_tick = 16;

std::uint32_t bit_words(const Tables& tables) {
    return static_cast<std::uint32_t>(round_up(tables.lanes.size(), 64) / 64);
}

Refused bad_name(const Error<NameError>& error) { return {Refusal::bad_name, error.sentence}; }

// Where its piece is.
ConsumerAnswer answer_for(Session& session, const Subscription& subscription) {
    ConsumerAnswer answer;
    protocol::ConsumerOpened& fields = answer.fields;
    fields.subscription = subscription.slot;
    fields.subscription_kind = subscription.kind;
    fields.destination = subscription.destination != nobody ? subscription.destination + 1 : 0;
    fields.consumer_slot = subscription.consumer_slot;
    fields.block = subscription.place.block;
    fields.block_offset = subscription.place.offset;
    fields.block_bytes = session.blocks.block_bytes(subscription.place.block);
    answer.block = session.blocks.hand_out(subscription.place.block);
    fields.with_block = answer.block >= 0 ? 1 : 0;
    fields.notes = subscription.piece.notes;
    fields.places = subscription.piece.places;
    return answer;
}

}  // namespace

struct Segment::Parts {
    Parts(const Clock& clock, const SegmentOptions& options)
        : tables(clock),
          grants(tables),
          redelivery(tables),
          subscriptions(tables, redelivery),
          lanes(tables, grants, subscriptions),
          destinations(tables, lanes, subscriptions, options.idle_destination_ns),
          policies(tables, destinations),
          recount(tables),
          watch(tables) {}

    Session& session(std::uint32_t slot) {
        WEIR_CHECK(slot < tables.sessions.size());
        WEIR_CHECK(tables.sessions[slot] != nullptr);
        return *tables.sessions[slot];
    }

    Result<Subscription*, Refused> consumer_of(std::uint32_t in, std::uint32_t number);

    // Takes the bits of lanes, word by word, until the turn has done enough. True: some are left.
    template <class Serve>
    bool take_bits(std::atomic<std::uint64_t>* bits, std::uint32_t& next_word, Serve serve);
    void redeliver(Destination& destination);
    void passed(Lane& lane);
    void tell_lanes();

    Tables tables;
    Grants grants;
    Redelivery redelivery;
    Subscriptions subscriptions;
    Lanes lanes;
    Destinations destinations;
    Policies policies;
    Recount recount;
    Watch watch;
    std::unique_ptr<Disk> disk;  // none: nothing flows to disk
    std::uint32_t next_need = 0;
    std::uint32_t next_passed = 0;
    std::size_t next_settled = 0;
    std::uint64_t let_in_ns = 0;  // when somebody opened something last

    // Who is being let in asks several times in a row, and a slice of memory that the machine has
    // not used yet takes some milliseconds.
    bool puts_memory_off() const noexcept {
        const LimitedAccount& direct = tables.direct.root;
        return tables.clock.now_ns() - let_in_ns < letting_in_ns &&
               direct.below() <= direct.limit() / 2;
    }
};

Segment::Segment(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Segment::~Segment() = default;

Result<std::unique_ptr<Segment>, Refused> Segment::create(const SegmentOptions& options,
                                                          const Clock& clock) {
    auto parts = std::make_unique<Parts>(clock, options);
    if (auto made = make_regions(parts->tables, options); !made) {
        if (parts->tables.control.bytes() != 0) ControlRegion::remove(options.name);
        return fail(made.error());
    }
    if (auto begun = parts->policies.begin(options.policies); !begun) {
        ControlRegion::remove(options.name);
        return fail(begun.error());
    }
    return std::unique_ptr<Segment>(new Segment(std::move(parts)));
}

void Segment::publish() { parts_->tables.control.publish(); }

LifeWord& Segment::life() { return parts_->tables.control.superblock().life; }

Regions Segment::regions() const {
    const Tables& tables = parts_->tables;
    const Limits& limits = tables.control.view().limits;
    return {tables.control.read_only_fd(), tables.signals_fd.get(), tables.direct_read_only.get(),
            tables.direct_fd.get(),        tables.claims_fd.get(),  limits.control_bytes,
            limits.signals_bytes,          limits.direct_bytes,     limits.claims_bytes};
}

const ControlView& Segment::control() const { return parts_->tables.control.view(); }

Result<std::uint32_t, Refused> Segment::open_session(const Evidence& evidence) {
    Tables& tables = parts_->tables;
    const Changing changing(tables.control);
    parts_->let_in_ns = tables.clock.now_ns();
    if (tables.stopping)
        return fail(Refused{Refusal::stopping, "the broker is stopping: start it again"});
    const auto free = tables.sessions.free_slot();
    if (!free) return fail(table_is_full("sessions", tables.sessions.size()));
    const std::uint32_t slot = *free;
    const auto user = admit_session(tables, evidence.uid);
    if (!user) return fail(user.error());
    auto made = std::make_unique<Session>(slot, **user, tables.heap_sessions);
    auto charge = tables.heap_sessions.charge(session_object_bytes, &made->heap_held);
    if (!charge) return fail(heap_is_full(charge.error(), "another session", session_object_bytes));
    made->charge = std::move(*charge);
    Session& session = tables.sessions.put(slot, std::move(made));
    show_holder(tables, session);

    SessionSlot& shown = tables.control.session(slot);
    shown.pid = evidence.pid;
    shown.uid = evidence.uid;
    shown.id = ++tables.sessions_ever;
    session.blocks.name_after(shown.id);
    shown.start_time = evidence.start_time;
    protocol::copy_text(shown.name, evidence.name);
    // relaxed: both become visible with the state.
    shown.lanes.store(0, std::memory_order_relaxed);
    shown.subscriptions.store(0, std::memory_order_relaxed);
    // SYNC(slot_live) release: the slot's fields.
    shown.state.store(SlotState::live, std::memory_order_release);
    return slot;
}

Result<ProducerAnswer, Refused> Segment::open_producer(std::uint32_t slot,
                                                       std::string_view destination) {
    Tables& tables = parts_->tables;
    const Changing changing(tables.control);
    parts_->let_in_ns = tables.clock.now_ns();
    Session& session = parts_->session(slot);
    if (tables.stopping || session.quarantined)
        return fail(Refused{Refusal::stopping, "the broker is stopping: start it again"});
    const auto name = parse_destination(destination);
    if (!name) return fail(bad_name(name.error()));
    if (auto admitted = admit_lane(tables, session); !admitted) return fail(admitted.error());
    auto found = parts_->destinations.find_or_make(*name);
    if (!found) return fail(found.error());
    auto opened = parts_->lanes.open(session, **found);
    if (!opened) return fail(opened.error());

    const Lane& lane = *opened->lane;
    ProducerAnswer answer;
    protocol::ProducerOpened& fields = answer.fields;
    fields.lane = lane.id;
    fields.destination = lane.destination;
    fields.lane_birth = lane.birth;
    fields.block = lane.piece.block;
    fields.block_offset = lane.piece.offset;
    fields.block_bytes = session.blocks.block_bytes(lane.piece.block);
    fields.with_direct = session.has_direct ? 0 : 1;
    session.has_direct = true;
    answer.block = session.blocks.hand_out(lane.piece.block);
    fields.with_block = answer.block >= 0 ? 1 : 0;
    fields.page = opened->ending.page;
    fields.tail = opened->ending.tail;
    fields.messages = opened->ending.messages;
    fields.payload = opened->ending.payload;
    return answer;
}

Result<void, Refused> Segment::close_producer(std::uint32_t slot, LaneId id) {
    const Changing changing(parts_->tables.control);
    Lane* const lane = parts_->tables.lane(id);
    if (lane == nullptr || lane->session != parts_->session(slot).slot)
        return fail(Refused{Refusal::not_found, "this session has no such producer"});
    parts_->lanes.close(*lane);
    return {};
}

Result<ConsumerAnswer, Refused> Segment::open_consumer(std::uint32_t slot, std::string_view pattern,
                                                       std::uint32_t notes,
                                                       std::uint32_t prefetch) {
    const Changing changing(parts_->tables.control);
    parts_->let_in_ns = parts_->tables.clock.now_ns();
    Session& session = parts_->session(slot);
    if (session.quarantined)
        return fail(Refused{Refusal::stopping, "this session has lost its connection"});
    const auto name = parse_pattern(pattern);
    if (!name) return fail(bad_name(name.error()));
    const bool queue = name->kind == DestinationKind::queue;
    if (queue && name->pattern)
        return fail(
            Refused{Refusal::bad_name,
                    fmt::format("{} means several queues: open a consumer for each", name->full)});
    if (auto admitted = admit_subscription(parts_->tables, session); !admitted)
        return fail(admitted.error());
    Destination* destination = nullptr;
    if (!name->pattern) {
        auto found = parts_->destinations.find_or_make(*name);
        if (!found) return fail(found.error());
        destination = *found;
    }
    auto opened =
        queue ? parts_->subscriptions.open_shared(session, *destination, notes, prefetch)
              : parts_->subscriptions.open_exclusive(session, name->full, destination, prefetch);
    if (!opened) return fail(opened.error());
    return answer_for(session, *opened->subscription);
}

Result<Subscription*, Refused> Segment::Parts::consumer_of(std::uint32_t in, std::uint32_t number) {
    Subscription* const subscription =
        number < tables.subscriptions.size() ? tables.subscriptions[number] : nullptr;
    if (subscription == nullptr || subscription->session != session(in).slot)
        return fail(Refused{Refusal::not_found, "this session has no such consumer"});
    return subscription;
}

Result<ConsumerAnswer, Refused> Segment::widen_consumer(std::uint32_t slot, std::uint32_t number,
                                                        std::uint32_t notes) {
    const Changing changing(parts_->tables.control);
    const auto subscription = parts_->consumer_of(slot, number);
    if (!subscription) return fail(subscription.error());
    if (auto done = parts_->subscriptions.widen(**subscription, notes); !done)
        return fail(done.error());
    return answer_for(parts_->session(slot), **subscription);
}

Result<void, Refused> Segment::close_consumer(std::uint32_t slot, std::uint32_t number) {
    const Changing changing(parts_->tables.control);
    const auto subscription = parts_->consumer_of(slot, number);
    if (!subscription) return fail(subscription.error());
    parts_->subscriptions.close(**subscription);
    return {};
}

// Lanes of a destination learn what is asked of it now, beside what stands in its slot.
void Segment::Parts::tell_lanes() {
    for (Destination& destination : tables.destinations) grants.policy_changed(destination);
}

Result<PolicyChange, Refused> Segment::set_policy(std::string_view pattern,
                                                  std::string_view settings) {
    const Changing changing(parts_->tables.control);
    auto changed = parts_->policies.set(pattern, settings);
    if (changed) parts_->tell_lanes();
    return changed;
}

Result<PolicyChange, Refused> Segment::read_policies(const std::vector<RuleText>& rules) {
    const Changing changing(parts_->tables.control);
    auto changed = parts_->policies.read_again(rules);
    if (changed) parts_->tell_lanes();
    return changed;
}

Result<PolicyKeyShown, Refused> Segment::show_policy(std::string_view destination,
                                                     std::uint32_t key) const {
    return parts_->policies.show(destination, key);
}

std::uint64_t Segment::due_ns() const { return parts_->grants.due_ns(); }

// Left or died makes no difference here: either proves that the process will not touch its lanes
// and notes again, and what it did last is read from them.
void Segment::end_session(std::uint32_t slot, Ending) {
    Tables& tables = parts_->tables;
    const Changing changing(tables.control);
    Session& session = parts_->session(slot);
    while (!session.lanes.empty()) parts_->lanes.close(*tables.lane(session.lanes.back()));
    while (!session.subscriptions.empty())
        parts_->subscriptions.close(*tables.subscriptions[session.subscriptions.back()]);
    leave_pages(tables, session);
    // SYNC(slot_live) release: nothing is published; the slot is out of use.
    tables.control.session(slot).state.store(SlotState::free, std::memory_order_release);
    tables.sessions.erase(slot);
}

void Segment::suspend_session(std::uint32_t slot) {
    Tables& tables = parts_->tables;
    const Changing changing(tables.control);
    Session& session = parts_->session(slot);
    session.quarantined = true;
    for (const LaneId id : session.lanes) parts_->lanes.quarantine(*tables.lane(id));
    for (const std::uint32_t number : session.subscriptions)
        parts_->subscriptions.quarantine(*tables.subscriptions[number]);
    // SYNC(slot_live) release: nothing is published; for tools.
    tables.control.session(slot).state.store(SlotState::quarantined, std::memory_order_release);
}

template <class Serve>
bool Segment::Parts::take_bits(std::atomic<std::uint64_t>* bits, std::uint32_t& next_word,
                               Serve serve) {
    const std::uint32_t words = bit_words(tables);
    std::uint32_t served = 0;
    for (std::uint32_t step = 0; step < words; ++step) {
        const std::uint32_t word = next_word;
        // relaxed: an empty word is not worth a read-modify-write; a bit that is set later is found
        // later.
        if (bits[word].load(std::memory_order_relaxed) != 0) {
            // SYNC(lane_bit) acquire: what each lane needs was written before its bit.
            std::uint64_t taken = bits[word].exchange(0, std::memory_order_acq_rel);
            for (; taken != 0; taken &= taken - 1, ++served) {
                const auto bit = static_cast<std::uint32_t>(std::countr_zero(taken));
                if (Lane* const lane = tables.lane(word * 64 + bit)) serve(*lane);
            }
        }
        next_word = (word + 1) % words;
        if (served >= lanes_per_turn) return true;
    }
    return false;
}

// What consumers are done with makes place for what is to be delivered again.
void Segment::Parts::redeliver(Destination& destination) {
    if (destination.kind != DestinationKind::queue) return;
    redelivery.drop_finished(destination);
    if (!destination.pending.empty()) redelivery.assign(destination);
}

void Segment::Parts::passed(Lane& lane) {
    Destination& destination = tables.destination_of(lane);
    redeliver(destination);
    collect(tables, lane);
}

bool Segment::turn() {
    Tables& tables = parts_->tables;
    const Changing changing(tables.control);
    SignalsHead& head = tables.signals.head();
    // relaxed: a sign of life for people.
    tables.control.superblock().turns.fetch_add(1, std::memory_order_relaxed);
    parts_->grants.begin_turn();
    // What was read comes first: it is what others wait for.
    bool more = parts_->take_bits(head.passed, parts_->next_passed,
                                  [&](Lane& lane) { parts_->passed(lane); });
    more = parts_->take_bits(head.need, parts_->next_need, [&](Lane& lane) {
        parts_->grants.serve(lane);
    }) || more;
    more = parts_->lanes.finish_closing() || more;
    if (parts_->disk) more = parts_->disk->turn() || more;
    parts_->grants.serve_waiting();
    tables.direct.producers.set_asks(parts_->grants.anyone_waits());
    if (!parts_->puts_memory_off()) more = extend_direct(tables) || more;
    parts_->policies.make_named();
    parts_->recount.step_if_due();
    return more;
}

bool Segment::tick() {
    Tables& tables = parts_->tables;
    const Changing changing(tables.control);
    parts_->grants.begin_turn();
    std::vector<Destination*> all;
    for (Destination& destination : tables.destinations) {
        all.push_back(&destination);
        parts_->redeliver(destination);
    }
    for (Lane& lane : tables.lanes) collect(tables, lane);
    if (!tables.stopping) parts_->grants.shrink_idle();
    parts_->lanes.end_read_lanes(all, false);
    parts_->destinations.end_idle();
    settle_users(tables);
    parts_->grants.serve_waiting();
    end_shortages(tables);
    const bool all_settled = settle_some(tables, parts_->next_settled, lanes_settled_per_tick);
    measure_growth(tables);
    parts_->recount.steps(recount_steps_per_tick);
    return parts_->watch.look() && all_settled && parts_->recount.resting();
}

void Segment::use_disk(io::Files& files, const FlowOptions& flow, std::uint64_t limit_bytes) {
    parts_->tables.has_disk = true;
    parts_->disk = std::make_unique<Disk>(parts_->tables, files, flow, limit_bytes);
}

void Segment::disk_completed(io::Token token, std::int32_t result) {
    if (parts_->disk) parts_->disk->completed(token, result);
}

void Segment::abandon_disk() {
    if (parts_->disk) parts_->disk->abandon();
}

bool Segment::disk_is_idle() const { return !parts_->disk || parts_->disk->is_idle(); }

void Segment::fall_asleep() {
    // SYNC(doorbell) release: nothing is published; who sets a bit after this rings, and bits that
    // were set before are seen below (S2).
    parts_->tables.signals.head().broker_asleep.store(1, std::memory_order_seq_cst);
}

bool Segment::may_sleep() const {
    const Tables& tables = parts_->tables;
    const SignalsHead& head = tables.signals.head();
    if (!direct_is_whole(tables)) return false;
    // Bits of lanes that do not exist are nobody's: they would keep a lied-to broker awake for
    // ever.
    for (std::size_t word = 0; word < bit_words(tables); ++word) {
        // SYNC(lane_bit) acquire: in one order with `broker_asleep` (S2); the bits are taken later.
        if (head.need[word].load(std::memory_order_seq_cst) != 0) return false;
        // SYNC(lane_bit) acquire: as above.
        if (head.passed[word].load(std::memory_order_seq_cst) != 0) return false;
    }
    return true;
}

void Segment::awake() {
    // relaxed: a late doorbell costs one turn.
    parts_->tables.signals.head().broker_asleep.store(0, std::memory_order_relaxed);
}

void Segment::settle() {
    const Changing changing(parts_->tables.control);
    settle_all(parts_->tables);
}

Discarded Segment::begin_stop() {
    Tables& tables = parts_->tables;
    const Changing changing(tables.control);
    if (!tables.stopping) {
        tables.stopping = true;
        // relaxed: for people; producers learn it from their stop and the reason.
        tables.control.superblock().stopping.store(1, std::memory_order_relaxed);
        parts_->grants.stop();
    }
    const Depth left = settle_all(tables);
    return {left.messages, left.payload};
}

bool Segment::drained() {
    const Changing changing(parts_->tables.control);
    return settle_all(parts_->tables).messages == 0;
}

}  // namespace weir::broker
