// SPDX-License-Identifier: Apache-2.0
//
// Taking the last page of a topic's lane whose producer sleeps and whose subscribers have read
// everything.
//
// A revocation (retraction.hpp) ended the page. Of a queue the broker then moves the cursor behind
// it; a topic's cursors are their consumers' own and stay in the page for as long as they sleep
// too. So the page is given up like one of a ring (giving_up.hpp), with nothing in it that anybody
// would miss: it is marked, every process passes a barrier, and if no subscriber looks at the lane
// and nothing is unread, it goes and the lane's floor rises to where the next page will begin. Who
// looks again finds its page gone and goes on there.
//
//   X1  nothing unread and nothing held is ever taken here
//   X2  the next page of the lane begins at the floor: a lane without pages is granted its first
//       one where the last one ended, and that one is not retracted (LAYOUT.md)
#ifndef WEIR_CORE_BROKER_IDLE_TAILS_HPP
#define WEIR_CORE_BROKER_IDLE_TAILS_HPP

#include <span>

#include "core/broker/tables.hpp"

namespace weir::broker {

// Of those of the lanes that are a topic's and ended. One barrier for all. True: something went.
bool take_read_tails(Tables& tables, std::span<Lane* const> lanes);

}  // namespace weir::broker

#endif
