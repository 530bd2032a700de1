// SPDX-License-Identifier: Apache-2.0
//
// Where pages come from and where they go back: L1 and L2 of page_allocator.hpp.
#include "core/broker/page_allocator.hpp"

#include <gtest/gtest.h>

#include <random>
#include <set>

namespace weir::broker {
namespace {

PageAllocator region(Units units) {
    PageAllocator allocator;
    allocator.add_units(0, units);
    return allocator;
}

TEST(PageAllocator, ClassesComeFromTheLowEndAndRunsFromTheHighEnd) {
    PageAllocator allocator = region(1024);
    EXPECT_EQ(allocator.take(1), Unit{0});
    EXPECT_EQ(allocator.take(16), Unit{1});
    EXPECT_EQ(allocator.take(300), Unit{1024 - 300});
    EXPECT_EQ(allocator.take(3), Unit{1024 - 303});
    EXPECT_EQ(allocator.take(4), Unit{17});
    EXPECT_EQ(allocator.free_units(), 1024u - 1 - 16 - 300 - 3 - 4);
}

TEST(PageAllocator, AFreedClassPageComesBackFirst) {
    PageAllocator allocator = region(64);
    const Unit first = *allocator.take(2);
    const Unit second = *allocator.take(2);
    allocator.give_back(first, 2);
    allocator.give_back(second, 2);
    EXPECT_EQ(allocator.take(2), second);
    EXPECT_EQ(allocator.take(2), first);
}

TEST(PageAllocator, FreedPagesMergeWhenALargerOneWouldFail) {
    PageAllocator allocator = region(64);
    std::vector<Unit> pages;
    for (int i = 0; i < 64; ++i) pages.push_back(*allocator.take(1));
    EXPECT_FALSE(allocator.take(1));
    for (const Unit page : pages) allocator.give_back(page, 1);
    EXPECT_EQ(allocator.take(64), Unit{0});
}

TEST(PageAllocator, ARunMergesWithBothNeighbours) {
    PageAllocator allocator = region(30);
    const Unit high = *allocator.take(10);
    const Unit middle = *allocator.take(10);
    const Unit low = *allocator.take(10);
    allocator.give_back(high, 10);
    allocator.give_back(low, 10);
    EXPECT_EQ(allocator.longest_run(), 10u);
    EXPECT_FALSE(allocator.take(11)) << "enough is free, but in pieces";
    EXPECT_GE(allocator.free_units(), 11u);
    allocator.give_back(middle, 10);
    EXPECT_EQ(allocator.longest_run(), 30u);
}

TEST(PageAllocator, SlicesOfTheRegionJoinWhatIsThere) {
    PageAllocator allocator;
    EXPECT_FALSE(allocator.take(1));
    allocator.add_units(0, 8);
    EXPECT_FALSE(allocator.take(12));
    allocator.add_units(8, 8);
    EXPECT_EQ(allocator.capacity(), 16u);
    EXPECT_EQ(allocator.take(12), Unit{4});
}

// L1 and L2 under a random life: no two pieces overlap, and all comes back.
TEST(PageAllocator, NeverHandsOutAUnitTwiceAndGetsEverythingBack) {
    const std::uint64_t seed = std::random_device{}();
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    PageAllocator allocator = region(2048);
    std::vector<std::pair<Unit, Units>> held;
    std::vector<bool> used(2048, false);
    for (int step = 0; step < 20'000; ++step) {
        if (random() % 2 == 0 || held.empty()) {
            const Units count = random() % 3 == 0 ? 1 + random() % 400 : Units{1} << random() % 9;
            const Units before = allocator.free_units();
            const auto first = allocator.take(count);
            if (!first) {
                EXPECT_LT(allocator.longest_run(), count);
                continue;
            }
            ASSERT_EQ(allocator.free_units(), before - count);
            for (Unit unit = *first; unit < *first + count; ++unit) {
                ASSERT_FALSE(used[unit]) << unit;
                used[unit] = true;
            }
            held.emplace_back(*first, count);
        } else {
            const std::size_t which = random() % held.size();
            const auto [first, count] = held[which];
            held.erase(held.begin() + static_cast<std::ptrdiff_t>(which));
            std::fill_n(used.begin() + static_cast<std::ptrdiff_t>(first), count, false);
            allocator.give_back(first, count);
        }
    }
    for (const auto& [first, count] : held) allocator.give_back(first, count);
    EXPECT_EQ(allocator.longest_run(), 2048u);
}

TEST(PageAllocator, KeepsOnePieceWhateverElseComesAndGoes) {
    PageAllocator allocator;
    allocator.add_units(0, 256);
    allocator.keep(64);
    EXPECT_EQ(allocator.kept_units(), 64u);
    EXPECT_EQ(allocator.free_units(), 192u);
    std::vector<Unit> single;
    while (const auto unit = allocator.take(1)) single.push_back(*unit);
    EXPECT_EQ(single.size(), 192u);
    const auto lent = allocator.take_kept(64);
    ASSERT_TRUE(lent);
    EXPECT_FALSE(allocator.take_kept(1)) << "one page at a time";
    for (const Unit unit : single) EXPECT_TRUE(unit < *lent || unit >= *lent + 64);
    for (std::size_t at = 0; at < single.size(); at += 2) allocator.give_back(single[at], 1);
    EXPECT_FALSE(allocator.take(2)) << "in pieces";
    allocator.give_back(*lent, 64);
    EXPECT_EQ(allocator.kept_units(), 64u);
    EXPECT_EQ(allocator.free_units(), 96u) << "what was lent is kept again, and no more than that";
}

TEST(PageAllocator, WhatIsKeptIsWhatTheLargestLeavesBehind) {
    PageAllocator allocator;
    allocator.add_units(0, 64);
    const Unit small = *allocator.take(16);
    const Unit large = *allocator.take(48);
    allocator.give_back(small, 16);
    allocator.keep(16);
    const Unit lent = *allocator.take_kept(8);
    EXPECT_EQ(allocator.kept_units(), 8u);
    allocator.give_back(large, 48);
    allocator.keep(48);
    EXPECT_EQ(allocator.kept_units(), 48u);
    EXPECT_EQ(allocator.free_units(), 8u) << "the rest of the smaller piece";
    allocator.give_back(lent, 8);
    EXPECT_EQ(allocator.free_units(), 16u);
    allocator.keep(4);
    EXPECT_EQ(allocator.kept_units(), 48u) << "is enough";
    allocator.keep_at_most(20);
    EXPECT_EQ(allocator.kept_units(), 20u);
    allocator.keep_at_most(0);
    EXPECT_EQ(allocator.free_units(), 64u);
    EXPECT_EQ(allocator.longest_run(), 64u);
}

}  // namespace
}  // namespace weir::broker
