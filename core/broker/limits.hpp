// SPDX-License-Identifier: Apache-2.0
//
// What limits mean for a lane: which pages suit it, what could never be granted to it, and which
// other lanes' memory counts at the level that it met.
#ifndef WEIR_CORE_BROKER_LIMITS_HPP
#define WEIR_CORE_BROKER_LIMITS_HPP

#include "core/broker/tables.hpp"

namespace weir::broker {

// The page for a record of this size, or for a lane that asks ahead (0), when `free` bytes are left
// to be shared.
Units suited_units(const Tables& tables, const Lane& lane, Bytes record, Bytes free);
// The largest window of this lane.
Bytes window_bound(const Tables& tables, const Lane& lane);

// A level at which no waiting helps a record of this size; none: there is no such level.
LimitLevel in_vain_at(const Tables& tables, const Lane& lane, Bytes record);

// Does what `other` holds count at that level of `lane`?
bool counts_at(const Tables& tables, const Lane& lane, LimitLevel level, const Lane& other);
// The slot of the destination, session or user that the level is about.
std::uint32_t number_at(const Tables& tables, const Lane& lane, LimitLevel level);

}  // namespace weir::broker

#endif
