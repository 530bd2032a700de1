// SPDX-License-Identifier: Apache-2.0
//
// The arithmetic of a plan, on loads whose answer is known by hand. That it is true of a running
// broker is tests/system/plan_test.py.
#include "core/protocol/sizing.hpp"

#include <gtest/gtest.h>

#include "shm/control_region.hpp"

namespace weir::sizing {
namespace {

TEST(Sizing, ALaneTakesASmallestPageEvenForNothing) {
    EXPECT_EQ(lane_direct_bytes(0, 1000), page_unit);
    EXPECT_EQ(lane_direct_bytes(4, 1000), page_unit) << "four records of 1008 bytes fill it";
    EXPECT_EQ(lane_direct_bytes(5, 1000), 2 * page_unit);
}

TEST(Sizing, ALaneNeverTakesLessThanItsRecordsAndNotMuchMore) {
    for (const Bytes size : {1, 64, 1000, 5000, 70'000, 3'000'000}) {
        for (const std::uint64_t messages : {1, 10, 100, 1000}) {
            const Bytes records = messages * (size + 8);
            const Bytes lane = lane_direct_bytes(messages, size);
            EXPECT_GE(lane, records) << size << ' ' << messages;
            EXPECT_LE(lane, 2 * records + 2 * page_unit) << size << ' ' << messages;
        }
    }
}

TEST(Sizing, BlocksOfAnExchangeDoubleUpToTheirLimit) {
    EXPECT_EQ(exchange_bytes(0), 0u);
    EXPECT_EQ(exchange_bytes(1), page_unit);
    EXPECT_EQ(exchange_bytes(page_unit / sizeof(ProducerCell)), page_unit);
    EXPECT_EQ(exchange_bytes(page_unit / sizeof(ProducerCell) + 1), 3 * page_unit);
    EXPECT_EQ(next_block_bytes(0, 5000), 2 * page_unit) << "one that is larger";
    EXPECT_EQ(next_block_bytes(100, 1), exchange_block_bytes);
}

TEST(Sizing, WhatToConfigureHoldsWhatIsUsedWithRoom) {
    for (const std::uint64_t connections : {1, 50, 500}) {
        for (const std::uint64_t messages : {1, 1000}) {
            for (const Bytes size : {10, 1000, 1'000'000}) {
                const Plan plan = plan_for({connections, 3, messages, size});
                EXPECT_LE(plan.used.direct, plan.configure.direct / 4 * 3);
                EXPECT_LE(plan.used.heap, plan.configure.heap / 10 * 9);
                const Limits limits = limits_for(plan.configure.direct, plan.configure.heap, size);
                EXPECT_GE(limits.lanes, connections * 3);
                EXPECT_GT(plan.used.heap, fixed_bytes(limits));
            }
        }
    }
}

// The bound that was promised for ten thousand destinations with one producer and one consumer.
TEST(Sizing, ADestinationWithAProducerAndAConsumerNeedsSixKibibytesAtMost) {
    constexpr std::uint64_t destinations = 10'000;
    const Limits limits = limits_for(Bytes{96} << 20, Bytes{64} << 20, 1 << 20);
    ASSERT_GE(limits.lanes, destinations);
    ASSERT_GE(limits.destinations, destinations);
    ASSERT_GE(limits.subscriptions, destinations);
    constexpr Bytes range_bytes = 112;
    const Bytes each = destination_bytes + lane_bytes + subscription_bytes + 2 * text_bytes(24) +
                       sizeof(ProducerCell) + shared_piece_bytes + first_chunk * range_bytes;
    EXPECT_LE(fixed_bytes(limits) / destinations + each, 6u * 1024);
}

}  // namespace
}  // namespace weir::sizing
