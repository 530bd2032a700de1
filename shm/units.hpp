// SPDX-License-Identifier: Apache-2.0
//
// The units everything in shared memory is measured in.
//
// A lane is an endless log of bytes. A *position* is a place in that log: bytes since the lane's
// slot was first used, never reused, so a position names one record for ever. At 10 GB/s a lane
// reaches 2^53 (`position_limit`, what a stop word can hold, see control.hpp) after ten days of
// writing without a pause; the broker ends a lane before, and the producer gets a new one.
//
// Pages are counted in units of 4 KiB. A *page reference* is the number of a page's first unit plus
// one, so that zero, which is what fresh memory holds, means "no page".
#ifndef WEIR_SHM_UNITS_HPP
#define WEIR_SHM_UNITS_HPP

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace weir {

using Position = std::uint64_t;
using PageRef = std::uint32_t;
using LaneId = std::uint32_t;

inline constexpr std::uint64_t page_unit = 4096;
inline constexpr std::uint64_t page_class_max = 1024 * 1024;
inline constexpr std::uint64_t page_header_bytes = 64;
inline constexpr std::uint64_t commit_word_bytes = 8;

// Two cache lines: the adjacent-line prefetcher pulls lines in pairs, so 64 would still share.
inline constexpr std::size_t line_distance = 128;

// Lanes and subscriptions of one broker at most, each. A lane's identifier, and a subscription's
// number plus one, fit 14 bits beside a position (claims.hpp); the signals have 64 lanes in a word.
inline constexpr std::uint32_t lanes_max = 16384 - 64;

// Positions start above zero, so that zero can mean "not attached" in a cursor.
inline constexpr Position position_first = page_unit;
inline constexpr Position position_limit = Position{1} << 53;

constexpr std::uint64_t round_up(std::uint64_t value, std::uint64_t to) noexcept {
    return (value + to - 1) / to * to;
}

static_assert(std::atomic<std::uint64_t>::is_always_lock_free);
static_assert(std::atomic<std::uint32_t>::is_always_lock_free);
static_assert(sizeof(std::atomic<std::uint64_t>) == 8 && sizeof(std::atomic<std::uint32_t>) == 4);

}  // namespace weir

#endif
