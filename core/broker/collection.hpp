// SPDX-License-Identifier: Apache-2.0
//
// Which pages of a lane nobody needs any more.
//
// Nothing counts references. A page is free when positions say so, read in this order (LAYOUT.md):
// all cursors are above its end; its producer is behind it and sealed it; no note, assignment or
// pending redelivery touches it. Cursors are read before notes, because a consumer writes its note
// before it moves the cursor: whoever sees the cursor moved finds the note.
//
//   Q1  a page that a producer may still write to is not freed, even if a cursor lies beyond it:
//       between its end marker and its seal a producer still writes to the header
//   Q2  a note pins the one page it lies in; a note that lies in none pins nothing
#ifndef WEIR_CORE_BROKER_COLLECTION_HPP
#define WEIR_CORE_BROKER_COLLECTION_HPP

#include "core/broker/tables.hpp"

namespace weir::broker {

// Frees what can be freed of a lane. True if anything was.
bool collect(Tables& tables, Lane& lane);

// True if a range of this lane is in somebody's hands or waits to be delivered again.
bool in_hands(const Tables& tables, const Lane& lane);

// A note as it was copied, and whether it lies in one page of one of this destination's lanes.
struct NoteCopy {
    Range range;  // without a charge
    std::uint64_t acknowledged = 0;
    std::uint64_t started = 0;
    std::uint64_t assignment = 0;
    bool confirmed = false;
};
std::optional<NoteCopy> copy_note(const Tables& tables, const Destination& destination,
                                  const InFlightNote& note);

}  // namespace weir::broker

#endif
