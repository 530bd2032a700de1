// SPDX-License-Identifier: Apache-2.0
//
// When looks around come, over a clock of the test.
#include "core/broker/ticks.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace weir::broker {
namespace {

constexpr std::uint64_t s = ns_per_s;

// The next `count` ticks, each taken when it is due.
std::vector<std::uint64_t> taken(Ticks& ticks, int count, bool at_rest) {
    std::vector<std::uint64_t> seconds;
    for (; count > 0; --count) {
        const std::uint64_t due = ticks.due_ns();
        seconds.push_back(due / s);
        ticks.ticked(due, at_rest);
    }
    return seconds;
}

TEST(Ticks, ComeOnceASecondWhileAnythingMoves) {
    Ticks ticks(10 * s);
    EXPECT_EQ(taken(ticks, 5, false), (std::vector<std::uint64_t>{11, 12, 13, 14, 15}));
}

TEST(Ticks, AreRareAfterSomeSecondsOfRest) {
    Ticks ticks(0);
    EXPECT_EQ(taken(ticks, 6, true), (std::vector<std::uint64_t>{1, 2, 3, 7, 11, 15}));
    ticks.ticked(ticks.due_ns(), false);  // at 19 something had moved
    EXPECT_EQ(taken(ticks, 4, true), (std::vector<std::uint64_t>{20, 21, 22, 26}));
}

TEST(Ticks, WhatHappensMeanwhileBringsTheNextOneNear) {
    Ticks ticks(0);
    taken(ticks, 3, true);
    ASSERT_EQ(ticks.due_ns(), 7 * s);
    ticks.stir(4 * s);
    EXPECT_EQ(taken(ticks, 4, true), (std::vector<std::uint64_t>{5, 6, 7, 11}));
    ticks.stir(15 * s - 1);
    EXPECT_EQ(ticks.due_ns(), 15 * s) << "it is not put off";
}

TEST(Ticks, WhatHappensBetweenSecondsDoesNotPutThemOff) {
    Ticks ticks(0);
    taken(ticks, 2, true);
    ticks.stir(2 * s + s / 2);
    EXPECT_EQ(taken(ticks, 4, true), (std::vector<std::uint64_t>{3, 4, 5, 9}));
}

TEST(Ticks, LateOnesDoNotStretchTheSecondsAndManyAreNotMadeUpFor) {
    Ticks ticks(0);
    ticks.ticked(s + s / 3, false);
    EXPECT_EQ(ticks.due_ns(), 2 * s);
    ticks.ticked(100 * s, false);
    EXPECT_EQ(ticks.due_ns(), 101 * s);
}

}  // namespace
}  // namespace weir::broker
