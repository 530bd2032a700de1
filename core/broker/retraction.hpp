// SPDX-License-Identifier: Apache-2.0
//
// Taking pages back from lanes that were granted more than they use (LAYOUT.md, enter and retract).
//
// The broker takes first and looks afterwards: links are cut or the stop is lowered for a whole
// batch of lanes, then one membarrier makes every process see it, then the hot words of the clients
// say who had stepped in before. Who is named keeps what he has.
//
//   V1  only pages that their producer has not entered are taken ahead: no reader stands in one,
//       because readers step into a page only when something is written there. Their positions are
//       gone for good
//   V2  a page is revoked only if something is written in it: one without may be named by a
//       producer that is about to enter it
//   V3  a revoked lane gets no new grant before its producer has shown that it saw the step
#ifndef WEIR_CORE_BROKER_RETRACTION_HPP
#define WEIR_CORE_BROKER_RETRACTION_HPP

#include <span>

#include "core/broker/tables.hpp"

namespace weir::broker {

// Takes back the pages ahead of what each lane is writing. True if anything was freed.
bool retract(Tables& tables, std::span<Lane* const> lanes);

// Takes the page being written from idle lanes whose messages have all been read. True if any was
// taken; the page is freed by the next collection.
bool revoke(Tables& tables, std::span<Lane* const> lanes);

// The producer has seen that its page was revoked, or none was.
bool revocation_is_seen(Lane& lane) noexcept;

}  // namespace weir::broker

#endif
