// SPDX-License-Identifier: Apache-2.0
//
// The clocks: a real one that does not run backwards, and one that a test moves.
#include "core/base/clock.hpp"

#include <gtest/gtest.h>

namespace weir {
namespace {

TEST(MonotonicClock, DoesNotRunBackwards) {
    const MonotonicClock clock;
    std::uint64_t before = clock.now_ns();
    for (int look = 0; look < 1000; ++look) {
        std::uint64_t now = clock.now_ns();
        ASSERT_GE(now, before);
        before = now;
    }
    EXPECT_GT(before, 0U);
}

TEST(RealtimeClock, CountsFromTheEpoch) {
    constexpr std::uint64_t year_2020_ns = 1'577'836'800 * ns_per_s;
    EXPECT_GT(realtime_ns(), year_2020_ns);
}

TEST(ManualClock, StandsStillUntilItIsMoved) {
    ManualClock manual(5 * ns_per_s);
    const Clock& clock = manual;
    EXPECT_EQ(clock.now_ns(), 5 * ns_per_s);
    EXPECT_EQ(clock.now_ns(), 5 * ns_per_s);
    manual.advance_ns(3 * ns_per_ms);
    EXPECT_EQ(clock.now_ns(), 5 * ns_per_s + 3 * ns_per_ms);
    manual.set_ns(7);
    EXPECT_EQ(clock.now_ns(), 7U);
}

}  // namespace
}  // namespace weir
