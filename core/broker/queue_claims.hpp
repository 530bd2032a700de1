// SPDX-License-Identifier: Apache-2.0
//
// Where the cursors of a queue stand while it has consumers, and how they move to a larger place.
//
//   consumers   lanes        place
//   none        any          Lane.queue_cursor, the broker's own
//   one, the first of them   its exchange piece: a memory file costs a page, and of many queues
//               up to 8      each has one consumer
//   else                     a memory file, in powers of two
//
// A place that became too small is left: each cursor is swapped out of it (claims.hpp). Its memory
// stays charged until every consumer has asked for the new one, because until then they map it.
//
//   G1  a lane is visible only if the claims have room for its index, a consumer likewise
//   G2  a cursor is in one place: the old one holds 0 from the moment it was read for the new one
//   G3  positions at one index never repeat, also not with another lane there (`claims_floors`):
//       else a claimant that slept could swap a cursor word that came twice (claims.hpp, K1)
#ifndef WEIR_CORE_BROKER_QUEUE_CLAIMS_HPP
#define WEIR_CORE_BROKER_QUEUE_CLAIMS_HPP

#include "core/broker/tables.hpp"

namespace weir::broker {

// Makes room for a lane of this index and a consumer of this number. `lone`: the consumer that may
// give room in its piece, if it is the only one. False: heap-like memory is short, nothing changed.
bool make_claims_room(Tables& tables, Destination& queue, std::uint32_t index,
                      std::uint32_t consumer, const Subscription* lone);

// A consumer has gone from the list, its piece not yet. Without consumers the broker keeps the
// cursors itself.
void leave_claims(Tables& tables, Destination& queue);

// The consumer was told where the claims are now.
void claims_told(Tables& tables, Destination& queue, Subscription& consumer);

// An index for a lane that starts at `start` or above; `start` is raised as G3 needs it.
std::uint32_t take_lane_index(Destination& destination, Position& start);
void give_back_lane_index(Destination& destination, const Lane& lane);

}  // namespace weir::broker

#endif
