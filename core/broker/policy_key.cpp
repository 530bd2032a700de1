// SPDX-License-Identifier: Apache-2.0
//
// Reading and writing the values of policies; see policy_key.hpp for their forms.
#include "core/broker/policy_key.hpp"

#include <algorithm>
#include <bit>
#include <limits>
#include <span>

#include "core/base/bytes.hpp"
#include "core/base/clock.hpp"
#include "shm/units.hpp"

namespace weir::broker {
namespace {

using Read = Result<PolicyValue, PolicyError>;

Failure<PolicyError> bad(std::string sentence) {
    return fail(PolicyFailure::bad_value, std::move(sentence));
}

// The words of a key, in the order of its enum.
constexpr std::array<std::string_view, 5> overflow_words{"block", "fail", "fail-after",
                                                         "drop-oldest", "drop-newest"};
constexpr std::array<std::string_view, 2> flow_words{"auto", "never"};
constexpr std::array<std::string_view, 3> slow_words{"throttle", "drop-oldest", "end"};

Read read_word(std::string_view text, std::span<const std::string_view> words) {
    const auto found = std::find(words.begin(), words.end(), text);
    if (found != words.end())
        return PolicyValue{.number = static_cast<std::uint64_t>(found - words.begin())};
    std::string known;
    for (const std::string_view word : words)
        known += (known.empty() ? "" : ", ") + std::string(word);
    return bad("one of these words is needed: " + known);
}

// Bytes, also as a share of direct memory.
Read read_bytes(std::string_view text, const PolicyBudget& budget) {
    const auto bytes = parse_share(text, budget.direct_bytes);
    if (!bytes) return bad(bytes.error().sentence);
    if (*bytes > budget.direct_bytes)
        return bad("more than the direct memory, " + format_size(budget.direct_bytes) +
                   ": name less or raise direct");
    return PolicyValue{.number = *bytes};
}

Read read_limit(std::string_view text, const PolicyBudget& budget) {
    auto value = read_bytes(text, budget);
    if (!value) return value;
    if (value->number < reserve_default)
        return bad("a destination works with " + format_size(reserve_default) +
                   " or more: name a larger size, or \"none\" for no limit");
    value->number = value->number / page_unit * page_unit;
    return value;
}

Read read_reserve(std::string_view text, const PolicyBudget& budget) {
    auto value = read_bytes(text, budget);
    if (!value) return value;
    value->number = std::max(round_up(value->number, page_unit), reserve_default);
    return value;
}

Read read_high_water(std::string_view text, const PolicyBudget& budget) {
    if (text.ends_with('%')) {
        const auto share = parse_percent(text);
        if (!share) return bad(share.error().sentence);
        if (*share == 0) return bad("it would flow always: name more, or \"none\"");
        return PolicyValue{.number = *share, .of_limit = true};
    }
    auto value = read_bytes(text, budget);
    if (!value) return value;
    value->number = value->number / page_unit * page_unit;
    if (value->number == 0) return bad("at least " + format_size(page_unit) + ", or \"none\"");
    return value;
}

Read read_page_size(std::string_view text) {
    const auto bytes = parse_size(text);
    if (!bytes) return bad(bytes.error().sentence);
    if (!std::has_single_bit(*bytes) || *bytes < page_unit || *bytes > page_class_max)
        return bad(
            "a page has 4, 8, 16, 32, 64, 128, 256 or 512 KiB or 1 MiB: name one of them, "
            "or \"auto\"");
    return PolicyValue{.number = *bytes};
}

Read read_max_message(std::string_view text, const PolicyBudget& budget) {
    const auto bytes = parse_size(text);
    if (!bytes) return bad(bytes.error().sentence);
    if (*bytes == 0) return bad("a message has at least one byte: name a size, or \"none\"");
    if (*bytes > budget.largest_message)
        return bad("more than the broker's largest message, " +
                   format_size(budget.largest_message) + ": name less or raise largest-message");
    return PolicyValue{.number = *bytes};
}

Read read_duration(std::string_view text) {
    const auto span_ns = parse_duration_ns(text);
    if (!span_ns) return bad(span_ns.error().sentence);
    if (*span_ns == 0)
        return bad("a time that is over at once: name a longer one, or overflow = \"fail\"");
    return PolicyValue{.number = *span_ns};
}

Read read_count(std::string_view text, std::uint64_t max) {
    const auto number = parse_count(text);
    if (!number) return bad(number.error().sentence);
    if (*number == 0) return bad("at least 1: name a larger number, or \"none\" for no limit");
    if (*number > max) return bad("at most " + std::to_string(max));
    return PolicyValue{.number = *number};
}

Read read_rate(std::string_view text) {
    PolicyValue value;
    for (bool more = true; more;) {
        const std::size_t end = text.find(',');
        more = end != std::string_view::npos;
        std::string_view one = text.substr(0, end);
        text.remove_prefix(more ? end + 1 : text.size());
        if (one.starts_with(' ')) one.remove_prefix(1);
        const auto rate = parse_rate(one);
        if (!rate) return bad(rate.error().sentence);
        if (rate->amount == 0)
            return bad("nothing would ever be sent: name a higher rate, or \"none\" for no limit");
        std::uint64_t& half = rate->of_messages ? value.messages : value.number;
        if (half != 0)
            return bad(rate->of_messages ? "two rates of messages" : "two rates of bytes");
        half = rate->amount;
    }
    return value;
}

// "none" and "auto" are 0.
bool is_none(PolicyKey key, std::string_view text) noexcept {
    switch (key) {
        case PolicyKey::limit:
        case PolicyKey::high_water:
        case PolicyKey::max_message:
        case PolicyKey::rate:
        case PolicyKey::max_producers:
        case PolicyKey::max_consumers:
        case PolicyKey::max_depth: return text == "none";
        case PolicyKey::page_size: return text == "auto";
        case PolicyKey::reserve:
        case PolicyKey::overflow:
        case PolicyKey::fail_after:
        case PolicyKey::flow_to_disk:
        case PolicyKey::slow_subscriber: return false;
    }
    return false;
}

// A share of no limit is no mark; of any other it is at least a page, for 0 would be none.
std::uint64_t high_water_of(std::uint64_t limit, std::uint64_t share) noexcept {
    if (limit == 0) return 0;
    return std::max(share_of(limit, share) / page_unit * page_unit, page_unit);
}

// The largest unit that divides it.
std::string exactly(std::uint64_t bytes) {
    constexpr std::array<std::string_view, 4> units{"B", "KiB", "MiB", "GiB"};
    std::size_t unit = 0;
    while (unit + 1 < units.size() && bytes != 0 && bytes % 1024 == 0) {
        bytes /= 1024;
        ++unit;
    }
    return std::to_string(bytes) + std::string(units[unit]);
}

std::string exact_duration(std::uint64_t span_ns) {
    if (span_ns % ns_per_s == 0) return std::to_string(span_ns / ns_per_s) + "s";
    if (span_ns % ns_per_ms == 0) return std::to_string(span_ns / ns_per_ms) + "ms";
    if (span_ns % ns_per_us == 0) return std::to_string(span_ns / ns_per_us) + "us";
    return std::to_string(span_ns) + "ns";
}

std::string rate_text(const PolicyValue& value) {
    std::string text;
    if (value.number != 0) text = exactly(value.number) + "/s";
    if (value.messages != 0)
        text += (text.empty() ? "" : ",") + std::to_string(value.messages) + "msg/s";
    return text.empty() ? "none" : text;
}

}  // namespace

std::optional<PolicyKey> policy_key(std::string_view name) noexcept {
    const auto found = std::find(policy_key_names.begin(), policy_key_names.end(), name);
    if (found == policy_key_names.end()) return std::nullopt;
    return static_cast<PolicyKey>(found - policy_key_names.begin());
}

std::string_view name_of(PolicyKey key) noexcept {
    return policy_key_names[static_cast<std::size_t>(key)];
}

std::string known_policy_keys() {
    std::string known;
    for (const std::string_view name : policy_key_names)
        known += (known.empty() ? "" : ", ") + std::string(name);
    return known;
}

Result<PolicyValue, PolicyError> read_policy_value(PolicyKey key, std::string_view text,
                                                   const PolicyBudget& budget) {
    constexpr std::uint64_t people_max = std::numeric_limits<std::uint32_t>::max();
    if (is_none(key, text)) return PolicyValue{};
    switch (key) {
        case PolicyKey::limit: return read_limit(text, budget);
        case PolicyKey::reserve: return read_reserve(text, budget);
        case PolicyKey::high_water: return read_high_water(text, budget);
        case PolicyKey::page_size: return read_page_size(text);
        case PolicyKey::max_message: return read_max_message(text, budget);
        case PolicyKey::overflow: return read_word(text, overflow_words);
        case PolicyKey::fail_after: return read_duration(text);
        case PolicyKey::flow_to_disk: return read_word(text, flow_words);
        case PolicyKey::slow_subscriber: return read_word(text, slow_words);
        case PolicyKey::rate: return read_rate(text);
        case PolicyKey::max_producers:
        case PolicyKey::max_consumers: return read_count(text, people_max);
        case PolicyKey::max_depth: return read_count(text, UINT64_MAX);
    }
    return fail(PolicyFailure::unknown_key, "it is no key of a policy");
}

void apply(PolicyKey key, const PolicyValue& value, Policy& policy) noexcept {
    const std::uint64_t number = value.number;
    switch (key) {
        case PolicyKey::limit: policy.limit = number; return;
        case PolicyKey::reserve: policy.reserve = number; return;
        case PolicyKey::high_water:
            policy.high_water = value.of_limit ? high_water_of(policy.limit, number) : number;
            return;
        case PolicyKey::page_size: policy.page_bytes = number; return;
        case PolicyKey::max_message: policy.largest_message = number; return;
        case PolicyKey::overflow: policy.overflow = static_cast<Overflow>(number); return;
        case PolicyKey::fail_after: policy.fail_after_ns = number; return;
        case PolicyKey::flow_to_disk: policy.flow_to_disk = static_cast<FlowToDisk>(number); return;
        case PolicyKey::slow_subscriber:
            policy.slow_subscriber = static_cast<SlowSubscriber>(number);
            return;
        case PolicyKey::rate:
            policy.rate_bytes = number;
            policy.rate_messages = value.messages;
            return;
        case PolicyKey::max_producers:
            policy.max_producers = static_cast<std::uint32_t>(number);
            return;
        case PolicyKey::max_consumers:
            policy.max_consumers = static_cast<std::uint32_t>(number);
            return;
        case PolicyKey::max_depth: policy.max_depth = number; return;
    }
}

PolicyValue value_in(PolicyKey key, const Policy& policy) noexcept {
    switch (key) {
        case PolicyKey::limit: return {.number = policy.limit};
        case PolicyKey::reserve: return {.number = policy.reserve};
        case PolicyKey::high_water: return {.number = policy.high_water};
        case PolicyKey::page_size: return {.number = policy.page_bytes};
        case PolicyKey::max_message: return {.number = policy.largest_message};
        case PolicyKey::overflow: return {.number = static_cast<std::uint64_t>(policy.overflow)};
        case PolicyKey::fail_after: return {.number = policy.fail_after_ns};
        case PolicyKey::flow_to_disk:
            return {.number = static_cast<std::uint64_t>(policy.flow_to_disk)};
        case PolicyKey::slow_subscriber:
            return {.number = static_cast<std::uint64_t>(policy.slow_subscriber)};
        case PolicyKey::rate:
            return {.number = policy.rate_bytes, .messages = policy.rate_messages};
        case PolicyKey::max_producers: return {.number = policy.max_producers};
        case PolicyKey::max_consumers: return {.number = policy.max_consumers};
        case PolicyKey::max_depth: return {.number = policy.max_depth};
    }
    return {};
}

std::string policy_value_text(PolicyKey key, const Policy& policy) {
    const PolicyValue value = value_in(key, policy);
    const auto number = static_cast<std::size_t>(value.number);
    switch (key) {
        case PolicyKey::overflow: return std::string(overflow_words[number]);
        case PolicyKey::flow_to_disk: return std::string(flow_words[number]);
        case PolicyKey::slow_subscriber: return std::string(slow_words[number]);
        case PolicyKey::rate: return rate_text(value);
        case PolicyKey::fail_after: return exact_duration(value.number);
        case PolicyKey::page_size: return value.number == 0 ? "auto" : exactly(value.number);
        case PolicyKey::max_producers:
        case PolicyKey::max_consumers:
        case PolicyKey::max_depth: return value.number == 0 ? "none" : std::to_string(number);
        case PolicyKey::limit:
        case PolicyKey::reserve:
        case PolicyKey::high_water:
        case PolicyKey::max_message: return value.number == 0 ? "none" : exactly(value.number);
    }
    return "";
}

}  // namespace weir::broker
