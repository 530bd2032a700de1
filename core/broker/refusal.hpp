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

// `what` needs `asked` bytes of heap-like memory, and this account has not so many left.
Refused heap_is_full(const Obstacle& at, std::string_view what, Bytes asked);
// The reserve of a destination is not left.
Refused direct_is_full(const LimitedAccount& broker, std::string_view destination, Bytes reserve);
// A session or user has as many `what` as it may; `setting` is what says so.
Refused holder_is_full(LimitLevel level, std::string_view what, std::uint64_t count);
// A destination has as many producers or consumers as its policy allows.
Refused destination_is_full(std::string_view destination, std::string_view what,
                            std::string_view setting, std::uint64_t count);
// All `count` slots of a table are in use; their number follows --heap (shm/control_region.hpp).
Refused table_is_full(std::string_view what, std::uint64_t count);

}  // namespace weir::broker

#endif
