// SPDX-License-Identifier: Apache-2.0
//
// Sizes, durations, shares and rates as people write them.
//
//   size       1024-based: K M G T, KiB MiB GiB TiB; 1000-based: kB MB GB TB; a plain number: bytes
//   duration   ns us ms s m h; a plain number: seconds
//   percent    "75%", up to 100
//   rate       a size a second ("100MiB/s") or a number of messages a second ("50000msg/s")
//   count      a plain number
//
// A fraction is allowed before a unit ("1.5G"); what remains below a byte or a nanosecond is
// dropped. Signs, an unknown unit, "KB" and "k" (1000 or 1024?), and what does not fit 64 bits are
// refused with a sentence that a command line can print as it is.
#ifndef WEIR_CORE_BASE_BYTES_HPP
#define WEIR_CORE_BASE_BYTES_HPP

#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/result.hpp"

namespace weir {

enum class ParseFailure { not_a_number, unknown_unit, too_large };

Result<std::uint64_t, Error<ParseFailure>> parse_size(std::string_view text);
Result<std::uint64_t, Error<ParseFailure>> parse_duration_ns(std::string_view text);

// In hundredths of a percent, and their part of a whole, rounded down.
Result<std::uint32_t, Error<ParseFailure>> parse_percent(std::string_view text);
std::uint64_t share_of(std::uint64_t whole, std::uint64_t hundredths) noexcept;
// A size, or a percentage of `whole`.
Result<std::uint64_t, Error<ParseFailure>> parse_share(std::string_view text, std::uint64_t whole);

Result<std::uint64_t, Error<ParseFailure>> parse_count(std::string_view text);

struct Rate {
    std::uint64_t amount = 0;  // a second
    bool of_messages = false;  // else of bytes
};
Result<Rate, Error<ParseFailure>> parse_rate(std::string_view text);

// "0 B", "812 B", "64 KiB", "1.5 GiB": at most one decimal, rounded to the nearest.
std::string format_size(std::uint64_t bytes);

// "0 s", "250 us", "1.5 s", "3 m", "36.2 h": at most one decimal, rounded to the nearest.
std::string format_duration_ns(std::uint64_t span_ns);

}  // namespace weir

#endif  // WEIR_CORE_BASE_BYTES_HPP
