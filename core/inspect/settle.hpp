// SPDX-License-Identifier: Apache-2.0
//
// Asking a broker to bring its published books up to date.
//
// The broker counts what passed when it turns to a lane, not at each message, so its books are a
// little behind what clients have done. This asks it to catch up: a short session of its own, over
// before the books are read, so that it does not show in them. A broker that does not answer in
// time is no reason to show nothing: the caller shows what is published, and says so.
#ifndef WEIR_CORE_INSPECT_SETTLE_HPP
#define WEIR_CORE_INSPECT_SETTLE_HPP

#include <cstdint>
#include <string>

#include "core/base/result.hpp"

namespace weir::inspect {

enum class SettleError { unreachable, refused, no_answer };

// Waits until CLOCK_MONOTONIC `deadline_ns`.
Result<void, Error<SettleError>> settle_books(const std::string& socket_path,
                                              std::uint64_t deadline_ns);

}  // namespace weir::inspect

#endif  // WEIR_CORE_INSPECT_SETTLE_HPP
