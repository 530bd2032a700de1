// SPDX-License-Identifier: Apache-2.0
//
// Which of two patterns is more specific, where two patterns meet, and examples of what one means.
//
// Two patterns that both mean a destination are compared word by word from the left, and the first
// difference decides: a literal word is more specific than `*`, and `*` more than `>`. So an exact
// name is the most specific of all, and of two patterns the one with more leading literal words is.
//
//   destination queue://orders.eu.paid     queue://orders.eu.paid      most specific
//                                          queue://orders.eu.*
//                                          queue://orders.eu.>
//                                          queue://orders.*.paid
//                                          queue://orders.>
//                                          queue://*.eu.paid
//                                          queue://>                   least specific
//
//   O1  for one destination the order is total: two patterns that mean it and differ nowhere in the
//       kind of their words have the same literals too (the destination's), so they are one pattern
//
// Patterns are full names (names.hpp), checked before they come here.
#ifndef WEIR_CORE_BROKER_PATTERN_ORDER_HPP
#define WEIR_CORE_BROKER_PATTERN_ORDER_HPP

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace weir::broker {

// For two patterns that both mean some destination.
bool more_specific(std::string_view one, std::string_view other) noexcept;

bool is_exact(std::string_view pattern) noexcept;
std::size_t words_in(std::string_view pattern) noexcept;

// The pattern of exactly those destinations that both mean, or nothing.
std::optional<std::string> meeting_of(std::string_view one, std::string_view other);

// One name for each number of words up to `words_max` that the pattern means, with words in place
// of its wildcards that no pattern names. So what holds for an example by a set of patterns with
// fewer than `words_max` words holds for some real destination, and the other way round, except
// where a pattern of the set names what the wildcard left open.
std::vector<std::string> examples_of(std::string_view pattern, std::size_t words_max);

}  // namespace weir::broker

#endif
