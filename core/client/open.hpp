// SPDX-License-Identifier: Apache-2.0
//
// Opening the two ends: asks the broker, lays out what a producer or consumer carries.
#ifndef WEIR_CORE_CLIENT_OPEN_HPP
#define WEIR_CORE_CLIENT_OPEN_HPP

#include <memory>

#include "core/client/connection.hpp"
#include "core/protocol/names.hpp"

namespace weir::detail {

Result<std::unique_ptr<ProducerCore>, Error<OpenError>> open_producer(
    const std::shared_ptr<Connection>& connection, const DestinationName& name,
    const ProducerOptions& options);

Result<std::unique_ptr<ConsumerCore>, Error<OpenError>> open_consumer(
    const std::shared_ptr<Connection>& connection, const DestinationName& name,
    const ConsumerOptions& options);

// Wraps what was opened. Session does it for users; tests do it over connections of their own.
struct Maker {
    static Producer wrap(std::unique_ptr<ProducerCore> core) noexcept {
        return Producer(std::move(core));
    }
    static Consumer wrap(std::unique_ptr<ConsumerCore> core) noexcept {
        return Consumer(std::move(core));
    }
};

}  // namespace weir::detail

#endif
