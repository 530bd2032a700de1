// SPDX-License-Identifier: Apache-2.0
//
// Direct memory when it is short: who gets it, who waits, and that nobody waits for ever.
#include "core/broker/grants.hpp"

#include <gtest/gtest.h>

#include "tests/support/segment_stage.hpp"

namespace weir::test {
namespace {

const std::string kilobyte(1000, 'k');

bool waits(const TestProducer& producer) { return producer.slot().waiting_since_ns.load() != 0; }
std::uint32_t blocked(const SegmentStage& stage, const TestProducer& producer) {
    return stage.shared.control.destination(producer.destination).blocked_producers.load();
}

TEST(Grants, AFullRegionMakesItsProducerWaitWithTheReasonUntilSomethingIsRead) {
    SegmentStage stage(1 << 20);
    TestProducer producer = stage.producer(stage.session(), "queue://a");
    const std::size_t sent = producer.fill(kilobyte);
    EXPECT_GT(sent, 700u);
    EXPECT_LE(stage.direct_used(), 1u << 20);
    EXPECT_TRUE(waits(producer));
    EXPECT_EQ(producer.slot().reason.load(), WaitReason::direct_full);
    EXPECT_EQ(blocked(stage, producer), 1u);
    EXPECT_EQ(stage.shared.signals.head().hungry.load(), 1u);

    TestWorker worker = stage.worker(stage.session(), "queue://a", 1024);
    const std::uint32_t grants = producer.slot().grants.load();
    EXPECT_EQ(worker.take_all().size(), sent);
    worker.acknowledge_all();
    stage.segment->turn();
    EXPECT_NE(producer.slot().grants.load(), grants);
    EXPECT_FALSE(waits(producer));
    EXPECT_EQ(producer.slot().reason.load(), WaitReason::none);
    EXPECT_EQ(blocked(stage, producer), 0u);
    EXPECT_EQ(stage.shared.signals.head().hungry.load(), 0u);
    EXPECT_TRUE(producer.send(kilobyte));
}

TEST(Grants, WhoGivesUpWaitingIsForgotten) {
    SegmentStage stage(1 << 20);
    TestProducer producer = stage.producer(stage.session(), "queue://a");
    producer.fill(kilobyte);
    ASSERT_TRUE(waits(producer));
    producer.stop_asking();
    stage.segment->tick();
    EXPECT_FALSE(waits(producer));
    EXPECT_EQ(blocked(stage, producer), 0u);
    EXPECT_EQ(stage.shared.signals.head().hungry.load(), 0u);
}

TEST(Grants, AWaitingProducerThatDiesLeavesTheLine) {
    SegmentStage stage(1 << 20);
    const std::uint32_t session = stage.session();
    TestProducer producer = stage.producer(session, "queue://a");
    producer.fill(kilobyte);
    ASSERT_TRUE(waits(producer));
    stage.segment->end_session(session, broker::Ending::died);
    EXPECT_EQ(stage.shared.signals.head().hungry.load(), 0u);
    stage.segment->turn();
    TestWorker worker = stage.worker(stage.session(), "queue://a");
    EXPECT_GT(worker.take(producer.lane).size(), 0u);
}

// The reserve: one destination holds everything and nobody reads it; another works on, page by
// page.
TEST(Grants, ADestinationThatHoldsLittleWorksOnWhileAnotherHoldsTheRest) {
    SegmentStage stage(1 << 20);
    for (const char* name : {"queue://small", "topic://small"}) {
        TestProducer small = stage.producer(stage.session(), name);
        TestProducer greedy = stage.producer(stage.session(), "queue://greedy");
        greedy.fill(kilobyte);
        ASSERT_TRUE(waits(greedy));
        const bool is_queue = name[0] == 'q';
        TestWorker worker;
        TestSubscriber subscriber;
        if (is_queue)
            worker = stage.worker(stage.session(), name);
        else
            subscriber = stage.subscriber(stage.session(), name);
        for (int number = 0; number < 50; ++number) {
            const std::string text = std::to_string(number) + kilobyte;
            ASSERT_TRUE(small.send(text)) << name << ' ' << number;
            if (is_queue) {
                ASSERT_EQ(worker.take_all(), Texts{text});
                worker.acknowledge_all();
            } else {
                ASSERT_EQ(subscriber.drain(), Texts{text});
            }
            stage.segment->turn();
        }
        EXPECT_TRUE(waits(greedy));
        greedy.stop_asking();
    }
}

TEST(Grants, ANewDestinationComesIntoBeingAlsoWhenDirectIsFull) {
    SegmentStage stage(2 << 20);
    TestProducer greedy = stage.producer(stage.session(), "queue://greedy");
    greedy.fill(kilobyte);
    ASSERT_TRUE(waits(greedy));
    const std::uint32_t session = stage.session();
    std::size_t made = 0;
    while (stage.segment->open_producer(session, "queue://new" + std::to_string(made))) ++made;
    EXPECT_GE(made, 2u);
    auto refused = stage.segment->open_producer(session, "queue://one.more");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, protocol::Refusal::direct_full);
    EXPECT_NE(refused.error().sentence.find("--direct"), std::string::npos);
    EXPECT_LE(stage.direct_used(), 2u << 20);
}

TEST(Grants, BeforeAnybodyWaitsOthersGiveBackWhatTheyWereGrantedAhead) {
    SegmentStage stage(4 << 20);
    TestProducer rich = stage.producer(stage.session(), "topic://rich");
    for (int i = 0; i < 3000; ++i) {
        ASSERT_TRUE(rich.send(kilobyte));
        if (rich.writer.runs_low()) rich.ask(0), stage.segment->turn();
    }
    rich.stop_asking();
    const std::uint64_t ahead = stage.direct_used();
    ASSERT_GT(ahead, 200u << 10);
    TestProducer poor = stage.producer(stage.session(), "queue://poor");
    const std::size_t sent = poor.fill(kilobyte);
    EXPECT_GT(sent * 1000, (4u << 20) - (4u << 20) / 8) << "all but the page that is written";
    EXPECT_TRUE(rich.send(kilobyte)) << "what it is writing was left to it";
}

TEST(Grants, AnIdleTailOfAReadQueueIsTakenForWhoWaits) {
    SegmentStage stage(4 << 20);
    TestProducer idle = stage.producer(stage.session(), "queue://idle");
    TestWorker worker = stage.worker(stage.session(), "queue://idle");
    const std::string large(900'000, 'L');
    ASSERT_TRUE(idle.send(large));
    EXPECT_EQ(worker.take_all().size(), 1u);
    worker.acknowledge_all();
    stage.segment->turn();
    const std::uint64_t with_tail = stage.direct_used();
    TestProducer poor = stage.producer(stage.session(), "queue://poor");
    poor.fill(kilobyte);
    ASSERT_TRUE(waits(poor));
    EXPECT_EQ(idle.slot().first_page.load(), 0u) << "its page of " << with_tail << " is gone";
    EXPECT_NE(stop_revocations(idle.slot().stop_and_revocations.load()), 0u);
    // It goes on with a page of its reserve, and its messages arrive.
    ASSERT_TRUE(idle.send("after")) << "the reserve is left";
    EXPECT_EQ(worker.take_all(), Texts{"after"});
    EXPECT_EQ(stage.books(idle.destination).messages_in.load(), 2u);
}

TEST(Grants, ATailInWhichARecordIsBeingWrittenIsNotTaken) {
    SegmentStage stage(4 << 20);
    TestProducer writing = stage.producer(stage.session(), "queue://writing");
    TestWorker worker = stage.worker(stage.session(), "queue://writing");
    ASSERT_TRUE(writing.send(std::string(900'000, 'L')));
    EXPECT_EQ(worker.take_all().size(), 1u);
    worker.acknowledge_all();
    std::byte* const record = writing.claim(5);
    ASSERT_NE(record, nullptr);
    TestProducer poor = stage.producer(stage.session(), "queue://poor");
    poor.fill(kilobyte);
    ASSERT_TRUE(waits(poor));
    std::memcpy(record + commit_word_bytes, "there", 5);
    writing.writer.commit(record, commit_word(RecordKind::message, 0, 5));
    stage.shared.signals.head().ready[writing.lane].store(1);
    EXPECT_EQ(worker.take_all(), Texts{"there"});
}

TEST(Grants, SmallRequestsPassALargeOneForABoundedNumberOfBytes) {
    SegmentStage stage(8 << 20, 16 << 20, 3 << 20);
    TestProducer filler = stage.producer(stage.session(), "queue://filler");
    TestWorker worker = stage.worker(stage.session(), "queue://filler", 1024);
    filler.fill(kilobyte);
    ASSERT_TRUE(waits(filler));
    filler.stop_asking();
    stage.segment->turn();
    TestProducer large = stage.producer(stage.session(), "queue://large");
    large.ask(record_bytes(0, 3 << 20));
    stage.segment->turn();
    ASSERT_TRUE(waits(large));

    // Freed memory goes to small requests at first, then it is kept for the large one.
    std::uint64_t passed = 0;
    TestProducer small = stage.producer(stage.session(), "topic://small");
    for (int round = 0; round < 200'000 && waits(large); ++round) {
        if (round % 64 == 0) {
            worker.take(filler.lane, 64);
            worker.acknowledge_all();
            stage.segment->turn();
        }
        if (small.send(kilobyte)) passed += kilobyte.size();
    }
    EXPECT_FALSE(waits(large));
    EXPECT_GT(passed, 0u);
    EXPECT_TRUE(large.send(std::string(3 << 20, 'L')));
}

TEST(Grants, WhoWaitsIsServedInTheOrderOfComing) {
    SegmentStage stage(1 << 20);
    TestProducer first = stage.producer(stage.session(), "queue://a");
    TestProducer second = stage.producer(stage.session(), "queue://a");
    first.fill(kilobyte);
    second.fill(kilobyte);
    ASSERT_TRUE(waits(first));
    ASSERT_TRUE(waits(second));
    TestWorker worker = stage.worker(stage.session(), "queue://a", 1024);
    // One page's worth is read: the first is served, the second goes on waiting.
    Texts got;
    while (waits(first)) {
        const Texts more = worker.take(first.lane, 4);
        ASSERT_FALSE(more.empty());
        worker.acknowledge_all();
        stage.segment->turn();
    }
    EXPECT_TRUE(waits(second));
}

// A4: whatever is asked for, direct is never used beyond its size, and nonsense is served as
// nothing.
TEST(Grants, NonsenseInACellGrantsNothingThatCouldNotBeUsed) {
    SegmentStage stage(1 << 20);
    TestProducer producer = stage.producer(stage.session(), "queue://a");
    for (const std::uint64_t wanted :
         {~std::uint64_t{0}, std::uint64_t{1} << 63, std::uint64_t{1} << 40}) {
        for (const PageRef page : {PageRef{0}, ~PageRef{0}, PageRef{200}, PageRef{1}}) {
            producer.cell->page.store(page);
            producer.cell->announced.store(wanted);
            producer.ask(wanted);
            stage.segment->turn();
            stage.segment->tick();
            stage.segment->settle();
            EXPECT_LE(stage.direct_used(), 1u << 20);
        }
    }
    for (std::uint64_t word = 0; word < lanes_max / 64; ++word) {
        stage.shared.signals.head().need[word].store(~std::uint64_t{0});
        stage.shared.signals.head().passed[word].store(~std::uint64_t{0});
    }
    stage.settle_turns();
    EXPECT_TRUE(stage.segment->may_sleep());
}

TEST(Grants, TheBrokerSleepsOnlyWhenNoBitIsSet) {
    SegmentStage stage;
    TestProducer producer = stage.producer(stage.session(), "queue://a");
    stage.settle_turns();
    stage.segment->fall_asleep();
    EXPECT_EQ(stage.shared.signals.head().broker_asleep.load(), 1u);
    EXPECT_TRUE(stage.segment->may_sleep());
    set_lane_bit(stage.shared.signals.head().need, producer.lane);
    EXPECT_FALSE(stage.segment->may_sleep());
    stage.segment->awake();
    EXPECT_EQ(stage.shared.signals.head().broker_asleep.load(), 0u);
    stage.segment->turn();
    set_lane_bit(stage.shared.signals.head().passed, producer.lane);
    EXPECT_FALSE(stage.segment->may_sleep());
}

}  // namespace
}  // namespace weir::test
