// SPDX-License-Identifier: Apache-2.0
//
// Starting a private broker: one that ends with its last session.
//
// Several clients may find no broker at the same moment. The one that gets the start lock starts
// it; the others wait for the lock and then find the socket. The lock is held until its holder is
// attached, so a broker is never started twice, and one that died in between is started again by
// the next.
#ifndef WEIR_CORE_CLIENT_PRIVATE_BROKER_HPP
#define WEIR_CORE_CLIENT_PRIVATE_BROKER_HPP

#include "core/base/fd.hpp"
#include "core/protocol/places.hpp"
#include "weir/session.hpp"

namespace weir::detail {

// Takes the start lock, waiting until CLOCK_MONOTONIC `deadline_ns`. Closing the descriptor gives
// it back.
Result<Fd, Error<ConnectError>> take_start_lock(const Places& places, std::uint64_t deadline_ns);

// Whether a broker holds the lock on the name, be it one that is ending and takes no calls any
// more.
bool name_is_held(const Places& places) noexcept;

// Runs `weir broker --private` and returns when clients can connect.
Result<void, Error<ConnectError>> start_private_broker(const std::string& name,
                                                       const ConnectOptions& options);

}  // namespace weir::detail

#endif
