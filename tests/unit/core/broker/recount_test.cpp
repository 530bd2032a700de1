// SPDX-License-Identifier: Apache-2.0
//
// The broker's own recount in a whole segment: it finds nothing in books that are right, names a
// word that the test makes wrong, and rests.
#include "core/broker/recount.hpp"

#include <gtest/gtest.h>

#include "tests/support/segment_stage.hpp"

namespace weir::test {
namespace {

constexpr auto relaxed = std::memory_order_relaxed;

class SelfCounts : public ::testing::Test {
protected:
    const SelfCount& shown() { return stage.shared.control.superblock().self_count; }
    // Ticks until the broker rests, at most so many.
    bool rests(int most = 200) {
        for (; most > 0; --most) {
            stage.clock.advance_ns(ns_per_s);
            stage.segment->tick();
            stage.settle_turns();
            if (shown().resting.load(relaxed) != 0) return true;
        }
        return false;
    }
    std::string drift() {
        return std::to_string(shown().direct.load(relaxed)) + " direct, " +
               std::to_string(shown().heap.load(relaxed)) + " heap, " +
               std::to_string(shown().messages.load(relaxed)) + " messages, " +
               std::to_string(shown().drifts.load(relaxed)) + " ever";
    }
    LaneSlot& lane(LaneId id) {
        return const_cast<LaneSlot&>(stage.segment->control().lane(id));  // NOLINT
    }

    SegmentStage stage;
};

constexpr const char* nothing = "0 direct, 0 heap, 0 messages, 0 ever";

TEST_F(SelfCounts, RestWhenAPassFoundNothingChanged) {
    ASSERT_TRUE(rests());
    EXPECT_EQ(drift(), nothing);
    const std::uint64_t passes = shown().passes.load(relaxed);
    EXPECT_GT(passes, 0u);
    for (int more = 0; more < 20; ++more) {
        stage.clock.advance_ns(ns_per_s);
        stage.segment->tick();
        stage.segment->turn();
    }
    EXPECT_EQ(shown().passes.load(relaxed), passes);
}

TEST_F(SelfCounts, FindNothingWhateverClientsDid) {
    const std::uint32_t writes = stage.session("writes");
    TestProducer one = stage.producer(writes, "queue://orders");
    TestProducer other = stage.producer(stage.session(), "topic://news");
    TestSubscriber reads = stage.subscriber(stage.session(), "topic://>");
    TestWorker works = stage.worker(stage.session("works"), "queue://orders");
    const std::uint64_t before = shown().passes.load(relaxed);
    for (int round = 0; round < 40; ++round) {
        one.fill(std::string(static_cast<std::size_t>(round) * 50, 'x'), 60);
        other.fill("short", 100);
        reads.drain();
        works.take_all(5);
        if (round % 3 == 0) works.acknowledge_all();
        stage.clock.advance_ns(10 * ns_per_ms);
        stage.settle_turns();
        if (round % 7 == 0) stage.segment->tick();
    }
    stage.segment->end_session(works.session, broker::Ending::died);
    stage.segment->end_session(writes, broker::Ending::died);
    ASSERT_TRUE(rests());
    EXPECT_EQ(drift(), nothing);
    EXPECT_GT(shown().passes.load(relaxed), before);
    EXPECT_GT(shown().pages.load(relaxed), 0u);
}

TEST_F(SelfCounts, ShowALinkThatDoesNotLeadToAllPagesOfALane) {
    TestProducer producer = stage.producer(stage.session(), "queue://orders");
    ASSERT_EQ(producer.fill(std::string(1000, 'x'), 20), 20u);
    ASSERT_TRUE(rests());
    std::atomic<PageRef>& first = lane(producer.lane).first_page;
    const PageRef before = first.load(relaxed);
    first.store(stage.shared.pages.slot(before).next.load(relaxed), relaxed);
    stage.producer(stage.session(), "queue://other");  // something changed: it counts again
    ASSERT_TRUE(rests());
    EXPECT_NE(shown().direct.load(relaxed), 0);
    EXPECT_EQ(shown().drifted_lane.load(relaxed), producer.lane + 1);

    first.store(before, relaxed);
    stage.producer(stage.session(), "queue://third");
    ASSERT_TRUE(rests());
    EXPECT_EQ(shown().direct.load(relaxed), 0) << "a later pass takes it back";
    EXPECT_NE(shown().drifts.load(relaxed), 0u) << "but it is not forgotten";
}

TEST_F(SelfCounts, WalkRecordsAndBelieveNoHeader) {
    TestProducer producer = stage.producer(stage.session(), "queue://orders");
    ASSERT_EQ(producer.fill(std::string(1000, 'x'), 10), 10u);
    const PageRef first = producer.slot().first_page.load(relaxed);
    stage.shared.pages.header(first).sealed.fetch_sub(1, relaxed);
    stage.segment->settle();
    ASSERT_TRUE(rests());
    EXPECT_EQ(shown().messages.load(relaxed), -1) << drift();
}

}  // namespace
}  // namespace weir::test
