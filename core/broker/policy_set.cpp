// SPDX-License-Identifier: Apache-2.0
//
// Reading rules and asking them; whether a set can hold is judged in policy_judge.cpp.
#include "core/broker/policy_set.hpp"

#include <algorithm>

#include "core/broker/pattern_order.hpp"
#include "core/protocol/names.hpp"

namespace weir::broker {
namespace {

// Each change is judged against all rules at once, by the broker's only thread: that bounds them.
constexpr std::size_t rules_max = 256;

constexpr std::string_view take_back = "default";

// What an entry and a rule take beside their texts: nodes of the map, ends of allocations.
constexpr std::uint64_t text_extra = 32;
constexpr std::uint64_t rule_extra = 96;

constexpr PolicyValue high_water_default{.number = 7000, .of_limit = true};

// What is quoted may come from anywhere and ends in logs and on terminals.
std::string printable(std::string_view text) {
    constexpr std::size_t length_max = 60;
    std::string shown(text.substr(0, length_max));
    for (char& byte : shown)
        if (byte < 0x20 || byte == 0x7f) byte = '?';
    return text.size() > length_max ? shown + "..." : shown;
}

std::string prefix(const std::string& place) { return place.empty() ? "" : place + ": "; }

Failure<PolicyError> refuse(PolicyFailure code, const std::string& place,
                            const std::string& sentence) {
    return fail(code, prefix(place) + sentence);
}

}  // namespace

Result<std::vector<RuleText::Value>, PolicyError> read_assignments(std::string_view lines) {
    std::vector<RuleText::Value> values;
    for (bool more = !lines.empty(); more;) {
        const std::size_t end = lines.find('\n');
        more = end != std::string_view::npos;
        const std::string_view line = lines.substr(0, end);
        lines.remove_prefix(more ? end + 1 : lines.size());
        const std::size_t equals = line.find('=');
        if (equals == std::string_view::npos || equals == 0 || equals + 1 == line.size())
            return fail(PolicyFailure::bad_value,
                        "write key=value, as in limit=64MiB, not \"" + printable(line) + "\"");
        values.push_back(
            {std::string(line.substr(0, equals)), std::string(line.substr(equals + 1)), ""});
    }
    if (values.empty())
        return fail(PolicyFailure::bad_value,
                    "nothing is said: write key=value, as in limit=64MiB");
    return values;
}

const PolicySet::Entry* PolicySet::Rule::entry(PolicyKey key) const noexcept {
    const auto index = static_cast<std::size_t>(key);
    if (run_time[index]) return &*run_time[index];
    return file[index] ? &*file[index] : nullptr;
}

bool PolicySet::Rule::empty() const noexcept {
    const auto said = [](const std::optional<Entry>& entry) { return entry.has_value(); };
    return std::none_of(file.begin(), file.end(), said) &&
           std::none_of(run_time.begin(), run_time.end(), said);
}

Result<PolicySet::Entry, PolicyError> PolicySet::read(const RuleText::Value& text,
                                                      PolicyKey& key) const {
    const auto known = policy_key(text.key);
    if (!known)
        return refuse(PolicyFailure::unknown_key, text.place,
                      "\"" + printable(text.key) + "\" is no key of a policy: there are " +
                          known_policy_keys());
    key = *known;
    if (text.place.empty() && text.text == take_back) return Entry{};
    auto value = read_policy_value(key, text.text, budget_);
    if (!value)
        return refuse(value.error().code, text.place,
                      text.key + " = " + printable(text.text) + ": " + value.error().sentence);
    return Entry{*value, printable(text.text), text.place};
}

// One [[policy]] of a file.
Result<void, PolicyError> PolicySet::take(const RuleText& rule) {
    const auto name = parse_pattern(rule.match);
    if (!name) return refuse(PolicyFailure::bad_pattern, rule.place, name.error().sentence);
    if (!name->options.empty())
        return refuse(PolicyFailure::bad_pattern, rule.place,
                      "a policy is for names and patterns without options behind '?'");
    if (rule.values.empty())
        return refuse(PolicyFailure::bad_value, rule.place,
                      "the policy for " + name->full + " says nothing: give it a key, as in " +
                          "limit = \"64MiB\", or remove it");
    Entries& entries = rules_[name->full].file;
    for (const RuleText::Value& text : rule.values) {
        PolicyKey key{};
        auto entry = read(text, key);
        if (!entry) return fail(entry.error());
        std::optional<Entry>& place = entries[static_cast<std::size_t>(key)];
        if (place)
            return refuse(PolicyFailure::given_twice, text.place,
                          text.key + " of " + name->full + " is said already at " + place->place +
                              ": leave one of them");
        place = std::move(*entry);
    }
    return {};
}

Result<PolicySet, PolicyError> PolicySet::with_file(const std::vector<RuleText>& rules) const {
    PolicySet next(budget_);
    for (const auto& [pattern, rule] : rules_) {
        Rule kept{{}, rule.run_time};
        if (!kept.empty()) next.rules_.emplace(pattern, std::move(kept));
    }
    for (const RuleText& rule : rules) {
        if (auto taken = next.take(rule); !taken) return fail(taken.error());
        if (next.rules_.size() > rules_max)
            return refuse(PolicyFailure::too_many, rule.place,
                          "policies for more than " + std::to_string(rules_max) +
                              " patterns: say the same of several with one pattern");
    }
    if (auto holds = next.judge(); !holds) return fail(holds.error());
    return next;
}

Result<PolicySet, PolicyError> PolicySet::with(std::string_view pattern,
                                               const std::vector<RuleText::Value>& values) const {
    const auto name = parse_pattern(pattern);
    if (!name) return fail(PolicyFailure::bad_pattern, name.error().sentence);
    if (!name->options.empty())
        return fail(PolicyFailure::bad_pattern,
                    "a policy is for names and patterns without options behind '?'");
    PolicySet next = *this;
    Rule& rule = next.rules_[name->full];
    std::array<bool, policy_keys> said{};
    for (const RuleText::Value& text : values) {
        PolicyKey key{};
        auto entry = next.read(text, key);
        if (!entry) return fail(entry.error());
        const auto index = static_cast<std::size_t>(key);
        if (said[index])
            return fail(PolicyFailure::given_twice, text.key + " is said twice: leave one of them");
        said[index] = true;
        if (entry->written.empty()) {
            rule.run_time[index].reset();
        } else {
            rule.run_time[index] = std::move(*entry);
        }
    }
    if (rule.empty()) next.rules_.erase(name->full);
    if (next.rules_.size() > rules_max)
        return fail(PolicyFailure::too_many, "policies for more than " + std::to_string(rules_max) +
                                                 " patterns: take some back with key=default");
    if (auto holds = next.judge(); !holds) return fail(holds.error());
    return next;
}

std::vector<const PolicySet::Rules::value_type*> PolicySet::rules_for(
    std::string_view destination) const {
    std::vector<const Rules::value_type*> found;
    for (const Rules::value_type& rule : rules_)
        if (matches(rule.first, destination)) found.push_back(&rule);
    std::sort(found.begin(), found.end(), [](const auto* one, const auto* other) {
        return more_specific(one->first, other->first);
    });
    return found;
}

ResolvedPolicy PolicySet::resolve(std::string_view destination) const {
    ResolvedPolicy resolved;
    const auto rules = rules_for(destination);
    for (std::size_t index = 0; index < policy_keys; ++index) {
        const auto key = static_cast<PolicyKey>(index);
        const auto speaks = std::find_if(rules.begin(), rules.end(), [key](const auto* rule) {
            return rule->second.entry(key) != nullptr;
        });
        if (speaks == rules.end()) {
            if (key == PolicyKey::high_water) apply(key, high_water_default, resolved.policy);
            continue;
        }
        const Rule& rule = (*speaks)->second;
        const Entry& entry = *rule.entry(key);
        apply(key, entry.value, resolved.policy);
        const PolicyOrigin origin =
            rule.run_time[index] ? PolicyOrigin::run_time : PolicyOrigin::file;
        resolved.sources[index] = {origin, (*speaks)->first, entry.place, entry.written};
    }
    return resolved;
}

Policy PolicySet::policy_of(std::string_view destination) const {
    return resolve(destination).policy;
}

std::vector<std::string> PolicySet::named() const {
    std::vector<std::string> names;
    for (const auto& [pattern, rule] : rules_)
        if (is_exact(pattern)) names.push_back(pattern);
    return names;
}

std::vector<std::string> PolicySet::reserving() const {
    std::vector<std::string> names = named();
    std::erase_if(names, [this](const std::string& name) {
        return resolve(name).source(PolicyKey::reserve).origin == PolicyOrigin::by_default;
    });
    return names;
}

std::uint64_t PolicySet::memory_bytes() const noexcept {
    std::uint64_t bytes = 0;
    for (const auto& [pattern, rule] : rules_) {
        bytes += sizeof(Rules::value_type) + pattern.size() + rule_extra;
        for (const Entries* entries : {&rule.file, &rule.run_time})
            for (const auto& entry : *entries)
                if (entry) bytes += entry->written.size() + entry->place.size() + text_extra;
    }
    return bytes;
}

}  // namespace weir::broker
