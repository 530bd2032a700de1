// SPDX-License-Identifier: Apache-2.0
//
// All that was said about policies, in the file and in the running broker, and what holds for one
// destination because of it.
//
//   file                                        run time
//   [[policy]]                                  weir policy set 'queue://orders.>' limit=32MiB
//   match = "queue://orders.>"
//   limit = "64MiB"
//   overflow = "fail"
//
// Each pattern has one rule. A key of it has a value from the file, one that was set at run time,
// or both, and then the one set at run time holds until it is set to `default`. For a destination
// the rules whose patterns mean it are asked key by key, the most specific first
// (pattern_order.hpp); what none of them says is the default of policy.hpp, and high-water is 70 %
// of the limit.
//
// A set is a value: a change makes a new one or is refused, and whoever acts by it puts the new one
// in the old one's place in one step.
//
// Invariants
//   N1  for every name that a destination may have, the policy holds in itself (policy.hpp, P1)
//   N2  the reserves of all destinations that have a rule by their full name fit into direct memory
//       together
//   N3  no key of a pattern is said twice in the file
#ifndef WEIR_CORE_BROKER_POLICY_SET_HPP
#define WEIR_CORE_BROKER_POLICY_SET_HPP

#include <map>
#include <vector>

#include "core/broker/policy_key.hpp"

namespace weir::broker {

// A rule as it was written, nothing in it judged.
struct RuleText {
    struct Value {
        std::string key;
        std::string text;
        std::string place;  // "weir.toml:3"; empty: not from a file
    };
    std::string match;
    std::string place;
    std::vector<Value> values;
};

// "key=value" per line or argument, as `weir policy set` takes it.
Result<std::vector<RuleText::Value>, PolicyError> read_assignments(std::string_view lines);

enum class PolicyOrigin : std::uint32_t { by_default = 0, file = 1, run_time = 2 };

// Why a key has its value.
struct PolicySource {
    PolicyOrigin origin = PolicyOrigin::by_default;
    std::string pattern;  // empty by default
    std::string place;    // of the file
    std::string written;  // as it was written: "10%" where the policy has bytes
};

struct ResolvedPolicy {
    Policy policy;
    std::array<PolicySource, policy_keys> sources;

    const PolicySource& source(PolicyKey key) const {
        return sources[static_cast<std::size_t>(key)];
    }
};

class PolicySet {
public:
    explicit PolicySet(const PolicyBudget& budget = {}) noexcept : budget_(budget) {}

    // A set of what a file says, with what this one was set to at run time still above it.
    Result<PolicySet, PolicyError> with_file(const std::vector<RuleText>& rules) const;
    // This set with values set at run time for one pattern; the text "default" takes one back.
    Result<PolicySet, PolicyError> with(std::string_view pattern,
                                        const std::vector<RuleText::Value>& values) const;

    Policy policy_of(std::string_view destination) const;
    ResolvedPolicy resolve(std::string_view destination) const;

    // Destinations that have a rule by their full name.
    std::vector<std::string> named() const;
    // Those of them whose reserve somebody chose.
    std::vector<std::string> reserving() const;
    bool empty() const noexcept { return rules_.empty(); }
    // What it takes in the broker's own memory, about.
    std::uint64_t memory_bytes() const noexcept;

private:
    struct Entry {
        PolicyValue value;
        std::string written;
        std::string place;
    };
    using Entries = std::array<std::optional<Entry>, policy_keys>;
    struct Rule {
        Entries file;
        Entries run_time;

        const Entry* entry(PolicyKey key) const noexcept;
        bool empty() const noexcept;
    };
    using Rules = std::map<std::string, Rule, std::less<>>;

    Result<Entry, PolicyError> read(const RuleText::Value& text, PolicyKey& key) const;
    Result<void, PolicyError> take(const RuleText& rule);
    // N1 and N2; the sentence names the places.
    Result<void, PolicyError> judge() const;
    Result<void, PolicyError> judge_meeting(const Rules::value_type& one,
                                            const Rules::value_type& other) const;
    Result<void, PolicyError> judge_examples(const std::string& pattern) const;
    Result<void, PolicyError> judge_budget() const;
    std::vector<const Rules::value_type*> rules_for(std::string_view destination) const;

    PolicyBudget budget_;
    Rules rules_;
};

}  // namespace weir::broker

#endif
