// SPDX-License-Identifier: Apache-2.0
//
// Whether a set of policies can hold (policy_set.hpp, N1 and N2).
//
// N1 speaks of all names that a destination may ever have. They need not all be tried: two keys
// that cannot hold together come from two rules (or one) that both mean the destination, so it is
// enough to look at each pair of rules whose values cannot stand beside each other, and there at
// examples of what both mean: there the pair decides unless a more specific third rule speaks, and
// for the examples it does exactly when it does for all names of that length. Pairs that cannot
// hold are rare, so a set without any costs one comparison of numbers per pair.
#include <fmt/format.h>

#include <algorithm>

#include "core/base/bytes.hpp"
#include "core/broker/pattern_order.hpp"
#include "core/broker/policy_set.hpp"
#include "shm/record.hpp"

namespace weir::broker {
namespace {

// Keys that cannot hold together, and what to do.
struct Conflict {
    PolicyKey one;
    PolicyKey other;
    std::string_view verb;
    std::string_view cure;
};

// The page that the largest message alone needs.
std::uint64_t page_for(std::uint64_t largest_message) noexcept {
    return page_bytes_for(record_bytes(0, largest_message));
}

std::optional<Conflict> conflict_in(const Policy& policy) noexcept {
    constexpr std::string_view more = "is more than";
    constexpr std::string_view cure = "lower it or raise the limit";
    if (policy.overflow == Overflow::fail_after && policy.fail_after_ns == 0)
        return Conflict{PolicyKey::overflow, PolicyKey::fail_after, "needs a time, and there is",
                        "say fail-after too, as in fail-after = \"500ms\""};
    if (policy.limit == 0) return std::nullopt;
    if (policy.reserve > policy.limit)
        return Conflict{PolicyKey::reserve, PolicyKey::limit, more, cure};
    if (policy.high_water > policy.limit)
        return Conflict{PolicyKey::high_water, PolicyKey::limit, more, cure};
    if (policy.page_bytes > policy.limit)
        return Conflict{PolicyKey::page_size, PolicyKey::limit, more, cure};
    if (policy.largest_message != 0 && page_for(policy.largest_message) > policy.limit)
        return Conflict{PolicyKey::max_message, PolicyKey::limit, "with its page is more than",
                        cure};
    return std::nullopt;
}

// "reserve = 2MiB (weir.toml:7)"
std::string named_value(PolicyKey key, const ResolvedPolicy& resolved) {
    const PolicySource& source = resolved.source(key);
    switch (source.origin) {
        case PolicyOrigin::by_default:
            return fmt::format("{} = {} (by default)", name_of(key),
                               policy_value_text(key, resolved.policy));
        case PolicyOrigin::file:
            return fmt::format("{} = {} ({})", name_of(key), source.written, source.place);
        case PolicyOrigin::run_time:
            return fmt::format("{} = {} (set at run time)", name_of(key), source.written);
    }
    return "";
}

}  // namespace

Result<void, PolicyError> PolicySet::judge() const {
    for (const Rules::value_type& one : rules_) {
        const Entry* const overflow = one.second.entry(PolicyKey::overflow);
        if (overflow != nullptr &&
            overflow->value.number == static_cast<std::uint64_t>(Overflow::fail_after))
            if (auto holds = judge_examples(one.first); !holds) return holds;
        for (const Rules::value_type& other : rules_)
            if (auto holds = judge_meeting(one, other); !holds) return holds;
    }
    return judge_budget();
}

// Looks at what both mean if the limit of `one` is too small for a value of `other`.
Result<void, PolicyError> PolicySet::judge_meeting(const Rules::value_type& one,
                                                   const Rules::value_type& other) const {
    const Entry* const limit = one.second.entry(PolicyKey::limit);
    if (limit == nullptr || limit->value.number == 0) return {};
    Policy alone;
    apply(PolicyKey::limit, limit->value, alone);
    for (const PolicyKey key :
         {PolicyKey::reserve, PolicyKey::high_water, PolicyKey::page_size, PolicyKey::max_message})
        if (const Entry* const entry = other.second.entry(key)) apply(key, entry->value, alone);
    if (!conflict_in(alone)) return {};
    const auto meeting = meeting_of(one.first, other.first);
    return meeting ? judge_examples(*meeting) : Result<void, PolicyError>();
}

Result<void, PolicyError> PolicySet::judge_examples(const std::string& pattern) const {
    std::size_t words_max = 0;
    for (const auto& [other, rule] : rules_) words_max = std::max(words_max, words_in(other));
    for (const std::string& name : examples_of(pattern, words_max + 1)) {
        const ResolvedPolicy resolved = resolve(name);
        const auto conflict = conflict_in(resolved.policy);
        if (!conflict) continue;
        // The line of a file comes first, where there is one.
        std::string place = resolved.source(conflict->one).place;
        if (place.empty()) place = resolved.source(conflict->other).place;
        return fail(PolicyFailure::does_not_hold,
                    fmt::format("{}{}for {} {} {} {}: {}", place, place.empty() ? "" : ": ",
                                pattern, named_value(conflict->one, resolved), conflict->verb,
                                named_value(conflict->other, resolved), conflict->cure));
    }
    return {};
}

Result<void, PolicyError> PolicySet::judge_budget() const {
    std::uint64_t left = budget_.direct_bytes;
    std::uint64_t sum = 0;
    std::size_t count = 0;
    for (const std::string& name : named()) {
        const ResolvedPolicy resolved = resolve(name);
        const std::uint64_t reserve = resolved.policy.reserve;
        sum += reserve;  // at most rules_max times the direct memory
        ++count;
        if (reserve <= left) {
            left -= reserve;
            continue;
        }
        const std::string place = resolved.source(PolicyKey::reserve).place;
        return fail(
            PolicyFailure::does_not_hold,
            fmt::format("{}{}with {} of {} the reserves of {} destinations are {} together, "
                        "and direct memory is {}: lower some or raise direct",
                        place, place.empty() ? "" : ": ", named_value(PolicyKey::reserve, resolved),
                        name, count, format_size(sum), format_size(budget_.direct_bytes)));
    }
    return {};
}

}  // namespace weir::broker
