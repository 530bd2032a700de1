// SPDX-License-Identifier: Apache-2.0
//
// How much a lane is granted ahead of its producer, and in pages of which size.
//
// A lane begins with one smallest page. Each time it asks again within a few milliseconds its
// window doubles, so that a fast producer asks at most every few milliseconds; when it asks rarely,
// its window shrinks.
//
// What is written round and round should stay in a cache, so beyond `window_cached` a window grows
// only for a reason: the lane asks so often that the broker's turns would be a burden, or most of
// what it had is used up before the broker comes round. It shrinks when the broker comes quickly
// again. (Between two cores with an L2 of 2 MiB, 26 November 2026, in turn: 1 KiB 7.4 GB/s with
// a window of 32 MiB, 9.6 with 8, 11.6 with 4; when broker and producer got in each other's
// way less, 64 KiB 16.6 GB/s with 4, 19.3 with 8, 17.7 with 16, smaller ones no difference.)
//
// A page is a sixteenth of the window: large enough that pages are rare events for a fast lane,
// small enough that a window is several of them; up to a quarter, so that it holds several records.
// A record that needs more gets a page of its own size, and records of more than 64 KiB get runs
// that hold up to four, if that is no more of the window. (The first record of a page costs some
// cache lines that neither side has. 1 MiB to and fro that neither side touches: 840 to 910 ns with
// pages of one record, 570 to 620 with pages of three; 64 B 320 to 340.)
//
// All of it is arithmetic on copies, so it is tested as tables.
#ifndef WEIR_CORE_BROKER_WINDOW_HPP
#define WEIR_CORE_BROKER_WINDOW_HPP

#include <algorithm>
#include <bit>

#include "core/base/clock.hpp"
#include "core/broker/page_allocator.hpp"
#include "shm/record.hpp"

namespace weir::broker {

inline constexpr std::uint64_t window_max = 64 * 1024 * 1024;
inline constexpr std::uint64_t window_cached = 8 * 1024 * 1024;
inline constexpr std::uint64_t asks_soon_ns = 4 * ns_per_ms;
inline constexpr std::uint64_t asks_often_ns = 100 * ns_per_us;
inline constexpr std::uint64_t asks_rarely_ns = 200 * ns_per_ms;
inline constexpr std::uint64_t page_part_of_window = 16;
inline constexpr std::uint64_t page_most_of_window = 4;
inline constexpr std::uint64_t page_records = 8;
inline constexpr std::uint64_t run_records_max = 4;

// The largest window of one lane in a region of this size.
constexpr std::uint64_t window_limit(std::uint64_t direct_bytes) noexcept {
    return std::max(page_unit, std::min(window_max, direct_bytes / 8));
}

// `left`: bytes that the lane had before it when it was served.
constexpr std::uint64_t next_window(std::uint64_t window, std::uint64_t left,
                                    std::uint64_t since_last_ns, std::uint64_t limit) noexcept {
    window = std::min(window, limit);
    if (since_last_ns > asks_rarely_ns) return std::max(window / 2, page_unit);
    const bool late = left < window / 4;
    const std::uint64_t soon_ns = window < window_cached || late ? asks_soon_ns : asks_often_ns;
    if (since_last_ns < soon_ns) return std::min(window * 2, limit);
    if (window > window_cached && left >= window / 8 * 3)
        return std::max(window / 2, window_cached);
    return window;
}

// Producers of a destination with a limit share it: each should have room for several pages. So
// pages and windows shrink, towards a single 4 KiB page, as limit / producers does.
inline constexpr std::uint64_t pages_of_share = 4;

constexpr std::uint64_t share_of_limit(std::uint64_t limit, std::uint64_t producers) noexcept {
    return limit / std::max<std::uint64_t>(producers, 1);
}
constexpr std::uint64_t page_most(std::uint64_t limit, std::uint64_t producers) noexcept {
    if (limit == 0) return page_class_max;
    return std::bit_floor(
        std::clamp(share_of_limit(limit, producers) / pages_of_share, page_unit, page_class_max));
}
constexpr std::uint64_t window_most(std::uint64_t limit, std::uint64_t producers) noexcept {
    if (limit == 0) return window_max;
    return std::clamp(share_of_limit(limit, producers) / 2, page_unit, window_max);
}

// The smallest grant that lets a record of this size be written.
constexpr Units units_needed(std::uint64_t record) noexcept {
    return page_bytes_for(std::max(record, commit_word_bytes)) / page_unit;
}

// The page that suits a lane. `free_bytes`: when little is left, pages become smaller.
constexpr Units units_suited(std::uint64_t window, std::uint64_t record,
                             std::uint64_t free_bytes) noexcept {
    const auto class_of = [](std::uint64_t bytes) {
        return std::bit_floor(std::clamp(bytes / page_part_of_window, page_unit, page_class_max));
    };
    const std::uint64_t least = std::min(class_of(window), class_of(free_bytes));
    // What is left over at a page's end is less than a record, so with several that is little.
    const std::uint64_t most = std::min(window / page_most_of_window, class_of(free_bytes));
    const std::uint64_t roomy = std::bit_ceil(page_records * record);
    const std::uint64_t page = roomy <= most ? std::max(least, roomy) : least;
    const Units needed = units_needed(record);
    if (needed * page_unit <= page) return page / page_unit;
    if (record <= 64 * 1024) return std::bit_ceil(needed);
    const std::uint64_t part =
        std::min(window, free_bytes) /
        (record < page_class_max ? page_part_of_window : page_most_of_window);
    const std::uint64_t records = std::clamp<std::uint64_t>(part / record, 1, run_records_max);
    return units_needed(records * record);
}

}  // namespace weir::broker

#endif
