// SPDX-License-Identifier: Apache-2.0
//
// Where an exclusive consumer stands in the lanes that it reads: the places of its piece.
//
//   piece    | cell | place 0 | place 1 | ...          what the consumer has mapped and writes
//   wider    | ....................................... |  kept for it until it asks
//
// A lane needs a place before it can be seen, and its consumer may be asleep or stopped then. If
// the piece has none left, a wider piece is taken at once, so that who opens the lane is refused if
// memory is short and nobody later; the consumer asks for it (`widen`) when it next looks for
// lanes. Until then the attachment stands where it began.
//
//   P1  no two attachments of a subscription have the same place, and `wider` has room for all
//   P2  a place names a lane only while the subscription is attached to it
#ifndef WEIR_CORE_BROKER_LANE_PLACES_HPP
#define WEIR_CORE_BROKER_LANE_PLACES_HPP

#include "core/broker/tables.hpp"

namespace weir::broker {

// A free place, taken; what stands in the way if a wider piece is needed and cannot be had.
Result<std::uint32_t, Obstacle> take_place(Tables& tables, Subscription& subscription);
// Takes back a place of an attachment that ends: the consumer reads the lane no more.
void leave_place(Subscription& subscription, std::uint32_t place) noexcept;
// Shows where the consumer stands in a lane, if its piece has the place.
void show_place(const Subscription& subscription, const Attachment& attachment,
                LaneId lane) noexcept;
// The exclusive cursor of an attachment as its consumer shows it.
std::uint64_t shown_cursor(const Subscription& subscription, const Attachment& attachment) noexcept;
// Its consumer asks: `wider`, if there is one, is its piece from now on.
void widen_places(Tables& tables, Subscription& subscription);

}  // namespace weir::broker

#endif
