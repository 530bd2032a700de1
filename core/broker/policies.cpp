// SPDX-License-Identifier: Apache-2.0
#include "core/broker/policies.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/bytes.hpp"
#include "core/base/check.hpp"
#include "core/base/log.hpp"
#include "core/broker/refusal.hpp"
#include "core/broker/regions.hpp"
#include "core/protocol/channel.hpp"
#include "core/protocol/names.hpp"

namespace weir::broker {
namespace {

using protocol::Refusal;

Refused refused(const PolicyError& error) {
    return {error.code == PolicyFailure::does_not_hold || error.code == PolicyFailure::too_many
                ? Refusal::policy_does_not_fit
                : Refusal::bad_policy,
            error.sentence};
}

}  // namespace

// A set without rules may come from who made the segment without a configuration.
Result<void, Refused> Policies::begin(PolicySet set) {
    const Limits& limits = tables_->control.view().limits;
    if (set.empty()) set = PolicySet({limits.direct_bytes, limits.largest_message});
    const Bytes bytes = set.memory_bytes();
    auto charge = tables_->heap_tables.charge(bytes);
    if (!charge) return fail(heap_is_full(charge.error(), "the policies", bytes));
    charge_ = std::move(*charge);
    put_in_force(std::move(set));
    return {};
}

Result<PolicyChange, Refused> Policies::set(std::string_view pattern, std::string_view settings) {
    const auto values = read_assignments(settings);
    if (!values) return fail(refused(values.error()));
    auto next = tables_->policies.with(pattern, *values);
    if (!next) return fail(refused(next.error()));
    return replace(std::move(*next));
}

Result<PolicyChange, Refused> Policies::read_again(const std::vector<RuleText>& rules) {
    auto next = tables_->policies.with_file(rules);
    if (!next) return fail(refused(next.error()));
    return replace(std::move(*next));
}

Result<PolicyKeyShown, Refused> Policies::show(std::string_view destination,
                                               std::uint32_t key) const {
    const auto name = parse_destination(destination);
    if (!name) return fail(Refused{Refusal::bad_name, name.error().sentence});
    if (key >= policy_keys)
        return fail(Refused{Refusal::not_found, "there is no such key of a policy"});
    const ResolvedPolicy resolved = tables_->policies.resolve(name->full);
    PolicyKeyShown shown;
    shown.generation = generation_;
    shown.value = value_in(static_cast<PolicyKey>(key), resolved.policy);
    shown.text = policy_value_text(static_cast<PolicyKey>(key), resolved.policy);
    shown.source = resolved.sources[key];
    return shown;
}

// What is not made yet is opened later, so it is held against the whole region.
Result<void, Refused> Policies::fits(const std::vector<Plan>& plans, const PolicySet& next) {
    const LimitedAccount& broker = tables_->direct.root;
    const std::vector<ReserveChange> changes = reserves_in(plans);
    Bytes not_made = 0;
    for (const std::string& name : next.reserving())
        if (tables_->destination_named(name) == nullptr) not_made += next.policy_of(name).reserve;
    const Bytes whole = std::max(tables_->control.view().limits.direct_bytes, broker.limit());
    const auto fit_now = [&] { return reserves_fit(broker, changes); };
    if (reserves_fit(broker, changes, not_made, whole) && succeeds_in_direct(*tables_, fit_now))
        return {};
    return fail(Refused{
        Refusal::policy_does_not_fit,
        fmt::format(
            "all reserves together would need {} more than now, and {} of {} are free for that "
            "now: lower a reserve, or try again when messages were read",
            format_size(reserves_growth(changes) + not_made),
            format_size(broker.limit() - broker.below()), format_size(whole))});
}

std::vector<ReserveChange> Policies::reserves_in(const std::vector<Plan>& plans) {
    std::vector<ReserveChange> changes;
    changes.reserve(plans.size());
    for (const Plan& plan : plans)
        changes.push_back({&plan.destination->direct_account, plan.policy.reserve});
    return changes;
}

// A new size for what the set takes. The old charge is returned after the new one is there, so that
// no third party comes between.
Result<void, Refused> Policies::pay_for(Bytes bytes) {
    if (bytes <= charge_.bytes()) {
        const Charge rest = charge_.split(charge_.bytes() - bytes);  // returned at once
        return {};
    }
    auto more = tables_->heap_tables.charge(bytes);
    if (!more) return fail(heap_is_full(more.error(), "more policies", bytes));
    charge_ = std::move(*more);
    return {};
}

Result<PolicyChange, Refused> Policies::replace(PolicySet next) {
    std::vector<Plan> plans;
    for (Destination& destination : tables_->destinations)
        plans.push_back({&destination, next.policy_of(destination.name)});
    if (auto there = fits(plans, next); !there) return fail(there.error());
    if (auto paid = pay_for(next.memory_bytes()); !paid) return fail(paid.error());

    WEIR_CHECK(change_reserves(tables_->direct.root, reserves_in(plans)));
    PolicyChange change;
    change.generation = ++generation_;
    for (const Plan& plan : plans) {
        Destination& destination = *plan.destination;
        if (plan.policy == destination.policy) continue;
        ++change.destinations;
        destination.policy = plan.policy;
        destination.direct_account.set_limit(limit_of(plan.policy));
        broker::show(destination.policy, tables_->slot(destination).policy);
        const Bytes used = destination.direct_account.used();
        if (destination.policy.limit == 0 || used <= destination.policy.limit) continue;
        if (change.over_limit++ == 0)
            change.note = fmt::format(
                "{} holds {}, more than its limit of {}: it is given nothing until it holds less",
                destination.name, format_size(used), format_size(destination.policy.limit));
    }
    put_in_force(std::move(next));
    return change;
}

// Its memory is paid for. Marks those that stay although nobody uses them.
void Policies::put_in_force(PolicySet set) {
    tables_->policies = std::move(set);
    // relaxed: within a change of all tables (tables_rest).
    tables_->control.superblock().policies_bytes.store(charge_.bytes(), std::memory_order_relaxed);
    for (Destination& destination : tables_->destinations) destination.kept = false;
    named_wait_ = true;
    make_named();
}

void Policies::make_named() {
    if (!named_wait_) return;
    named_wait_ = false;
    for (const std::string& name : tables_->policies.reserving()) {
        const auto parsed = parse_destination(name);
        if (!parsed) continue;  // cannot be: a rule's pattern without wildcards is a name
        auto made = destinations_->find_or_make(*parsed);
        if (made) {
            (*made)->kept = true;
        } else if (made.error().code == Refusal::direct_full) {
            named_wait_ = true;
        } else {
            log::warning("{} is not made before it is used: {}", name, made.error().sentence);
        }
    }
}

}  // namespace weir::broker
