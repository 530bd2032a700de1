// SPDX-License-Identifier: Apache-2.0
//
// Giving up the oldest backlog of a destination to make room: a ring, or a topic that does not wait
// for slow subscribers.
//
// What is given up is a whole page that its producer has left, the oldest of the destination first.
// What somebody holds is never given up: it stays, and with it its page, while the pages around it
// go.
//
//   queue   the broker moves the shared cursor over the page, as a claimant with number 0. A
//           consumer that is claiming there loses its swap and looks again
//   topic   cursors are their consumers' own, so the broker marks the pages as being given up,
//           makes every process pass a barrier, and then looks who stands there (enter and retract,
//           LAYOUT.md). A subscriber that stood there reads its page to the end and goes on behind
//           the gap; one that comes later finds its page gone and begins at the lane's floor
//
//   Y1  messages in consumers' hands are not given up
//   Y2  each message given up is counted once for the queue, and once for each subscription of a
//       topic that had not read it
//   Y3  a lane's floor rises only after everything below it that will go has gone
#ifndef WEIR_CORE_BROKER_GIVING_UP_HPP
#define WEIR_CORE_BROKER_GIVING_UP_HPP

#include "core/broker/tables.hpp"

namespace weir::broker {

// Gives up one page's worth of the oldest backlog. False: there is none that nobody holds.
bool give_up_oldest(Tables& tables, Destination& destination);

// Gives up `messages` of a queue, the oldest first, wherever they lie. How many it could.
std::uint64_t give_up_messages(Tables& tables, Destination& queue, std::uint64_t messages);

// Ends the subscription of a topic that is furthest behind. False: none is behind.
bool end_slowest(Tables& tables, Destination& topic);

}  // namespace weir::broker

#endif
