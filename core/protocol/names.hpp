// SPDX-License-Identifier: Apache-2.0
//
// Names of destinations and brokers, and patterns over them.
//
//   queue://orders.eu      a destination: scheme, then words of [A-Za-z0-9_-] with dots between
//   topic://orders.*       a pattern: `*` is exactly one word, `>` (only last) is one or more words
//   orders                 no scheme means queue
//
// Up to 255 bytes with the scheme. Options may follow a `?` and are not part of the name.
#ifndef WEIR_CORE_PROTOCOL_NAMES_HPP
#define WEIR_CORE_PROTOCOL_NAMES_HPP

#include <map>
#include <string>
#include <string_view>

#include "core/base/result.hpp"
#include "shm/control.hpp"

namespace weir {

enum class NameError { unknown_scheme, empty, too_long, bad_word, wildcard, bad_option };

struct DestinationName {
    DestinationKind kind = DestinationKind::queue;
    std::string full;  // with scheme
    bool pattern = false;
    std::map<std::string, std::string> options;  // after `?`, as key=value&key=value

    std::string_view words() const { return std::string_view(full).substr(8); }
};

// Both errors carry a sentence that quotes what was wrong.
Result<DestinationName, Error<NameError>> parse_destination(std::string_view text);  // no wildcards
Result<DestinationName, Error<NameError>> parse_pattern(std::string_view text);  // wildcards too

// True if the destination (full name) is one of those that the pattern (full name) means.
bool matches(std::string_view pattern, std::string_view destination) noexcept;

// [a-z0-9-]{1,32}
bool valid_broker_name(std::string_view name) noexcept;

}  // namespace weir

#endif
