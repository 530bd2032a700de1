// SPDX-License-Identifier: Apache-2.0
//
// Options that stand in a destination's name: queue://orders?consumer.prefetchSize=10
//
// One name may be shared by both sides of a program, so each side passes over the other's options;
// what neither knows is refused, because a misspelt limit would otherwise be no limit.
#ifndef WEIR_CORE_CLIENT_NAME_OPTIONS_HPP
#define WEIR_CORE_CLIENT_NAME_OPTIONS_HPP

#include "core/protocol/names.hpp"
#include "weir/consumer.hpp"
#include "weir/producer.hpp"

namespace weir::detail {

Result<void, Error<OpenError>> apply_options(const DestinationName& name, ProducerOptions& options);
Result<void, Error<OpenError>> apply_options(const DestinationName& name, ConsumerOptions& options);

}  // namespace weir::detail

#endif
