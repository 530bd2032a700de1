// SPDX-License-Identifier: Apache-2.0
//
// A destination of one resource, as the tables have it: one total with two sides.
#ifndef WEIR_TESTS_UNIT_CORE_BROKER_PLACE_HPP
#define WEIR_TESTS_UNIT_CORE_BROKER_PLACE_HPP

#include "core/broker/accounts.hpp"

namespace weir::broker {

struct Place {
    explicit Place(Resource& resource)
        : total(LimitLevel::destination, &resource.root),
          producers(total, resource.producers),
          consumers(total, resource.consumers) {}
    LimitedAccount total;
    Account producers;
    Account consumers;
};

}  // namespace weir::broker

#endif
