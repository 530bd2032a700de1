// SPDX-License-Identifier: Apache-2.0
//
// Destinations come into being at first use and go when nobody uses them and nothing is in them.
//
// A new one takes its reserve of direct memory at once, so that it can work however full the rest
// is; if not even that is left, it is refused. A wildcard subscription is attached to every
// destination that it means, but does not keep one alive.
//
// Each has a policy, and policies change while the broker runs: those of all that change, or none
// (D1). A limit that is lowered below what is in use takes nothing away: nothing more is granted
// until that much was read.
//
//   D1  the reserves of all destinations are there at every moment (quota.hpp, Q3)
//   D2  a reserve is at least one smallest page, so an empty destination can always be granted it
#ifndef WEIR_CORE_BROKER_DESTINATIONS_HPP
#define WEIR_CORE_BROKER_DESTINATIONS_HPP

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "core/broker/lanes.hpp"
#include "core/protocol/names.hpp"

namespace weir::broker {

// A policy that is to be in force from now on.
struct PolicyChange {
    Destination* destination = nullptr;
    Policy policy;
};
// What people should know about a change that was made.
using Remarks = std::vector<std::string>;

// What its account is given of a policy.
Bytes reserve_of(const Policy& policy) noexcept;
Bytes limit_of(const Policy& policy) noexcept;

class Destinations {
public:
    Destinations(Tables& tables, Lanes& lanes, Subscriptions& subscriptions, std::uint64_t idle_ns,
                 PolicyOf policy_of) noexcept
        : tables_(&tables),
          lanes_(&lanes),
          subscriptions_(&subscriptions),
          idle_ns_(idle_ns),
          policy_of_(std::move(policy_of)) {}

    Result<Destination*, Refused> find_or_make(const DestinationName& name);
    // The policies of all that exist and of those that come are what this says, or, if that cannot
    // hold, nothing has changed.
    Result<Remarks, Refused> apply(PolicyOf policy_of);
    // All of these, or none.
    Result<Remarks, Refused> set_policies(std::span<const PolicyChange> changes);
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
    PolicyOf policy_of_;
};

}  // namespace weir::broker

#endif
