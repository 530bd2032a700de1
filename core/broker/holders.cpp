// SPDX-License-Identifier: Apache-2.0
#include "core/broker/holders.hpp"

#include <algorithm>

namespace weir::broker {
namespace {

// What one session may have of a table or of heap-like memory if nothing is said: one that opens
// without end leaves room for others.
template <class Number>
constexpr Number or_most(Number set, Number whole) noexcept {
    return set != 0 ? set : whole - whole / 4;
}
constexpr std::uint32_t or_all(std::uint32_t set, std::uint32_t whole) noexcept {
    return set != 0 ? set : whole;
}
constexpr Bytes or_none(Bytes set) noexcept { return set != 0 ? set : no_limit; }

struct Counts {
    std::uint32_t sessions = 0;
    std::uint32_t lanes = 0;
    std::uint32_t subscriptions = 0;
};

Counts count(const Tables& tables, const User& user) {
    Counts counts;
    for (const Session& session : tables.sessions) {
        if (&session.user != &user) continue;
        ++counts.sessions;
        counts.lanes += static_cast<std::uint32_t>(session.lanes.size());
        counts.subscriptions += static_cast<std::uint32_t>(session.subscriptions.size());
    }
    return counts;
}

void show_counts(Tables& tables, const User& user, const Counts& counts) {
    UserSlot& slot = tables.control.user(user.slot);
    // relaxed: all of these are numbers for people.
    slot.sessions.store(counts.sessions, std::memory_order_relaxed);
    slot.lanes.store(counts.lanes, std::memory_order_relaxed);
    slot.subscriptions.store(counts.subscriptions, std::memory_order_relaxed);
}

Result<User*, Refused> make_user(Tables& tables, std::uint32_t uid) {
    const auto free = tables.users.free_slot();
    if (!free) return fail(table_is_full("users", tables.users.size()));
    User& user = tables.users.put(*free, std::make_unique<User>(*free, uid));
    UserSlot& slot = tables.control.user(user.slot);
    slot.uid = uid;
    show_counts(tables, user, {});
    user.direct.set_limit(or_none(tables.limits.user.direct_bytes));
    user.heap.set_limit(or_none(tables.limits.user.heap_bytes));
    user.direct.publish_to(slot.direct);
    user.heap.publish_to(slot.heap);
    // SYNC(slot_live) release: the slot's fields.
    slot.state.store(SlotState::live, std::memory_order_release);
    return &user;
}

// From the last page on: what a session wrote lies at a lane's end. What is on its way to disk is
// its own until it is there; what comes back from there is nobody's.
void leave_pages_of(Session& session, Lane& lane) {
    for (Leaving& one : lane.leaving)
        if (one.page.charge.holder() == &session.direct_held) one.page.charge.leave_session();
    for (auto page = lane.pages.rbegin(); page != lane.pages.rend(); ++page) {
        if (session.direct_held.used() == 0) return;
        if (page->charge.holder() == &session.direct_held) page->charge.leave_session();
    }
}

}  // namespace

void show_holder_counts(Tables& tables) {
    const Limits& tables_of = tables.control.view().limits;
    const SessionLimits& session = tables.limits.session;
    const UserLimits& user = tables.limits.user;
    HolderCounts& counts = tables.control.superblock().holder_counts;
    counts.session_lanes = or_most(session.lanes, tables_of.lanes);
    counts.session_subscriptions = or_most(session.subscriptions, tables_of.subscriptions);
    counts.user_sessions = or_all(user.sessions, tables_of.sessions);
    counts.user_lanes = or_all(user.lanes, tables_of.lanes);
    counts.user_subscriptions = or_all(user.subscriptions, tables_of.subscriptions);
}

Result<User*, Refused> admit_session(Tables& tables, std::uint32_t uid) {
    const auto found = std::find_if(tables.users.begin(), tables.users.end(),
                                    [&](const User& user) { return user.uid == uid; });
    if (found == tables.users.end()) return make_user(tables, uid);
    const std::uint32_t most = tables.control.superblock().holder_counts.user_sessions;
    if (count(tables, *found).sessions >= most)
        return fail(holder_is_full(LimitLevel::user, "sessions", most));
    return &*found;
}

void show_holder(Tables& tables, Session& session) {
    SessionSlot& slot = tables.control.session(session.slot);
    slot.user = session.user.slot;
    session.direct_held.set_limit(or_none(tables.limits.session.direct_bytes));
    session.heap_held.set_limit(
        or_most(tables.limits.session.heap_bytes, tables.control.view().limits.heap_bytes));
    session.direct_held.publish_to(slot.direct);
    session.heap_held.publish_to(slot.heap);
    show_counts(tables, session.user, count(tables, session.user));
}

Result<void, Refused> admit_lane(const Tables& tables, const Session& session) {
    const HolderCounts& most = tables.control.view().superblock().holder_counts;
    if (session.lanes.size() >= most.session_lanes)
        return fail(holder_is_full(LimitLevel::session, "lanes", most.session_lanes));
    if (count(tables, session.user).lanes >= most.user_lanes)
        return fail(holder_is_full(LimitLevel::user, "lanes", most.user_lanes));
    return {};
}

Result<void, Refused> admit_subscription(const Tables& tables, const Session& session) {
    const HolderCounts& most = tables.control.view().superblock().holder_counts;
    if (session.subscriptions.size() >= most.session_subscriptions)
        return fail(
            holder_is_full(LimitLevel::session, "subscriptions", most.session_subscriptions));
    if (count(tables, session.user).subscriptions >= most.user_subscriptions)
        return fail(holder_is_full(LimitLevel::user, "subscriptions", most.user_subscriptions));
    return {};
}

void leave_lane(const Session& session, Lane& lane) {
    lane.charge.leave_session();
    for (Attachment& attachment : lane.attachments)
        if (attachment.charge.holder() == &session.heap_held) attachment.charge.leave_session();
}

void leave_pages(Tables& tables, Session& session) {
    for (Lane& lane : tables.lanes) {
        if (session.direct_held.used() == 0) return;
        leave_pages_of(session, lane);
    }
}

void settle_users(Tables& tables) {
    for (const User& user : tables.users) {
        const Counts counts = count(tables, user);
        show_counts(tables, user, counts);
        if (counts.sessions != 0 || user.direct.used() != 0 || user.heap.used() != 0) continue;
        // SYNC(slot_live) release: nothing is published; the slot is out of use.
        tables.control.user(user.slot).state.store(SlotState::free, std::memory_order_release);
        tables.users.erase(user.slot);
    }
}

}  // namespace weir::broker
