// SPDX-License-Identifier: Apache-2.0
//
// The half of Destinations (destinations.hpp) that is about changing policies.
//
// Reserves are what can fail, so they are judged together before anything changes: what all of them
// grow by, less what others give back, has to be left.
#include <fmt/format.h>

#include "core/base/bytes.hpp"
#include "core/base/log.hpp"
#include "core/broker/destinations.hpp"

namespace weir::broker {
namespace {

// A destination can do nothing with less: a producer leaves its page by entering the next one.
constexpr Bytes limit_min = 2 * page_unit;

Refused cannot_hold(const Destination& destination, std::string what) {
    return {protocol::Refusal::bad_request, destination.name + ": " + std::move(what)};
}

Result<void, Refused> check(const Destination& destination, const Policy& policy) {
    if (policy.limit == 0) return {};
    if (policy.limit < limit_min)
        return fail(cannot_hold(destination,
                                fmt::format("a limit of {} is less than {}, its smallest two pages",
                                            format_size(policy.limit), format_size(limit_min))));
    if (reserve_of(policy) > policy.limit)
        return fail(cannot_hold(
            destination, fmt::format("a reserve of {} is over the limit of {}",
                                     format_size(policy.reserve), format_size(policy.limit))));
    return {};
}

// What people should know: a limit is below what is used.
void remark(const Destination& destination, Remarks& remarks) {
    const Account& account = destination.direct_account;
    if (account.used() <= account.limit()) return;
    remarks.push_back(fmt::format(
        "{} holds {}, more than its new limit of {}: nothing is taken, and nothing more is granted "
        "until it holds less",
        destination.name, format_size(account.used()), format_size(account.limit())));
    log::warning("{}", remarks.back());
}

}  // namespace

Bytes reserve_of(const Policy& policy) noexcept { return std::max(policy.reserve, page_unit); }
Bytes limit_of(const Policy& policy) noexcept {
    return policy.limit != 0 ? policy.limit : no_limit;
}

Result<Remarks, Refused> Destinations::set_policies(std::span<const PolicyChange> changes) {
    std::vector<ReserveChange> reserves;
    for (const auto& [destination, policy] : changes) {
        if (auto possible = check(*destination, policy); !possible) return fail(possible.error());
        reserves.push_back({&destination->direct_account, reserve_of(policy)});
    }
    if (!change_reserves(tables_->direct.root, reserves)) {
        Bytes wanted = 0;
        for (const ReserveChange& change : reserves) wanted += change.reserve;
        const Account& broker = tables_->direct.root;
        return fail(Refused{
            protocol::Refusal::direct_full,
            fmt::format("reserves of {} together are not there: {} of {} of direct memory are used "
                        "or reserved; reserve less or start the broker with a larger --direct",
                        format_size(wanted), format_size(broker.below()),
                        format_size(broker.limit()))});
    }
    Remarks remarks;
    for (const auto& [destination, policy] : changes) {
        destination->policy = policy;
        destination->direct_account.set_limit(limit_of(policy));
        show(policy, tables_->slot(*destination).policy);
        remark(*destination, remarks);
    }
    return remarks;
}

Result<Remarks, Refused> Destinations::apply(PolicyOf policy_of) {
    std::vector<PolicyChange> changes;
    for (const auto& destination : tables_->destinations)
        if (destination) changes.push_back({destination.get(), policy_of(destination->name)});
    auto remarks = set_policies(changes);
    if (remarks) policy_of_ = std::move(policy_of);
    return remarks;
}

}  // namespace weir::broker
