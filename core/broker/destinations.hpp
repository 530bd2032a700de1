// SPDX-License-Identifier: Apache-2.0
//
// Destinations come into being at first use and go when nobody uses them and nothing is in them.
//
// A new one takes its reserve of direct memory at once, so that it can work however full the rest
// is; if not even that is left, it is refused. A wildcard subscription is attached to every
// destination that it means, but does not keep one alive.
//
// Each has the policy that holds for its name, and its account has the limit and the reserve of it;
// both change while the broker runs (policies.hpp).
//
//   D1  the reserves of all destinations are there at every moment (quota.hpp, Q3)
//   D2  a reserve is at least two smallest pages (policy_key.cpp), so an empty destination can
//       always be granted one, and its producer the next
#ifndef WEIR_CORE_BROKER_DESTINATIONS_HPP
#define WEIR_CORE_BROKER_DESTINATIONS_HPP

#include <string>
#include <vector>

#include "core/broker/lanes.hpp"
#include "core/protocol/names.hpp"

namespace weir::broker {

class Destinations {
public:
    Destinations(Tables& tables, Lanes& lanes, Subscriptions& subscriptions,
                 std::uint64_t idle_ns) noexcept
        : tables_(&tables), lanes_(&lanes), subscriptions_(&subscriptions), idle_ns_(idle_ns) {}

    Result<Destination*, Refused> find_or_make(const DestinationName& name);
    // Ends those that have been idle for long enough.
    void end_idle();

private:
    Result<Destination*, Refused> make(const DestinationName& name, std::uint32_t slot);
    bool in_use(Destination& destination) const;
    void end(Destination& destination);

    Tables* tables_;
    Lanes* lanes_;
    Subscriptions* subscriptions_;
    std::uint64_t idle_ns_;
};

}  // namespace weir::broker

#endif
