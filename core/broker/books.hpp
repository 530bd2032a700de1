// SPDX-License-Identifier: Apache-2.0
//
// The published books: how many messages went in and out of each destination, and what is left.
//
// They are derived and not kept: from positions, page headers and notes, at the moment somebody
// asks. So no path of the code can forget to count, and books that were wrong once are right at the
// next look.
//
//   in       messages before the first zero word of each lane, and of lanes that ended
//   queue    depth = in - before the cursor + what consumers hold or shall get again;
//            out = in - depth - dropped
//   topic    per subscription: out = before its cursor - before the place where it began - dropped;
//            depth is the deepest subscription's, out the sum over all, past ones included
//   dropped  messages given up to make room (giving_up.hpp), and by producers before they were in
//
//   K1  while nothing moves the books are exact, and repeated looks cost one page per cursor at
//       most
//   K2  a destination's generation is odd while its numbers change
#ifndef WEIR_CORE_BROKER_BOOKS_HPP
#define WEIR_CORE_BROKER_BOOKS_HPP

#include "core/broker/tables.hpp"

namespace weir::broker {

struct Depth {
    std::uint64_t messages = 0;
    std::uint64_t payload = 0;
};

// Counts one destination and publishes it; what is left to be read is the result.
Depth settle_destination(Tables& tables, Destination& destination);

// How fast direct memory fills, at each tick; for those who look without asking.
void measure_growth(Tables& tables);

// Destinations in turn, until so many lanes were counted; subscriptions and sessions. `next` is
// where the next call goes on. For those who look without asking. True: it was all of them.
bool settle_some(Tables& tables, std::size_t& next, std::size_t lanes_max);

// All of them, and the sessions.
Depth settle_all(Tables& tables);

}  // namespace weir::broker

#endif
