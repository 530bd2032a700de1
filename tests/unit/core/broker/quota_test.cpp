// SPDX-License-Identifier: Apache-2.0
//
// The arithmetic of accounts against its definitions, over all small numbers and at the ends of the
// range.
#include "core/broker/quota.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace weir::broker {
namespace {

// The definitions, in numbers that cannot overflow.
__extension__ using Wide = __int128;

std::vector<Bytes> numbers() {
    std::vector<Bytes> all;
    for (Bytes number = 0; number < 9; ++number) all.push_back(number);
    for (Bytes number = 0; number < 3; ++number) all.push_back(no_limit - number);
    return all;
}

TEST(Quota, GrowthIsTheDifferenceOfTwoCommitments) {
    for (const Bytes below : numbers())
        for (const Bytes reserve : numbers())
            for (const Bytes asked : numbers()) {
                const Wide after = std::max(Wide{below} + asked, Wide{reserve});
                const Wide before = std::max(Wide{below}, Wide{reserve});
                ASSERT_EQ(Wide{growth(below, reserve, asked)}, after - before)
                    << below << ' ' << reserve << ' ' << asked;
            }
}

TEST(Quota, ShrinkageUndoesGrowth) {
    for (const Bytes below : numbers())
        for (const Bytes reserve : numbers())
            for (const Bytes asked : numbers()) {
                if (asked > no_limit - below) continue;
                ASSERT_EQ(shrinkage(below + asked, reserve, asked), growth(below, reserve, asked))
                    << below << ' ' << reserve << ' ' << asked;
            }
}

TEST(Quota, WhatFitsIsWhatStaysWithinTheLimitBesideWhatIsHeldBack) {
    for (const Bytes limit : numbers())
        for (const Bytes below : numbers())
            for (const Bytes grown : numbers())
                for (const Bytes held : numbers()) {
                    const bool defined = grown == 0 || Wide{below} + grown + held <= Wide{limit};
                    ASSERT_EQ(fits(limit, below, grown, held), defined)
                        << limit << ' ' << below << ' ' << grown << ' ' << held;
                }
}

TEST(Quota, APartMayUseItsShareAlwaysAndMoreUntilTheOwnerAsks) {
    for (const Bytes used : numbers())
        for (const Bytes share : numbers())
            for (const Bytes asked : numbers())
                for (const Bytes other_used : {0u, 3u, 5u})
                    for (const Bytes other_share : {0u, 3u, 5u})
                        for (const bool asks : {false, true}) {
                            const bool own = Wide{used} + asked <= Wide{share};
                            const bool lent = !asks || other_used >= other_share;
                            ASSERT_EQ(part_allows({used, share, false},
                                                  {other_used, other_share, asks}, asked),
                                      own || lent)
                                << used << ' ' << share << ' ' << asked << ' ' << other_used << ' '
                                << other_share << ' ' << asks;
                        }
}

TEST(Quota, AShareOfAPartOfTheMemoryIsInWholePagesAndAtTheEndThePartItself) {
    constexpr Bytes page = 4096;
    for (const Bytes whole : {1u, 2u, 3u, 7u, 100u})
        for (Bytes part = 0; part <= whole; ++part)
            for (Bytes capacity = 0; capacity <= whole; ++capacity) {
                const Bytes share = scaled_part(part * page, whole * page, capacity * page);
                ASSERT_EQ(share, part * capacity / whole * page);
            }
    EXPECT_EQ(scaled_part(6 * page, 10 * page, 10 * page), 6 * page);
    constexpr Bytes large = Bytes{1} << 43;
    EXPECT_EQ(scaled_part(large / 2, large, large), large / 2);
}

}  // namespace
}  // namespace weir::broker
