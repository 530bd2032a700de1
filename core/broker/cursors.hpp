// SPDX-License-Identifier: Apache-2.0
//
// How far the subscriptions of a destination have read a lane.
//
// Cursors are written by clients, so each is copied once and accepted only if it grew and lies
// inside what the lane has handed out; else the last accepted one counts. A consumer that lies can
// therefore keep pages of its own subscription, and nothing else.
#ifndef WEIR_CORE_BROKER_CURSORS_HPP
#define WEIR_CORE_BROKER_CURSORS_HPP

#include "core/broker/tables.hpp"

namespace weir::broker {

// Takes over what the consumers wrote. `queue_cursor` and the attachments' cursors are then up to
// date.
void accept_cursors(Tables& tables, Lane& lane);

// The lowest accepted cursor; pages that end before it have been read by all. No cursor:
// everything.
Position lowest_cursor(const Tables& tables, const Lane& lane);

// True if a record lies at a position of this lane that is in memory.
bool readable_at(const Tables& tables, const Lane& lane, Position cursor);

// True if a consumer of this destination could still read a message of this lane. Cursors are
// accepted first.
bool anything_unread(Tables& tables, Lane& lane);

// A queue's last page that got an end marker while nothing was granted behind it: no consumer will
// ever move the cursor out of it, because there is no next message, so the broker does.
void pass_ended_page(Tables& tables, Lane& lane);

// Sets the shared cursor of a lane before it becomes visible, from the broker's own position.
void show_queue_cursor(Tables& tables, const Lane& lane);

}  // namespace weir::broker

#endif
