// SPDX-License-Identifier: Apache-2.0
//
// The keys that a policy may say something about, and how their values are written.
//
//   key                 value
//   limit               size or percent of direct memory, or "none"
//   reserve             size or percent of direct memory
//   high-water          size or percent of the limit, or "none"
//   page-size           4K, 8K, ... 1M, or "auto"
//   max-message         size, or "none": the broker's largest message
//   overflow            block | fail | fail-after | drop-oldest | drop-newest
//   fail-after          duration
//   flow-to-disk        auto | never
//   slow-subscriber     throttle | drop-oldest | end
//   rate                "100MiB/s", "50000msg/s", both with a comma between them, or "none"
//   max-producers, max-consumers, max-depth     a number, or "none"
//
// The same text stands in the file, on the command line of `weir policy set`, in the packet that
// carries it to a running broker, and in what `weir policy show` prints. It comes from anybody, so
// reading it refuses everything that is not exactly one of these forms.
#ifndef WEIR_CORE_BROKER_POLICY_KEY_HPP
#define WEIR_CORE_BROKER_POLICY_KEY_HPP

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/result.hpp"
#include "core/broker/policy.hpp"

namespace weir::broker {

enum class PolicyKey : std::uint32_t {
    limit,
    reserve,
    high_water,
    page_size,
    max_message,
    overflow,
    fail_after,
    flow_to_disk,
    slow_subscriber,
    rate,
    max_producers,
    max_consumers,
    max_depth,
};
inline constexpr std::size_t policy_keys = 13;

// In the order of the enum.
inline constexpr std::array<std::string_view, policy_keys> policy_key_names{
    "limit",         "reserve",       "high-water",   "page-size",       "max-message",
    "overflow",      "fail-after",    "flow-to-disk", "slow-subscriber", "rate",
    "max-producers", "max-consumers", "max-depth"};

std::optional<PolicyKey> policy_key(std::string_view name) noexcept;
std::string_view name_of(PolicyKey key) noexcept;
// "limit, reserve, ...", for sentences.
std::string known_policy_keys();

enum class PolicyFailure {
    bad_pattern,    // what it is for is no destination and no pattern
    unknown_key,    // a word that is no key of a policy
    bad_value,      // not of the key's form, or out of its bounds
    given_twice,    // the same pattern says two things about one key
    does_not_hold,  // well written, but impossible: a reserve over its limit, over the budget
    too_many,       // more rules than a broker takes
};
using PolicyError = Error<PolicyFailure>;

// What a percentage is of and what bounds a size.
struct PolicyBudget {
    std::uint64_t direct_bytes = 0;
    std::uint64_t largest_message = 0;
};

// A value as it is kept: bytes, nanoseconds, a count or the number of a word; 0: none.
struct PolicyValue {
    std::uint64_t number = 0;
    std::uint64_t messages = 0;  // rate: the other half
    bool of_limit = false;       // high-water: `number` is in hundredths of a percent of the limit

    friend bool operator==(const PolicyValue&, const PolicyValue&) = default;
};

// The error's sentence does not name the key; the caller says where it stands.
Result<PolicyValue, PolicyError> read_policy_value(PolicyKey key, std::string_view text,
                                                   const PolicyBudget& budget);

// Puts a value into a policy, in whose limit a share of the limit is found: so limit comes first.
void apply(PolicyKey key, const PolicyValue& value, Policy& policy) noexcept;
// The value that a policy has for a key.
PolicyValue value_in(PolicyKey key, const Policy& policy) noexcept;
// As read_policy_value() would read it again; nothing is rounded.
std::string policy_value_text(PolicyKey key, const Policy& policy);

}  // namespace weir::broker

#endif
