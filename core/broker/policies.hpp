// SPDX-License-Identifier: Apache-2.0
//
// The policies in force, and the one step in which others take their place.
//
// A change makes a whole new set (policy_set.hpp), which is refused if it cannot hold by itself.
// Then it is held against what is there: what each destination would have by it, and whether the
// reserves that grow can be set aside now. Only when all of that is known to fit, every destination
// is given its new policy, within one call and so between two grants.
//
//   text -> PolicySet::with -> plan of all destinations -> fits? -> applied
//               refused             nothing changed      refused
//
// Lowering a limit below what a destination holds is no refusal: it gets nothing until it holds
// less. The answer says so.
//
// A destination that the rules name in full and give a reserve is made at once and stays, so that
// its reserve is there when its first client comes. While the direct region is still being
// allocated that may have to wait for the next piece of it: each piece goes to them first.
//
//   Y1  every destination's policy is that of the set in force
//   Y2  a refused change has changed nothing
#ifndef WEIR_CORE_BROKER_POLICIES_HPP
#define WEIR_CORE_BROKER_POLICIES_HPP

#include "core/broker/destinations.hpp"
#include "core/broker/policy_set.hpp"
#include "core/broker/segment.hpp"

namespace weir::broker {

class Policies {
public:
    Policies(Tables& tables, Destinations& destinations) noexcept
        : tables_(&tables), destinations_(&destinations) {}

    // The first set, before there is any destination.
    Result<void, Refused> begin(PolicySet set);

    // Changes as segment.hpp promises them.
    Result<PolicyChange, Refused> set(std::string_view pattern, std::string_view settings);
    Result<PolicyChange, Refused> read_again(const std::vector<RuleText>& rules);
    Result<PolicyKeyShown, Refused> show(std::string_view destination, std::uint32_t key) const;

    // Makes named destinations that could not be made yet. Costs one comparison if there are none.
    void make_named();

private:
    struct Plan {
        Destination* destination;
        Policy policy;
    };

    Result<PolicyChange, Refused> replace(PolicySet next);
    Result<void, Refused> fits(const std::vector<Plan>& plans, const PolicySet& next);
    static std::vector<ReserveChange> reserves_in(const std::vector<Plan>& plans);
    Result<void, Refused> pay_for(Bytes bytes);
    void put_in_force(PolicySet set);

    Tables* tables_;
    Destinations* destinations_;
    Charge charge_;  // of the set's memory
    std::uint64_t generation_ = 1;
    bool named_wait_ = false;
};

}  // namespace weir::broker

#endif
