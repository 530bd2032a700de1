// SPDX-License-Identifier: Apache-2.0
//
// Why producers wait: at which limit, how full it is, who holds it, since when, and whose reading
// could free it.
//
// One answer per destination, that of the last of its producers who began to wait, published where
// the producer's own error, the statistics and anybody who looks find it (shm/usage.hpp), and said
// in the log at most every half minute.
//
//   refused at     looked for among       and freed by consumers of
//   broker, part   all lanes              every destination that holds something
//   destination    its lanes              itself
//   session, user  that one's lanes       the destinations of those lanes
//
// A destination whose only consumer sits in the process that waits is named in a warning: it waits
// for itself.
//
//   W1  what is shown is of one moment: its generation is odd while it changes
//   W2  it is shown before the producer is told that it has to wait
#ifndef WEIR_CORE_BROKER_SHORTAGES_HPP
#define WEIR_CORE_BROKER_SHORTAGES_HPP

#include "core/broker/tables.hpp"

namespace weir::broker {

// The level that a reason is about.
LimitLevel level_of(WaitReason reason) noexcept;

// This lane was refused for this reason. Looked up anew if the reason is another one, or some time
// has passed.
void note_shortage(Tables& tables, const Lane& lane, WaitReason reason);

// Once a second: shortages of destinations where nobody waits any more are over.
void end_shortages(Tables& tables);

}  // namespace weir::broker

#endif
