// SPDX-License-Identifier: Apache-2.0
#include "core/broker/policies.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/bytes.hpp"
#include "core/base/log.hpp"
#include "core/broker/refusal.hpp"
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

// What is left of a reserve for an account that holds `used`.
constexpr Bytes left_of(Bytes reserve, Bytes used) noexcept {
    return reserve > used ? reserve - used : 0;
}

}  // namespace

// A set without rules may come from who made the segment without a configuration.
Result<void, Refused> Policies::begin(PolicySet set) {
    const Limits& limits = tables_->control.view().limits;
    if (set.empty()) set = PolicySet({limits.direct_bytes, limits.largest_message});
    const Bytes bytes = set.memory_bytes();
    auto charge = tables_->heap_root.charge(bytes);
    if (!charge) return fail(heap_is_full(tables_->heap.ledger(), "the policies", bytes));
    charge_ = std::move(*charge);
    tables_->policies = std::move(set);
    keep_named();
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

// A2 must hold with the reserves as they will be:
//   taken + left then <= capacity,  taken = used + reserves - left now of those that may change
// Both sums of what is left are below 2^64: a reserve is at most the direct memory, and there are
// as many as destinations. What is not made yet is opened later, when the whole region is
// allocated, so it is held against that.
Result<void, Refused> Policies::fits(const std::vector<Plan>& plans, const PolicySet& next) const {
    const Ledger& ledger = tables_->direct.ledger();
    Bytes left_now = 0;
    Bytes left_then = 0;
    for (const Plan& plan : plans) {
        const Bytes used = plan.destination->direct_account.used();
        left_now += left_of(plan.destination->policy.reserve, used);
        left_then += left_of(plan.policy.reserve, used);
    }
    Bytes not_made = 0;
    for (const std::string& name : next.reserving())
        if (!tables_->by_name.contains(name)) not_made += next.policy_of(name).reserve;
    const Bytes taken = ledger.used + ledger.reserves - left_now;
    const Bytes whole = std::max(tables_->control.view().limits.direct_bytes, ledger.capacity);
    if (left_then <= left_now && not_made == 0) return {};
    if (left_then <= ledger.capacity - taken && left_then + not_made <= whole - taken) return {};
    return fail(Refused{
        Refusal::policy_does_not_fit,
        fmt::format(
            "all reserves together would need {} beside what is held, and {} of {} are free "
            "for that now: lower a reserve, or try again when messages were read",
            format_size(left_then + not_made), format_size(ledger.capacity - taken),
            format_size(whole))});
}

Result<PolicyChange, Refused> Policies::replace(PolicySet next) {
    std::vector<Plan> plans;
    for (const auto& destination : tables_->destinations)
        if (destination) plans.push_back({destination.get(), next.policy_of(destination->name)});
    if (auto there = fits(plans, next); !there) return fail(there.error());
    // The old set's charge is returned after the new one's, so that no third party comes between.
    const Bytes bytes = next.memory_bytes();
    if (bytes > charge_.bytes()) {
        auto more = tables_->heap_root.charge(bytes);
        if (!more) return fail(heap_is_full(tables_->heap.ledger(), "more policies", bytes));
        charge_ = std::move(*more);
    } else {
        const Charge rest = charge_.split(charge_.bytes() - bytes);  // returned at once
    }

    // What becomes smaller comes first, so that A2 holds after every step.
    for (const bool grows : {false, true})
        for (const Plan& plan : plans)
            if ((plan.policy.reserve > plan.destination->policy.reserve) == grows)
                plan.destination->direct_account.change_reserve(plan.policy.reserve);
    PolicyChange change;
    change.generation = ++generation_;
    for (const Plan& plan : plans) {
        Destination& destination = *plan.destination;
        if (plan.policy == destination.policy) continue;
        ++change.destinations;
        destination.policy = plan.policy;
        broker::show(destination.policy, tables_->slot(destination).policy);
        const Bytes used = destination.direct_account.used();
        if (destination.policy.limit == 0 || used <= destination.policy.limit) continue;
        if (change.over_limit++ == 0)
            change.note = fmt::format(
                "{} holds {}, more than its limit of {}: it is given nothing until it holds less",
                destination.name, format_size(used), format_size(destination.policy.limit));
    }
    tables_->policies = std::move(next);
    keep_named();
    return change;
}

// Marks those that stay although nobody uses them.
void Policies::keep_named() {
    for (const auto& destination : tables_->destinations)
        if (destination) destination->kept = false;
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
