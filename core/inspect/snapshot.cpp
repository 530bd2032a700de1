// SPDX-License-Identifier: Apache-2.0
#include "core/inspect/snapshot.hpp"

#include <cstring>
#include <optional>
#include <span>
#include <string_view>

#include "shm/shortage_copy.hpp"

namespace weir::inspect {
namespace {

// A look takes well under a microsecond, and the broker changes one destination's books in less: a
// thousand disturbed looks in a row mean that it died inside a change.
constexpr int looks_max = 1000;

// Ends at the first zero or at the field's end, whatever is in it.
std::string text_of(std::span<const char> field) {
    return std::string(field.data(), strnlen(field.data(), field.size()));
}

std::uint64_t number(const std::atomic<std::uint64_t>& word) noexcept {
    // relaxed: one number for people; nothing is derived from it together with another.
    return word.load(std::memory_order_relaxed);
}

std::uint32_t number(const std::atomic<std::uint32_t>& word) noexcept {
    // relaxed: as above.
    return word.load(std::memory_order_relaxed);
}

RegionUse use_of(std::uint64_t capacity, const Usage& usage) {
    return {capacity, number(usage.used), number(usage.peak)};
}

RegionUse account(const Usage& usage) { return use_of(number(usage.limit), usage); }

PartsUse accounts(const PartsUsage& parts) {
    return {account(parts.producer), account(parts.consumer)};
}

SlotState state_of(const std::atomic<SlotState>& state) noexcept {
    // SYNC(slot_live) acquire: the slot's other fields are those of this use.
    return state.load(std::memory_order_acquire);
}

// Copies a slot by `copy(slot)` until nothing about its use changed meanwhile. Nothing if it is not
// in use, or came and went at every look.
template <class Slot, class Birth, class Copy>
auto copied(const Slot& slot, const Birth& birth, const Copy& copy)
    -> std::optional<decltype(copy(slot))> {
    for (int look = 0; look < looks_max; ++look) {
        const SlotState before = state_of(slot.state);
        if (before == SlotState::free || before == SlotState::ended) return std::nullopt;
        const std::uint64_t born = birth(slot);
        auto facts = copy(slot);
        if (state_of(slot.state) == before && birth(slot) == born) return facts;
    }
    return std::nullopt;
}

// Each book is loaded with acquire, so that a look that saw a number of the next generation also
// sees that the generation has moved.
std::uint64_t book(const std::atomic<std::uint64_t>& word) noexcept {
    // SYNC(books) acquire: the generation that this number belongs to.
    return word.load(std::memory_order_acquire);
}

std::uint32_t generation_of(const DestinationSlot& slot) noexcept {
    // SYNC(books) acquire: the books of that generation.
    return slot.books_generation.load(std::memory_order_acquire);
}

void copy_books(const Books& books, DestinationBooks& to) {
    to.messages_in = book(books.messages_in);
    to.messages_out = book(books.messages_out);
    to.depth_messages = book(books.depth_messages);
    to.depth_bytes = book(books.depth_bytes);
    to.direct_bytes = book(books.direct_bytes);
    to.disk_bytes = book(books.disk_bytes);
    to.redelivered = book(books.redelivered);
    to.damaged = book(books.damaged);
    to.dropped = book(books.dropped);
    to.dropped_newest = book(books.dropped_newest);
}

DestinationBooks destination_of(const DestinationSlot& slot) {
    DestinationBooks facts;
    facts.moving = true;
    for (int look = 0; look < looks_max && facts.moving; ++look) {
        const std::uint32_t before = generation_of(slot);
        copy_books(slot.books, facts);
        facts.settled_ns = book(slot.settled_ns);
        facts.moving = before % 2 != 0 || generation_of(slot) != before;  // N2
    }
    facts.name = text_of(slot.name);
    facts.birth = slot.birth;
    facts.producers = number(slot.producers);
    facts.consumers = number(slot.consumers);
    facts.blocked_producers = number(slot.blocked_producers);
    // relaxed: a number for people.
    facts.limit = slot.policy.limit.load(std::memory_order_relaxed);
    facts.direct = account(slot.direct);
    facts.direct_parts = accounts(slot.direct_parts);
    facts.heap = account(slot.heap);
    return facts;
}

LaneFacts lane_of(const LaneSlot& slot) {
    LaneFacts facts;
    facts.state = state_of(slot.state);
    facts.messages_in = number(slot.messages_in);
    facts.direct_bytes = number(slot.direct_bytes);
    facts.window_bytes = number(slot.window_bytes);
    // relaxed: shown to people only.
    facts.reason = slot.reason.load(std::memory_order_relaxed);
    facts.waiting_since_ns = number(slot.waiting_since_ns);
    return facts;
}

// A slot number that the region names is looked up only if it is inside its table.
std::uint64_t session_id(const ControlView& view, std::uint32_t slot) {
    if (slot >= view.limits.sessions) return 0;
    const SessionSlot& session = view.session(slot);
    return state_of(session.state) == SlotState::free ? 0 : session.id;
}

std::string destination_name(const ControlView& view, std::uint32_t slot) {
    if (slot >= view.limits.destinations) return {};
    const DestinationSlot& destination = view.destination(slot);
    if (state_of(destination.state) == SlotState::free) return {};
    return text_of(destination.name);
}

// A session slot may have another user since: then the name would be somebody else's.
std::string session_name(const ControlView& view, std::uint32_t slot, std::uint32_t pid) {
    if (slot >= view.limits.sessions) return {};
    const SessionSlot& session = view.session(slot);
    if (state_of(session.state) == SlotState::free || session.pid != pid) return {};
    return text_of(session.name);
}

ShortageFacts shortage_of(const ControlView& view, const Shortage& shortage) {
    ShortageCopy copy;
    if (!copy_shortage(shortage, copy) || copy.reason == WaitReason::none) return {};
    ShortageFacts facts{copy.reason,   copy.level,    copy.used,     copy.capacity,
                        copy.since_ns, copy.freeable, copy.only_pid, {}};
    for (const HolderCopy& held : copy.holders) {
        if (held.bytes == 0) break;
        facts.holders.push_back({held.bytes, destination_name(view, held.destination), held.pid,
                                 held.pid == 0 ? "" : session_name(view, held.session, held.pid)});
    }
    return facts;
}

void copy_destinations(const ControlView& view, Snapshot& to) {
    for (std::uint32_t slot = 0; slot < view.limits.destinations; ++slot) {
        auto facts = copied(
            view.destination(slot), [](const DestinationSlot& from) { return from.birth; },
            destination_of);
        if (!facts) continue;
        facts->slot = slot;
        facts->shortage = shortage_of(view, view.destination(slot).shortage);
        to.destinations.push_back(std::move(*facts));
    }
}

void copy_lanes(const ControlView& view, Snapshot& to) {
    for (LaneId lane = 0; lane < view.limits.lanes; ++lane) {
        const LaneSlot& slot = view.lane(lane);
        auto facts = copied(
            slot, [](const LaneSlot& from) { return number(from.birth); }, lane_of);
        if (!facts) continue;
        facts->lane = lane;
        facts->destination = destination_name(view, number(slot.destination));
        if (facts->state == SlotState::live)
            facts->session_id = session_id(view, number(slot.session));
        to.lanes.push_back(std::move(*facts));
    }
}

void copy_subscriptions(const ControlView& view, Snapshot& to) {
    const auto copy = [&view](const SubscriptionSlot& slot) {
        SubscriptionFacts facts;
        facts.kind = slot.kind;
        facts.pattern = text_of(slot.pattern);
        facts.session_id = session_id(view, slot.session);
        facts.prefetch = slot.prefetch;
        facts.birth = slot.birth;
        facts.destination = slot.destination;
        facts.messages_out = number(slot.messages_out);
        facts.depth_messages = number(slot.depth_messages);
        facts.dropped = number(slot.dropped);
        // relaxed: a number for people.
        facts.lost = slot.lost.load(std::memory_order_relaxed);
        return facts;
    };
    for (std::uint32_t slot = 0; slot < view.limits.subscriptions; ++slot) {
        auto facts = copied(
            view.subscription(slot), [](const SubscriptionSlot& from) { return from.birth; }, copy);
        if (!facts) continue;
        facts->slot = slot;
        to.subscriptions.push_back(std::move(*facts));
    }
}

void copy_sessions(const ControlView& view, Snapshot& to) {
    const auto copy = [](const SessionSlot& slot) {
        SessionFacts facts;
        facts.id = slot.id;
        facts.pid = slot.pid;
        facts.name = text_of(slot.name);
        facts.lanes = number(slot.lanes);
        facts.subscriptions = number(slot.subscriptions);
        facts.direct_bytes = number(slot.direct.used);
        facts.uid = slot.uid;
        facts.direct = account(slot.direct);
        facts.heap = account(slot.heap);
        return facts;
    };
    for (std::uint32_t slot = 0; slot < view.limits.sessions; ++slot) {
        auto facts = copied(
            view.session(slot), [](const SessionSlot& from) { return from.id; }, copy);
        if (!facts) continue;
        facts->slot = slot;
        to.sessions.push_back(std::move(*facts));
    }
}

void copy_users(const ControlView& view, Snapshot& to) {
    const auto copy = [](const UserSlot& slot) {
        UserFacts facts;
        facts.uid = slot.uid;
        facts.sessions = number(slot.sessions);
        facts.lanes = number(slot.lanes);
        facts.subscriptions = number(slot.subscriptions);
        facts.direct = account(slot.direct);
        facts.heap = account(slot.heap);
        return facts;
    };
    for (std::uint32_t slot = 0; slot < view.limits.users; ++slot) {
        auto facts = copied(
            view.user(slot), [](const UserSlot& from) { return std::uint64_t{from.uid}; }, copy);
        if (facts) to.users.push_back(*facts);
    }
}

void copy_activity(const DiskActivity& from, DiskFacts& to) {
    to.flowing = number(from.flowing) != 0;
    // relaxed: a number for people.
    to.trouble = from.trouble.load(std::memory_order_relaxed);
    to.trouble_errno = number(from.trouble_errno);
    to.bytes_written = number(from.bytes_written);
    to.bytes_read = number(from.bytes_read);
    to.written_per_s = number(from.written_per_s);
    to.read_per_s = number(from.read_per_s);
    to.pages_lost = number(from.pages_lost);
}

}  // namespace

std::uint64_t seconds_until_full(const RegionUse& use, std::uint64_t growth_per_s) noexcept {
    if (growth_per_s == 0 || use.used >= use.capacity) return 0;
    // Rounded up: less than a second is not never.
    return (use.capacity - use.used + growth_per_s - 1) / growth_per_s;
}

std::uint64_t growth_per_s(const DiskFacts& disk) noexcept {
    return disk.written_per_s - std::min(disk.written_per_s, disk.read_per_s);
}

Snapshot take_snapshot(const ControlView& view) {
    const Superblock& super = view.superblock();
    Snapshot snapshot;
    snapshot.broker.name = text_of(super.name);
    snapshot.broker.pid = super.broker_pid;
    snapshot.broker.process_start = super.broker_start_time;
    snapshot.broker.epoch = super.epoch;
    snapshot.broker.started_ns = super.started_ns;
    snapshot.broker.turns = number(super.turns);
    snapshot.broker.largest_message = view.limits.largest_message;
    snapshot.broker.stopping = number(super.stopping) != 0;
    snapshot.direct = use_of(view.limits.direct_bytes, super.direct);
    snapshot.heap = use_of(view.limits.heap_bytes, super.heap);
    snapshot.disk = account(super.disk);
    copy_activity(super.disk_activity, snapshot.disk_activity);
    snapshot.direct_growth_per_s = number(super.direct_growth_per_s);
    snapshot.direct_parts = accounts(super.direct_parts);
    snapshot.heap_parts = accounts(super.heap_parts);
    snapshot.heap_tables = account(super.heap_tables);
    snapshot.heap_sessions = account(super.heap_sessions);
    const SelfCount& self = super.self_count;
    // relaxed: all of these are numbers for people.
    snapshot.self.direct = self.direct.load(std::memory_order_relaxed);
    snapshot.self.heap = self.heap.load(std::memory_order_relaxed);
    snapshot.self.messages = self.messages.load(std::memory_order_relaxed);
    snapshot.self.passes = number(self.passes);
    snapshot.self.drifts = number(self.drifts);
    snapshot.self.resting = number(self.resting) != 0;
    copy_destinations(view, snapshot);
    copy_lanes(view, snapshot);
    copy_subscriptions(view, snapshot);
    copy_sessions(view, snapshot);
    copy_users(view, snapshot);
    return snapshot;
}

const char* name_of(SlotState state) noexcept {
    switch (state) {
        case SlotState::free: return "free";
        case SlotState::live: return "live";
        case SlotState::closed: return "closed";
        case SlotState::quarantined: return "quarantined";
        case SlotState::ended: return "ended";
    }
    return "unknown";
}

const char* name_of(DiskTrouble trouble) noexcept {
    switch (trouble) {
        case DiskTrouble::none: return "none";
        case DiskTrouble::limit: return "limit";
        case DiskTrouble::disk_full: return "disk-full";
        case DiskTrouble::disk_error: return "disk-error";
        case DiskTrouble::gone: return "gone";
        case DiskTrouble::denied: return "denied";
        case DiskTrouble::unsupported: return "unsupported";
        case DiskTrouble::exhausted: return "exhausted";
    }
    return "unknown";
}

const char* explain(DiskTrouble trouble) noexcept {
    switch (trouble) {
        case DiskTrouble::none: return "";
        case DiskTrouble::limit: return "as much is on disk as may be: raise --spill-limit";
        case DiskTrouble::disk_full: return "the file system has no room left: free some";
        case DiskTrouble::disk_error: return "the disk fails: look at the kernel's log";
        case DiskTrouble::gone: return "the spill directory is not there: make it again";
        case DiskTrouble::denied: return "the spill directory may not be written: mend its rights";
        case DiskTrouble::unsupported: return "the file system cannot reserve space: use another";
        case DiskTrouble::exhausted: return "no memory or descriptors for another spill file";
    }
    return "it is in trouble that this tool does not know";
}

const char* name_of(WaitReason reason) noexcept {
    switch (reason) {
        case WaitReason::none: return "none";
        case WaitReason::direct_full: return "direct memory is full";
        case WaitReason::direct_fragmented: return "direct memory is fragmented";
        case WaitReason::heap_full: return "heap-like memory is full";
        case WaitReason::broker_stopping: return "the broker is stopping";
        case WaitReason::lane_exhausted: return "the lane has reached its end";
        case WaitReason::destination_limit: return "the destination is at its limit";
        case WaitReason::part_full: return "the producer part is full";
        case WaitReason::session_limit: return "the session is at its limit";
        case WaitReason::user_limit: return "the user is at its limit";
        case WaitReason::rate_limit: return "the rate is used up";
        case WaitReason::pace: return "it is slowed down above its high-water mark";
        case WaitReason::depth_limit: return "the destination is at its depth";
        case WaitReason::disk_full: return "the spill directory is full";
        case WaitReason::disk_error: return "the spill directory cannot be written";
        case WaitReason::never_fits: return "the message fits into no limit";
    }
    return "unknown";
}

const char* name_of(LimitLevel level) noexcept {
    switch (level) {
        case LimitLevel::none: return "none";
        case LimitLevel::broker: return "broker";
        case LimitLevel::producer_part: return "producer part";
        case LimitLevel::consumer_part: return "consumer part";
        case LimitLevel::destination: return "destination";
        case LimitLevel::session: return "session";
        case LimitLevel::user: return "user";
        case LimitLevel::disk: return "disk";
    }
    return "unknown";
}

const char* name_of(SubscriptionKind kind) noexcept {
    switch (kind) {
        case SubscriptionKind::exclusive: return "exclusive";
        case SubscriptionKind::shared: return "shared";
    }
    return "unknown";
}

}  // namespace weir::inspect
