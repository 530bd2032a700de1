// SPDX-License-Identifier: Apache-2.0
//
// Window and page sizes as tables.
#include "core/broker/window.hpp"

#include <gtest/gtest.h>

namespace weir::broker {
namespace {

constexpr std::uint64_t kib = 1024;
constexpr std::uint64_t mib = 1024 * kib;

TEST(Window, DoublesWhileTheLaneAsksSoonAndShrinksWhenItAsksRarely) {
    const std::uint64_t limit = window_limit(256 * mib);
    EXPECT_EQ(limit, 32 * mib);
    EXPECT_EQ(window_limit(4096 * mib), 64 * mib);
    EXPECT_EQ(next_window(4 * kib, 2 * kib, 0, limit), 8 * kib);
    EXPECT_EQ(next_window(limit, 0, 0, limit), limit);
    EXPECT_EQ(next_window(64 * kib, 32 * kib, 50 * ns_per_ms, limit), 64 * kib);
    EXPECT_EQ(next_window(64 * kib, 32 * kib, ns_per_s, limit), 32 * kib);
    EXPECT_EQ(next_window(4 * kib, 2 * kib, ns_per_s, limit), 4 * kib);
}

TEST(Window, GrowsOutOfTheCacheOnlyForAReasonAndComesBack) {
    const std::uint64_t limit = 32 * mib;
    EXPECT_EQ(next_window(4 * mib, 2 * mib, 3 * ns_per_ms, limit), 8 * mib);
    EXPECT_EQ(next_window(8 * mib, 4 * mib, 3 * ns_per_ms, limit), 8 * mib) << "it is enough";
    EXPECT_EQ(next_window(8 * mib, 4 * mib, 50 * ns_per_us, limit), 16 * mib) << "asks too often";
    EXPECT_EQ(next_window(8 * mib, 1 * mib, 3 * ns_per_ms, limit), 16 * mib) << "served late";
    EXPECT_EQ(next_window(8 * mib, 0, 50 * ns_per_ms, limit), 8 * mib) << "late, and rare";
    EXPECT_EQ(next_window(16 * mib, 5 * mib, 3 * ns_per_ms, limit), 16 * mib);
    EXPECT_EQ(next_window(16 * mib, 7 * mib, 3 * ns_per_ms, limit), 8 * mib) << "served at once";
    EXPECT_EQ(next_window(12 * mib, 5 * mib, 3 * ns_per_ms, limit), 8 * mib);
    EXPECT_EQ(next_window(16 * mib, 5 * mib, 3 * ns_per_ms, mib), mib) << "a limit was lowered";
    EXPECT_EQ(next_window(16 * mib, 7 * mib, 50 * ns_per_us, limit), 32 * mib);
}

struct Case {
    std::uint64_t window;
    std::uint64_t record;
    std::uint64_t free;
    std::uint64_t units;
};
// clang-format off
const Case cases[] = {
    {4 * kib,  0,             64 * mib, 1},
    {64 * kib, 100,           64 * mib, 1},
    {1 * mib,  100,           64 * mib, 16},
    {64 * mib, 100,           256 * mib, 256},    // 1 MiB is the largest class
    {64 * mib, 100,           1 * mib,  16},      // little is left: pages become smaller
    {64 * kib, 1008,          64 * mib, 2},       // holds several records
    {4 * mib,  64 * kib + 8,  64 * mib, 256},
    {4 * mib,  64 * kib + 8,  2 * mib,  32},      // little is left: its share of that
    {1 * mib,  100 * kib,     64 * mib, 26},      // cannot hold several: an exact run
    {4 * kib,  4032,          64 * mib, 1},       // fills a page exactly
    {4 * kib,  4040,          64 * mib, 2},
    {4 * kib,  9000,          64 * mib, 4},       // small records get a class
    {4 * kib,  100 * kib,     64 * mib, 26},      // larger ones an exact run
    {32 * mib, 600 * kib,     256 * mib, 256},    // fits the class that suits the window
    {64 * mib, 1000 * kib,    256 * mib, 256},
    {64 * mib, 1024 * kib - 8, 256 * mib, 1025},  // header and 4 records of it
    {64 * mib, 1 * mib + 8,   16 * mib, 769},     // a quarter of what is left holds 3
    {4 * mib,  1 * mib + 8,   256 * mib, 257},    // of the window none but one
    {64 * mib, 1 * mib + 8,   4 * mib,  257},
    {64 * mib, 2 * mib,       256 * mib, 2049},   // four at most
    {64 * mib, 64 * mib,      256 * mib, 16385},
};
// clang-format on

TEST(Window, PagesSuitWindowAndRecord) {
    for (const Case& one : cases) {
        SCOPED_TRACE(std::to_string(one.window) + " " + std::to_string(one.record) + " " +
                     std::to_string(one.free));
        EXPECT_EQ(units_suited(one.window, one.record, one.free), one.units);
        EXPECT_GE(units_suited(one.window, one.record, one.free) * page_unit,
                  page_header_bytes + one.record);
    }
}

TEST(Window, TheSmallestGrantHoldsTheRecordExactly) {
    EXPECT_EQ(units_needed(0), 1u);
    EXPECT_EQ(units_needed(4032), 1u);
    EXPECT_EQ(units_needed(4040), 2u);
    EXPECT_EQ(units_needed(64 * mib + 8), 64 * mib / page_unit + 1);
}

}  // namespace
}  // namespace weir::broker
