// SPDX-License-Identifier: Apache-2.0
//
// Sessions and users as holders: whose memory it is, wherever it stands, and how much of everything
// one may have.
//
//      user (uid)            lives while it has a session, or memory that an ended one left
//        +-- session         its pages, its lanes, its consumers, its exchange
//
// Every charge that is made for a session names it (accounts.hpp), and limits of sessions and users
// are limits like any other. When a session ends, what it wrote stays: its pages and lanes are its
// user's from then on, so nobody gets around a limit by connecting again. Lanes and subscriptions
// are counted when somebody asks, not kept.
//
//   O1  a session holds nothing when it ends
//   O2  a user's object outlives its sessions and all that is charged to it
#ifndef WEIR_CORE_BROKER_HOLDERS_HPP
#define WEIR_CORE_BROKER_HOLDERS_HPP

#include "core/broker/refusal.hpp"
#include "core/broker/tables.hpp"

namespace weir::broker {

// At start: what one session and one user may have, from the limits and the lengths of the tables.
void show_holder_counts(Tables& tables);

// The user of one more session, or why it may not have one.
Result<User*, Refused> admit_session(Tables& tables, std::uint32_t uid);
// Limits in bytes, and where use is shown, of a session that was just made.
void show_holder(Tables& tables, Session& session);
// May it have one more?
Result<void, Refused> admit_lane(const Tables& tables, const Session& session);
Result<void, Refused> admit_subscription(const Tables& tables, const Session& session);

// A session's lane is closed: the object is its user's from now on.
void leave_lane(const Session& session, Lane& lane);
// A session ends: the pages it wrote are its user's from now on. Its own lanes are closed already.
void leave_pages(Tables& tables, Session& session);

// Brings the published counts of users up to date, and ends users that hold nothing.
void settle_users(Tables& tables);

}  // namespace weir::broker

#endif
