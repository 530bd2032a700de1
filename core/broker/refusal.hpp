// SPDX-License-Identifier: Apache-2.0
//
// Sentences with which the broker says no. Each names the limit, how full it is, and the cure.
#ifndef WEIR_CORE_BROKER_REFUSAL_HPP
#define WEIR_CORE_BROKER_REFUSAL_HPP

#include <string_view>

#include "core/base/result.hpp"
#include "core/broker/accounts.hpp"
#include "core/protocol/messages.hpp"

namespace weir::broker {

using Refused = Error<protocol::Refusal>;

// `what` needs `asked` bytes of heap-like memory that are not there.
Refused heap_is_full(const Ledger& heap, std::string_view what, Bytes asked);
// Not even the smallest pages are left for a new destination.
Refused direct_is_full(const Ledger& direct, std::string_view destination);
// All `count` slots of a table are in use; their number follows --heap (shm/control_region.hpp).
Refused table_is_full(std::string_view what, std::uint64_t count);

}  // namespace weir::broker

#endif
