// SPDX-License-Identifier: Apache-2.0
//
// Sizes and durations as people write them.
//
//   size       1024-based: K M G T, KiB MiB GiB TiB; 1000-based: kB MB GB TB; a plain number: bytes
//   duration   ns us ms s m h; a plain number: seconds
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

// "0 B", "812 B", "64 KiB", "1.5 GiB": at most one decimal, rounded to the nearest.
std::string format_size(std::uint64_t bytes);

// "0 s", "250 us", "1.5 s", "3 m", "36.2 h": at most one decimal, rounded to the nearest.
std::string format_duration_ns(std::uint64_t span_ns);

}  // namespace weir

#endif  // WEIR_CORE_BASE_BYTES_HPP
