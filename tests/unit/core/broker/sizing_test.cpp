// SPDX-License-Identifier: Apache-2.0
//
// The arithmetic of a plan, on loads whose answer is known by hand. That it is true of a running
// broker is tests/system/plan_test.py.
#include "core/broker/sizing.hpp"

#include <gtest/gtest.h>

#include "core/broker/regions.hpp"
#include "core/broker/window.hpp"
#include "shm/control_region.hpp"

namespace weir::broker {
namespace {

constexpr Bytes plenty = Bytes{1} << 30;

TEST(Sizing, ALaneTakesASmallestPageEvenForNothing) {
    EXPECT_EQ(lane_direct_bytes(0, 1000, plenty), page_unit);
    EXPECT_EQ(lane_direct_bytes(4, 1000, plenty), page_unit) << "four records of 1008 bytes";
    EXPECT_EQ(lane_direct_bytes(5, 1000, plenty), 2 * page_unit);
}

TEST(Sizing, ARecordLargerThanASmallestPageLeavesThatOneEmpty) {
    EXPECT_EQ(lane_direct_bytes(1, 5000, plenty), page_unit + 2 * page_unit);
    EXPECT_EQ(lane_direct_bytes(2, 3'000'000, plenty),
              page_unit + 2 * page_bytes_for(record_bytes(0, 3'000'000)));
}

TEST(Sizing, ALaneNeverTakesLessThanItsRecordsAndNotMuchMore) {
    for (const Bytes size : {1u, 64u, 1000u, 5000u, 70'000u, 3'000'000u}) {
        for (const std::uint64_t messages : {1u, 10u, 100u, 1000u}) {
            const Bytes records = messages * record_bytes(0, size);
            const Bytes lane = lane_direct_bytes(messages, size, 4 * plenty);
            EXPECT_GE(lane, records) << size << ' ' << messages;
            EXPECT_LE(lane, 2 * records + 2 * page_unit) << size << ' ' << messages;
        }
    }
}

TEST(Sizing, BlocksOfAnExchangeDoubleUpToTheirLimit) {
    constexpr std::uint64_t first = page_unit / sizeof(ProducerCell);
    EXPECT_EQ(producer_blocks_bytes(0), 0u);
    EXPECT_EQ(producer_blocks_bytes(1), page_unit);
    EXPECT_EQ(producer_blocks_bytes(first), page_unit);
    EXPECT_EQ(producer_blocks_bytes(first + 1), 3 * page_unit);
    EXPECT_EQ(next_block_bytes(0, 5000), 2 * page_unit) << "one that is larger";
    EXPECT_EQ(next_block_bytes(100, 1), exchange_block_bytes);
}

TEST(Sizing, WhatToConfigureHoldsWhatIsUsedWithRoom) {
    for (const std::uint64_t connections : {1u, 50u, 250u}) {
        for (const std::uint64_t messages : {1u, 1000u}) {
            for (const Bytes size : {10u, 1000u, 1'000'000u}) {
                const auto plan = plan_memory({connections, 3, messages, size});
                ASSERT_TRUE(plan) << connections << ' ' << messages << ' ' << size;
                EXPECT_LE(plan->used.direct, plan->configure.direct / 4 * 3);
                EXPECT_LE(plan->used.heap, plan->configure.heap / 10 * 9);
                const Limits limits =
                    limits_for(plan->configure.direct, plan->configure.heap, size);
                EXPECT_GE(limits.destinations, connections * 3);
                EXPECT_GE(limits.sessions, connections);
                EXPECT_GT(plan->used.heap, fixed_bytes(limits));
                EXPECT_TRUE(tables_fit(fixed_bytes(limits), limits));
            }
        }
    }
}

// Issue 3: fifty clients of five sessions, a thousand messages of a thousand bytes each.
TEST(Sizing, TheExampleNeedsNoMoreThanWasPromised) {
    const auto plan = plan_memory({50, 5, 1000, 1000});
    ASSERT_TRUE(plan);
    EXPECT_LE(plan->used.direct, 300'000'000u);
    EXPECT_LE(plan->used.heap, 16'000'000u);
}

TEST(Sizing, WhatNoBrokerCanHoldHasNoPlan) {
    const std::uint64_t most = planned_sessions_max();
    EXPECT_TRUE(plan_memory({most / 4, 4, 1, 1}));
    EXPECT_FALSE(plan_memory({most / 4, 5, 1, 1}));
    EXPECT_FALSE(plan_memory({most + 1, 1, 1, 1}));
    EXPECT_FALSE(plan_memory({1, 1, 1'000'000'000, Bytes{1} << 20}));
    EXPECT_FALSE(plan_memory({1, 1, 1, payload_bytes_max + Bytes{1}}));
}

}  // namespace
}  // namespace weir::broker
