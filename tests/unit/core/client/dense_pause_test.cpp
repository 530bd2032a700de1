// SPDX-License-Identifier: Apache-2.0
//
// The lengths of pauses behind bursts, as a table.
#include "weir/detail/dense_pause.hpp"

#include <gtest/gtest.h>

namespace weir::detail {
namespace {

constexpr std::uint64_t most_ns = 20'000;
constexpr std::uint64_t dense = DensePause::dense_messages;

TEST(DensePause, DoublesUpToItsBoundWhileAProducerWritesAByteANanosecond) {
    DensePause pause(most_ns);
    EXPECT_EQ(pause.behind(dense, 0), 2000u);
    EXPECT_EQ(pause.behind(dense, 2000), 4000u);
    EXPECT_EQ(pause.behind(dense, 4000), 8000u);
    EXPECT_EQ(pause.behind(dense, 8000), 16'000u);
    EXPECT_EQ(pause.behind(dense, 16'000), most_ns);
    EXPECT_EQ(pause.behind(dense, 100'000), most_ns);
}

TEST(DensePause, StaysWhenTheStreamIsSlowerAndHalvesWhenItIsMuchSlower) {
    DensePause pause(most_ns);
    pause.behind(dense, 0);
    ASSERT_EQ(pause.behind(dense, 2000), 4000u);
    EXPECT_EQ(pause.behind(dense, 3999), 4000u);
    EXPECT_EQ(pause.behind(dense, 1000), 4000u);
    EXPECT_EQ(pause.behind(dense, 999), 2000u);
    EXPECT_EQ(pause.behind(dense, 0), 2000u) << "a dense burst always has the first pause";
}

TEST(DensePause, EndsWithTheFirstBurstOfFewMessages) {
    DensePause pause(most_ns);
    pause.behind(dense, 0);
    pause.behind(dense, 1'000'000);
    EXPECT_EQ(pause.behind(dense - 1, 1'000'000), 0u);
    EXPECT_EQ(pause.behind(0, 0), 0u);
    EXPECT_EQ(pause.behind(dense, 1'000'000), 2000u) << "and begins anew";
}

TEST(DensePause, IsNeverLongerThanItsUserAllows) {
    DensePause none(0);
    EXPECT_EQ(none.behind(1000, 1'000'000), 0u);
    EXPECT_EQ(none.behind(1000, 1'000'000), 0u);
    DensePause small(500);
    EXPECT_EQ(small.behind(1000, 0), 500u);
    EXPECT_EQ(small.behind(1000, 1'000'000), 500u);
    EXPECT_EQ(small.behind(1000, 0), 500u);
}

}  // namespace
}  // namespace weir::detail
