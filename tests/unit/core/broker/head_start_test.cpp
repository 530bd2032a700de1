// SPDX-License-Identifier: Apache-2.0
//
// How long a lane is held behind a grant: as tables, then over a model of a producer that uses up
// at once what it is granted and a consumer that reads steadily, then over a whole segment.
#include "core/broker/head_start.hpp"

#include <gtest/gtest.h>

#include "core/broker/grants.hpp"
#include "tests/support/segment_stage.hpp"

namespace weir::broker {
namespace {

constexpr std::uint64_t kib = 1024;
constexpr std::uint64_t mib = 1024 * kib;
constexpr std::uint64_t start = 16 * mib;

// A lane whose consumer has read so much in each of the last milliseconds.
HeadStart drained(std::uint64_t bytes_a_ms, std::uint64_t& now, Position& cursor) {
    HeadStart lane;
    for (int look = 0; look < 64; ++look) {
        now += ns_per_ms;
        cursor += bytes_a_ms;
        lane.look(cursor, now);
    }
    return lane;
}

std::uint64_t microseconds(std::uint64_t ns) { return (ns + 500) / 1000; }

std::uint64_t held_ns(std::uint64_t bytes_a_ms, std::uint64_t granted, std::uint64_t unread) {
    std::uint64_t now = 5 * ns_per_s;
    Position cursor = position_first;
    HeadStart lane = drained(bytes_a_ms, now, cursor);
    lane.most_bytes(unread, start);
    lane.granted(granted, unread, now);
    return lane.due_ns() - now;
}

TEST(HeadStart, HoldsALaneAtThePaceOfFastConsumersOnceItIsAhead) {
    const std::uint64_t ms = 4 * mib;  // 4.2 GB/s
    EXPECT_EQ(held_ns(ms, mib, start), 0u) << "it has not more than its head start";
    EXPECT_EQ(microseconds(held_ns(ms, mib, start + 8)), 250u) << "the drain itself";
    EXPECT_EQ(microseconds(held_ns(ms, mib, 2 * start)), 500u) << "half of it";
    EXPECT_EQ(microseconds(held_ns(ms, mib, 8 * start)), 500u) << "and not less";
    EXPECT_EQ(held_ns(ms, 32 * mib, 8 * start), hold_most_ns);
    EXPECT_EQ(held_ns(ms, 0, 2 * start), 0u) << "nothing was granted";
}

TEST(HeadStart, SlowConsumersHoldNobodyUp) {
    EXPECT_EQ(held_ns(mib / 2, mib, 8 * start), 0u);
    EXPECT_EQ(held_ns(0, mib, 8 * start), 0u);
    std::uint64_t now = 5 * ns_per_s;
    Position cursor = position_first;
    HeadStart lane = drained(4 * mib, now, cursor);
    for (int look = 0; look < 8; ++look) lane.look(~Position{0}, now += ns_per_ms);
    EXPECT_EQ(lane.most_bytes(8 * start, start), no_bound);
    lane.granted(mib, 8 * start, now);
    EXPECT_EQ(lane.due_ns(), now) << "there is no consumer any more";
}

TEST(HeadStart, IsForALaneThatAsksAlone) {
    SoleAsker asker;
    asker.asked(3, ns_per_s);
    EXPECT_FALSE(asker.is_alone(ns_per_s)) << "who asked before is not known";
    asker.asked(3, ns_per_s + alone_after_ns);
    EXPECT_TRUE(asker.is_alone(ns_per_s + alone_after_ns));
    asker.asked(4, ns_per_s + alone_after_ns);
    EXPECT_FALSE(asker.is_alone(ns_per_s + 2 * alone_after_ns - 1));
}

TEST(HeadStart, GrantsNoMoreThanComesDueBeforeItServesAgain) {
    std::uint64_t now = 5 * ns_per_s;
    Position cursor = position_first;
    HeadStart lane = drained(4 * mib, now, cursor);
    EXPECT_EQ(lane.most_bytes(start, start), no_bound);
    EXPECT_EQ(lane.most_bytes(8 * start, start) >> 10, 8 * kib) << "half the drain for 4 ms";
}

TEST(HeadStart, SaysHowLongConsumersAreBusy) {
    std::uint64_t now = 5 * ns_per_s;
    Position cursor = position_first;
    EXPECT_EQ(HeadStart().busy_ns(mib, ns_per_ms), 0u) << "nothing is known";
    const HeadStart lane = drained(4 * mib, now, cursor);
    EXPECT_EQ(microseconds(lane.busy_ns(mib, ns_per_ms)), 250u);
    EXPECT_EQ(lane.busy_ns(64 * mib, ns_per_ms), ns_per_ms);
}

// From 200 MiB unread: the lead shrinks to the head start and stays there, and the consumer always
// finds something.
TEST(HeadStart, ALeadShrinksToTheHeadStartAndTheConsumerNeverStarves) {
    std::uint64_t now = 5 * ns_per_s;
    Position cursor = position_first;
    HeadStart lane = drained(5 * mib, now, cursor);
    std::uint64_t unread = 200 * mib;
    std::uint64_t least = unread;
    std::uint64_t highest_late = 0;
    const std::uint64_t began = now;
    while (now < began + ns_per_s) {
        now += 50 * ns_per_us;
        const std::uint64_t read = std::min(unread, 5 * mib / 20);
        unread -= read;
        cursor += read;
        least = std::min(least, unread);
        if (lane.due_ns() <= now) {
            lane.look(cursor, now);
            // Faster than anybody reads.
            const std::uint64_t given = std::min(4 * mib, lane.most_bytes(unread, start));
            unread += given;
            lane.granted(given, unread, now);
        }
        if (now > began + ns_per_s / 2) highest_late = std::max(highest_late, unread);
    }
    EXPECT_GT(least, 4 * mib);
    EXPECT_LT(highest_late, 2 * start);
}

}  // namespace
}  // namespace weir::broker

namespace weir::test {
namespace {

constexpr std::uint64_t mib = 1024 * 1024;
const std::string kilobyte(1000, 'k');

// A producer that asks whenever it may, beside a subscriber that reads `a_ms` messages a
// millisecond: its lead after so many.
std::uint64_t lead_after(SegmentStage& stage, std::size_t a_ms, int milliseconds) {
    TestSubscriber reader = stage.subscriber(stage.session(), "topic://a");
    TestProducer producer = stage.producer(stage.session(), "topic://a");
    std::uint64_t unread = 0;
    for (int ms = 0; ms < milliseconds; ++ms) {
        for (int step = 0; step < 10; ++step) {
            stage.clock.advance_ns(ns_per_ms / 10);
            unread -= reader.drain(a_ms / 10).size();
            stage.segment->turn();
            unread += producer.fill(kilobyte, 3000);
        }
    }
    return unread * record_bytes(0, kilobyte.size());
}

TEST(HeadStart, OfASegmentAFastReaderHasItsProducerNotFarAhead) {
    SegmentStage fast(64 * mib);
    EXPECT_LT(lead_after(fast, 4000, 60), 24 * mib) << "three windows";
    SegmentStage slow(64 * mib);
    EXPECT_GT(lead_after(slow, 400, 60), 40 * mib) << "a burst before a slow reader is taken in";
}

TEST(HeadStart, WhoHasNoTimeIsServedAtOnce) {
    for (const Overflow on_full : {Overflow::fail, Overflow::fail_after}) {
        SegmentStage stage(64 * mib);
        TestSubscriber reader = stage.subscriber(stage.session(), "topic://a");
        TestProducer producer = stage.producer(stage.session(), "topic://a");
        for (int step = 0; stage.segment->due_ns() == broker::never_due; ++step) {
            ASSERT_LT(step, 1000) << "it is never put off";
            stage.clock.advance_ns(ns_per_ms / 10);
            reader.drain(400);
            stage.segment->turn();
            producer.fill(kilobyte, 3000);
        }
        ASSERT_FALSE(producer.send(kilobyte)) << "it is put off and has nothing left";
        producer.on_full = on_full;
        EXPECT_TRUE(producer.send(kilobyte));
        EXPECT_EQ(stage.segment->due_ns(), broker::never_due);
    }
}

}  // namespace
}  // namespace weir::test
