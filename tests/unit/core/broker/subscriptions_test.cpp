// SPDX-License-Identifier: Apache-2.0
//
// Where subscriptions begin, what they pin, and what is left of them: U1-U3 of subscriptions.hpp.
#include "core/broker/subscriptions.hpp"

#include <gtest/gtest.h>

#include "tests/support/segment_stage.hpp"

namespace weir::test {
namespace {

using broker::Ending;

TEST(Subscriptions, AWildcardGetsLanesAndTopicsThatComeLaterFromTheirBeginning) {
    SegmentStage stage;
    TestSubscriber all = stage.subscriber(stage.session(), "topic://orders.>");
    TestProducer first = stage.producer(stage.session(), "topic://orders.eu");
    ASSERT_TRUE(first.send("eu 0"));
    TestProducer second = stage.producer(stage.session(), "topic://orders.eu");
    ASSERT_TRUE(second.send("eu 1"));
    TestProducer other = stage.producer(stage.session(), "topic://orders.us.east");
    ASSERT_TRUE(other.send("us 0"));
    TestProducer foreign = stage.producer(stage.session(), "topic://invoices.eu");
    ASSERT_TRUE(foreign.send("not meant"));
    EXPECT_EQ(all.drain(), (Texts{"eu 0", "eu 1", "us 0"}));
}

TEST(Subscriptions, AWildcardDoesNotReadWhatLaterUsesOfALanesSlotHold) {
    SegmentStage stage;
    TestSubscriber all = stage.subscriber(stage.session(), "topic://orders.>");
    const std::uint32_t session = stage.session();
    TestProducer producer = stage.producer(session, "topic://orders.eu");
    const LaneId lane = producer.lane;
    ASSERT_TRUE(producer.send("read"));
    EXPECT_EQ(all.drain(), Texts{"read"});
    stage.segment->end_session(session, Ending::left);
    stage.segment->tick();
    stage.clock.advance_ns(61 * ns_per_s);
    stage.segment->tick();
    TestProducer queue = stage.producer(stage.session(), "queue://secret");
    ASSERT_EQ(queue.lane, lane) << "the slot is used again";
    ASSERT_TRUE(queue.send("secret"));
    EXPECT_EQ(all.drain(), Texts{});
}

TEST(Subscriptions, OneCopyServesAllAndTheSlowestDecidesHowLongItStays) {
    SegmentStage stage;
    TestProducer producer = stage.producer(stage.session(), "topic://t");
    const std::uint32_t slow_session = stage.session();
    TestSubscriber fast = stage.subscriber(stage.session(), "topic://t");
    TestSubscriber slow = stage.subscriber(slow_session, "topic://t");
    const std::string text(1000, 'x');
    for (int number = 0; number < 1000; ++number) ASSERT_TRUE(producer.send(text));
    EXPECT_EQ(fast.drain().size(), 1000u);
    const Books& books = stage.books(producer.destination);
    EXPECT_EQ(books.depth_messages.load(), 1000u) << "the slowest one's";
    EXPECT_EQ(books.messages_out.load(), 1000u) << "the sum of both";
    EXPECT_GE(stage.direct_used(), 1000u * 1000);
    EXPECT_LE(stage.direct_used(), 2u * 1000 * 1000) << "one copy";
    stage.segment->end_session(slow_session, Ending::died);
    EXPECT_LT(stage.direct_used(), 300u * 1000);
    EXPECT_EQ(stage.books(producer.destination).depth_messages.load(), 0u);
    EXPECT_EQ(stage.books(producer.destination).messages_out.load(), 1000u);
}

TEST(Subscriptions, ATopicWithoutSubscribersKeepsNothing) {
    SegmentStage stage(1 << 20);
    TestProducer producer = stage.producer(stage.session(), "topic://nobody");
    EXPECT_EQ(producer.fill(std::string(1000, 'x'), 5000), 5000u);
    EXPECT_EQ(stage.books(producer.destination).messages_in.load(), 5000u);
    EXPECT_EQ(stage.books(producer.destination).depth_messages.load(), 0u);
}

TEST(Subscriptions, AQueueKeepsItsPlaceWhenItsLastConsumerLeaves) {
    SegmentStage stage;
    TestProducer producer = stage.producer(stage.session(), "queue://q");
    for (const char* text : {"0", "1", "2", "3"}) ASSERT_TRUE(producer.send(text));
    const std::uint32_t session = stage.session();
    const std::uint64_t heap = stage.heap_used();
    TestWorker first = stage.worker(session, "queue://q");
    EXPECT_EQ(first.take(producer.lane, 2), (Texts{"0", "1"}));
    first.acknowledge_all();
    ASSERT_TRUE(stage.segment->close_consumer(session, first.subscription));
    EXPECT_LT(stage.heap_used(), heap + (32u << 10)) << "only the session's block stays";
    TestWorker second = stage.worker(session, "queue://q");
    EXPECT_EQ(second.take_all(), (Texts{"2", "3"}));
}

TEST(Subscriptions, AQueueTakesSoManyConsumersAndSaysSo) {
    SegmentStage stage(4 << 20, 64 << 20);
    const std::uint32_t session = stage.session();
    for (std::uint32_t number = 1; number <= shared_consumers_max; ++number)
        ASSERT_EQ(stage.worker(session, "queue://q", 1).self, number);
    auto refused = stage.segment->open_consumer(session, "queue://q", 1, 1);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, protocol::Refusal::limit_reached);
}

// A subscriber that lies keeps or skips its own messages and nobody else's.
TEST(Subscriptions, NonsenseInCursorsFreesNothingOfOthers) {
    for (const std::uint64_t lie : {std::uint64_t{1}, std::uint64_t{8}, ~std::uint64_t{0},
                                    std::uint64_t{1} << 53, std::uint64_t{4096} + 3}) {
        SegmentStage stage;
        TestProducer producer = stage.producer(stage.session(), "topic://t");
        TestProducer queue = stage.producer(stage.session(), "queue://q");
        TestSubscriber honest = stage.subscriber(stage.session(), "topic://t");
        const std::uint32_t session = stage.session();
        TestSubscriber liar = stage.subscriber(session, "topic://t");
        TestWorker worker = stage.worker(session, "queue://q");
        const std::string text(1000, 'x');
        for (int number = 0; number < 50; ++number) {
            ASSERT_TRUE(producer.send(text));
            ASSERT_TRUE(queue.send(text));
            for (std::uint32_t at = 0; at < 8; ++at) liar.piece.cursor(at).cursor.store(lie);
            worker.cursor(queue.lane).store(lie);
            liar.piece.cell().entering.store(static_cast<PageRef>(lie));
            liar.piece.cell().looking_at.store(static_cast<std::uint32_t>(lie));
            set_lane_bit(stage.shared.signals.head().passed, producer.lane);
            set_lane_bit(stage.shared.signals.head().passed, queue.lane);
            stage.segment->turn();
            stage.segment->tick();
        }
        stage.segment->settle();
        EXPECT_EQ(honest.drain().size(), 50u) << lie;
        stage.segment->end_session(session, Ending::died);
        TestWorker heir = stage.worker(stage.session(), "queue://q");
        EXPECT_EQ(heir.take_all().size(), 50u) << lie;
    }
}

}  // namespace
}  // namespace weir::test
