// SPDX-License-Identifier: Apache-2.0
//
// Medians and the intervals of the sign test, against values that can be counted by hand.
#include "bench/suite/statistics.hpp"

#include <gtest/gtest.h>

namespace weir::bench {
namespace {

TEST(Statistics, TheMedianIsTheMiddleOrTheMeanOfTheTwoMiddleValues) {
    EXPECT_DOUBLE_EQ(median({3, 1, 2}), 2);
    EXPECT_DOUBLE_EQ(median({4, 1, 3, 2}), 2.5);
    EXPECT_DOUBLE_EQ(median({7}), 7);
    EXPECT_DOUBLE_EQ(median({}), 0);
}

TEST(Statistics, FiveValuesGiveTheirRangeAtNinetyFourPercent) {
    const Interval interval = median_interval({5, 1, 4, 2, 3});
    EXPECT_DOUBLE_EQ(interval.low, 1);
    EXPECT_DOUBLE_EQ(interval.high, 5);
    EXPECT_DOUBLE_EQ(interval.confidence, 1 - 2.0 / 32);
}

TEST(Statistics, EightValuesLeaveOutOneAtEachEnd) {
    // 2 * (1 + 8) / 256 of the cases lie outside the second smallest and the second largest.
    const Interval interval = median_interval({8, 7, 6, 5, 4, 3, 2, 1});
    EXPECT_DOUBLE_EQ(interval.low, 2);
    EXPECT_DOUBLE_EQ(interval.high, 7);
    EXPECT_DOUBLE_EQ(interval.confidence, 1 - 18.0 / 256);
}

TEST(Statistics, TooFewValuesGiveTheirRangeAndSayWhatItIsWorth) {
    const Interval interval = median_interval({2, 1, 3});
    EXPECT_DOUBLE_EQ(interval.low, 1);
    EXPECT_DOUBLE_EQ(interval.high, 3);
    EXPECT_DOUBLE_EQ(interval.confidence, 0.75);
    EXPECT_DOUBLE_EQ(median_interval({1}).confidence, 0);
}

}  // namespace
}  // namespace weir::bench
