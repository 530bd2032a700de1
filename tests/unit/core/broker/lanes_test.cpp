// SPDX-License-Identifier: Apache-2.0
//
// The life of lanes: granted, handed on, taken back, ended. Invariants B1-B3 (lanes.hpp), V1-V3
// (retraction.hpp).
#include "core/broker/lanes.hpp"

#include <gtest/gtest.h>

#include "core/broker/window.hpp"
#include "tests/support/segment_stage.hpp"

namespace weir::test {
namespace {

using broker::Ending;

std::size_t linked_pages(const TestProducer& producer) {
    std::size_t count = 0;
    PageRef ref = producer.slot().first_page.load();
    for (; ref != 0; ref = producer.shared->pages.slot(ref).next.load()) ++count;
    return count;
}

TEST(Lanes, AProducerThatDiedInARecordIsFollowedByOneThatGoesOnBeforeIt) {
    SegmentStage stage;
    const std::uint32_t first = stage.session();
    TestProducer dead = stage.producer(first, "queue://a");
    ASSERT_TRUE(dead.send("kept"));
    std::byte* const torn = dead.claim(100);
    ASSERT_NE(torn, nullptr);
    ASSERT_TRUE(dead.send("behind the torn one: never visible"));
    const LaneId lane = dead.lane;
    stage.segment->suspend_session(first);
    stage.segment->end_session(first, Ending::died);

    TestProducer heir = stage.producer(stage.session(), "queue://a");
    EXPECT_EQ(heir.lane, lane);
    ASSERT_TRUE(heir.send("heir"));
    TestWorker worker = stage.worker(stage.session(), "queue://a");
    EXPECT_EQ(worker.take_all(), (Texts{"kept", "heir"}));
    EXPECT_EQ(stage.books(heir.destination).messages_in.load(), 2u);
}

TEST(Lanes, AProducerThatDiedBetweenEnteringAPageAndLeavingTheOldOneLosesNothing) {
    SegmentStage stage;
    const std::uint32_t first = stage.session();
    TestProducer dead = stage.producer(first, "queue://a");
    ASSERT_TRUE(dead.send(std::string(3000, 'a')));
    dead.ask(0);
    stage.segment->turn();
    // Named the next page, as `advance` does first, and died: no end marker was written.
    const PageRef next = stage.shared.pages.slot(dead.writer.page()).next.load();
    ASSERT_NE(next, 0u);
    dead.cell->page.store(next);
    stage.segment->end_session(first, Ending::died);
    TestProducer heir = stage.producer(stage.session(), "queue://a");
    ASSERT_TRUE(heir.send("heir"));
    TestWorker worker = stage.worker(stage.session(), "queue://a");
    EXPECT_EQ(worker.take_all(), (Texts{std::string(3000, 'a'), "heir"}));
    EXPECT_EQ(linked_pages(heir), 1u) << "what was granted ahead went back";
}

TEST(Lanes, AQuarantinedLaneIsNeitherFreedNorHandedOn) {
    SegmentStage stage;
    const std::uint32_t first = stage.session();
    TestProducer suspended = stage.producer(first, "queue://a");
    ASSERT_TRUE(suspended.send("a"));
    stage.segment->suspend_session(first);
    const std::uint64_t used = stage.direct_used();
    TestProducer other = stage.producer(stage.session(), "queue://a");
    EXPECT_NE(other.lane, suspended.lane);
    EXPECT_GE(stage.direct_used(), used + page_unit);
    stage.segment->tick();
    EXPECT_EQ(suspended.slot().state.load(), SlotState::quarantined);
    // It still writes where it has mapped: what it commits there is delivered.
    std::byte* const record = suspended.writer.claim(record_bytes(0, 1));
    ASSERT_NE(record, nullptr);
    record[commit_word_bytes] = std::byte{'b'};
    suspended.writer.commit(record, commit_word(RecordKind::message, 0, 1));
    stage.segment->end_session(first, Ending::died);
    TestWorker worker = stage.worker(stage.session(), "queue://a");
    EXPECT_EQ(worker.take(suspended.lane), (Texts{"a", "b"}));
}

TEST(Lanes, AWindowGrowsWithTheRateAndGivesBackWhatIdles) {
    SegmentStage stage(64 << 20);
    stage.settle_turns(100);
    TestProducer producer = stage.producer(stage.session(), "topic://fast");
    for (int i = 0; i < 4000; ++i) {
        ASSERT_TRUE(producer.send(std::string(1000, 'x')));
        if (producer.writer.runs_low()) producer.ask(0), stage.segment->turn();
        stage.clock.advance_ns(1000);
    }
    const std::uint64_t grown = producer.slot().window_bytes.load();
    EXPECT_GE(grown, 1u << 20);
    EXPECT_LE(grown, broker::window_limit(64 << 20));
    EXPECT_GT(stage.direct_used(), grown / 2);
    stage.clock.advance_ns(2 * ns_per_s);
    stage.segment->tick();
    EXPECT_LE(stage.direct_used(), page_class_max) << "only the page being written stays";
    ASSERT_TRUE(producer.send("goes on"));
}

TEST(Lanes, APageThatTheProducerEnteredIsNotTakenBack) {
    SegmentStage stage;
    TestProducer producer = stage.producer(stage.session(), "queue://a");
    ASSERT_TRUE(producer.send(std::string(3000, 'a')));
    producer.ask(0);
    stage.segment->turn();
    ASSERT_GE(linked_pages(producer), 2u);
    const PageRef next = stage.shared.pages.slot(producer.writer.page()).next.load();
    producer.cell->page.store(next);  // as `advance` does before it looks again
    stage.clock.advance_ns(2 * ns_per_s);
    stage.segment->tick();
    EXPECT_EQ(stage.shared.pages.slot(producer.writer.page()).next.load(), next);
    producer.cell->page.store(producer.writer.page());
    stage.segment->tick();
    EXPECT_EQ(stage.shared.pages.slot(producer.writer.page()).next.load(), 0u);
    producer.stop_asking();
    ASSERT_TRUE(producer.send(std::string(3000, 'b')));
    TestWorker worker = stage.worker(stage.session(), "queue://a");
    EXPECT_EQ(worker.take_all().size(), 2u);
}

TEST(Lanes, ALargeRecordTakesThePlaceOfSmallPagesAhead) {
    SegmentStage stage;
    TestProducer producer = stage.producer(stage.session(), "queue://a");
    TestWorker worker = stage.worker(stage.session(), "queue://a");
    ASSERT_TRUE(producer.send("small"));
    producer.ask(0);
    stage.segment->turn();
    const std::string large(500'000, 'L');
    ASSERT_TRUE(producer.send(large));
    ASSERT_TRUE(producer.send("small again"));
    EXPECT_EQ(worker.take_all(), (Texts{"small", large, "small again"}));
    EXPECT_LE(linked_pages(producer), 3u);
}

TEST(Lanes, OneClosedLaneIsKeptAndOthersEndWhenTheyAreRead) {
    SegmentStage stage;
    const std::uint32_t session = stage.session();
    std::vector<TestProducer> producers;
    for (int i = 0; i < 4; ++i) {
        producers.push_back(stage.producer(session, "queue://a"));
        ASSERT_TRUE(producers.back().send(std::to_string(i)));
    }
    for (const TestProducer& producer : producers)
        ASSERT_TRUE(stage.segment->close_producer(session, producer.lane));
    TestWorker worker = stage.worker(stage.session(), "queue://a");
    stage.segment->tick();
    EXPECT_EQ(worker.lanes().size(), 4u) << "nothing was read yet";
    EXPECT_EQ(worker.take_all().size(), 4u);
    stage.segment->tick();
    EXPECT_EQ(worker.lanes().size(), 4u) << "what was taken is not acknowledged yet";
    worker.piece.cell().looking_at.store(producers[0].lane + 1);
    worker.acknowledge_all();
    stage.segment->tick();
    EXPECT_EQ(worker.lanes(), (std::vector<LaneId>{producers[0].lane, producers[3].lane}))
        << "the one that is looked at stays, and the one closed last";
    worker.piece.cell().looking_at.store(0);
    stage.segment->tick();
    EXPECT_EQ(worker.lanes(), std::vector<LaneId>{producers[3].lane});
    EXPECT_EQ(stage.books(producers[0].destination).messages_in.load(), 4u) << "counts stay";
    EXPECT_EQ(stage.books(producers[0].destination).messages_out.load(), 4u);
}

TEST(Lanes, PositionsOfASlotNeverComeAgain) {
    SegmentStage stage;
    Position highest = 0;
    for (int round = 0; round < 5; ++round) {
        const std::uint32_t session = stage.session();
        TestProducer producer = stage.producer(session, "queue://a" + std::to_string(round));
        const Position start =
            stage.shared.pages.slot(producer.slot().first_page.load()).start.load();
        EXPECT_EQ(producer.lane, 0u);
        EXPECT_GT(start, highest);
        ASSERT_TRUE(producer.send("x"));
        highest = producer.writer.tail();
        TestWorker worker = stage.worker(session, "queue://a" + std::to_string(round));
        worker.take_all();
        worker.acknowledge_all();
        stage.segment->end_session(session, Ending::left);
        stage.segment->tick();
        stage.clock.advance_ns(61 * ns_per_s);
        stage.segment->tick();
    }
}

TEST(Lanes, AReadyByteIsClearedOnlyWhileNothingIsUnread) {
    SegmentStage stage;
    TestProducer producer = stage.producer(stage.session(), "queue://a");
    TestWorker worker = stage.worker(stage.session(), "queue://a");
    auto& ready = stage.shared.signals.head().ready[producer.lane];
    ASSERT_TRUE(producer.send("a"));
    stage.segment->tick();
    EXPECT_EQ(ready.load(), 1u);
    worker.take_all();
    worker.acknowledge_all();
    stage.segment->tick();
    EXPECT_EQ(ready.load(), 0u);
}

}  // namespace
}  // namespace weir::test
