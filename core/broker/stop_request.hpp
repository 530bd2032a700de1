// SPDX-License-Identifier: Apache-2.0
//
// Asking a broker to end, from another process.
//
// It is an ordinary session that sends one request and waits: for the answer, which says what was
// discarded, and then for the broker's process to be gone, so that its name is free and its files
// are removed when the caller goes on.
#ifndef WEIR_CORE_BROKER_STOP_REQUEST_HPP
#define WEIR_CORE_BROKER_STOP_REQUEST_HPP

#include <cstdint>
#include <string>

#include "core/broker/request_session.hpp"
#include "core/broker/segment.hpp"
#include "core/protocol/places.hpp"

namespace weir::broker {

// `drain_ns`: how long consumers may go on reading first.
Result<Discarded, Error<RequestFailure>> stop_broker(const std::string& name, const Places& places,
                                                     std::uint64_t drain_ns);

}  // namespace weir::broker

#endif
