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

TEST(Subscriptions, AQueueTakesAsManyConsumersAsTheBrokerHasAndEachOneWins) {
    SegmentStage stage(4 << 20, 64 << 20);
    const std::uint32_t session = stage.session();
    TestProducer producer = stage.producer(session, "queue://q");
    TestWorker last;
    for (std::uint32_t number = 1; number <= 1000; ++number) {
        last = stage.worker(session, "queue://q", 1);
        ASSERT_EQ(last.self, number);
        ASSERT_TRUE(producer.send(std::to_string(number)));
        ASSERT_EQ(last.take(producer.lane), Texts{std::to_string(number)});
    }
    EXPECT_EQ(cursor_claimant(last.claims.cursor(producer.lane).load()), 1000u);
    EXPECT_EQ(stage.books(producer.destination).depth_messages.load(), 1000u) << "in their hands";
}

// K5. The number of a consumer that is gone is the next one's, of another queue too: what names it
// still must not displace what that one dies in.
TEST(Subscriptions, ANumberThatChangesHandsIsNamedByNoCursorOfItsLastOwner) {
    for (const char* place : {"queue://old", "queue://new"}) {
        SegmentStage stage;
        TestProducer old_lane = stage.producer(stage.session(), "queue://old");
        TestProducer new_lane = stage.producer(stage.session(), place);
        ASSERT_TRUE(old_lane.send("0"));
        ASSERT_TRUE(new_lane.send("1"));
        const std::uint32_t session = stage.session();
        TestWorker gone = stage.worker(session, "queue://old");
        TestWorker stays = stage.worker(stage.session(), "queue://old");
        ASSERT_EQ(gone.take(old_lane.lane), Texts{"0"});
        gone.acknowledge_all();
        stage.segment->end_session(session, Ending::died);
        EXPECT_EQ(cursor_claimant(stays.claims.cursor(old_lane.lane).load()), 0u);

        const std::uint32_t heir_session = stage.session();
        TestWorker heir = stage.worker(heir_session, place);
        ASSERT_EQ(heir.self, gone.self);
        ASSERT_EQ(heir.take(new_lane.lane), Texts{"1"});
        heir.piece.note(0).confirmed.store(0);  // it died before that
        TestWorker other = stage.worker(stage.session(), place);
        ASSERT_TRUE(new_lane.send("2"));
        ASSERT_EQ(other.take(new_lane.lane), Texts{"2"});
        ASSERT_TRUE(old_lane.send("3"));
        ASSERT_EQ(stays.take(old_lane.lane), Texts{"3"});
        stage.segment->end_session(heir_session, Ending::died);
        EXPECT_EQ(stage.books(new_lane.destination).depth_messages.load(),
                  new_lane.destination == old_lane.destination ? 3u : 2u)
            << "what the heir died in waits to be delivered again";
    }
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
            for (std::uint32_t place = 0; place < liar.piece.places; ++place) {
                liar.piece.place(place).cursor.store(lie);
                liar.piece.place(place).lane.store(lie);
            }
            worker.claims.cursor(queue.lane).store(lie);
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

TEST(Subscriptions, LanesThatComeWhenAllPlacesAreTakenAreReadFromTheirBeginning) {
    SegmentStage stage;
    TestSubscriber subscriber = stage.subscriber(stage.session(), "topic://t");
    ASSERT_EQ(subscriber.piece.places, places_least);
    const std::uint32_t session = stage.session();
    std::vector<TestProducer> producers;
    Texts sent;
    for (int number = 0; number < 40; ++number) {
        producers.push_back(stage.producer(session, "topic://t"));
        sent.push_back(std::to_string(number));
        ASSERT_TRUE(producers.back().send(sent.back()));
    }
    const Books& books = stage.books(producers.front().destination);
    EXPECT_EQ(books.depth_messages.load(), 40u) << "also of lanes that it cannot read yet";
    Texts got = subscriber.drain();
    EXPECT_EQ(got.size(), places_least);
    stage.widen(subscriber);
    const Texts more = subscriber.drain();
    got.insert(got.end(), more.begin(), more.end());
    EXPECT_EQ(got, sent);
    EXPECT_EQ(stage.books(producers.front().destination).depth_messages.load(), 0u);
    EXPECT_TRUE(subscriber.drain().empty());
}

TEST(Subscriptions, PlacesOfLanesThatEndedAreTakenAgain) {
    SegmentStage stage;
    TestSubscriber all = stage.subscriber(stage.session(), "topic://t.>");
    for (int round = 0; round < 5; ++round) {
        const std::uint32_t session = stage.session();
        Texts sent;
        for (std::uint32_t number = 0; number < places_least; ++number) {
            sent.push_back(std::to_string(round) + " " + std::to_string(number));
            TestProducer producer =
                stage.producer(session, "topic://t." + std::to_string(round % 2));
            ASSERT_TRUE(producer.send(sent.back()));
        }
        EXPECT_EQ(all.drain(), sent);
        stage.segment->end_session(session, Ending::left);
        stage.segment->tick();
        stage.clock.advance_ns(61 * ns_per_s);
        stage.segment->tick();
        all.readers.clear();
    }
    EXPECT_EQ(all.piece.cell().places.load(), places_least) << "no wider piece was needed";
}

TEST(Subscriptions, AConsumerWhosePieceIsReplacedHoldsWhatItHeld) {
    SegmentStage stage;
    TestProducer producer = stage.producer(stage.session(), "queue://work");
    const std::uint32_t session = stage.session();
    TestWorker worker = stage.worker(session, "queue://work", 2);
    TestWorker other = stage.worker(stage.session(), "queue://work", 2);
    for (int number = 0; number < 5; ++number) ASSERT_TRUE(producer.send(std::to_string(number)));
    ASSERT_EQ(worker.take(producer.lane, 1), Texts{"0"});
    ASSERT_EQ(worker.take(producer.lane, 1), Texts{"1"});
    const std::byte* const before = worker.piece.base;
    stage.widen(worker, 8);
    ASSERT_NE(worker.piece.base, before);
    EXPECT_EQ(worker.piece.notes, 8u);
    ASSERT_EQ(worker.take(producer.lane, 1), Texts{"2"});
    worker.acknowledge(1, 1);
    EXPECT_EQ(stage.books(producer.destination).depth_messages.load(), 4u);
    stage.segment->end_session(session, Ending::died);
    stage.widen(other, 8);
    Texts rest = other.take_all_assigned();
    const Texts claimed = other.take_all();
    rest.insert(rest.end(), claimed.begin(), claimed.end());
    EXPECT_EQ(rest, (Texts{"0", "2", "3", "4"}));
}

// Each session may hold so much heap-like memory.
broker::SegmentOptions sessions_of(std::uint64_t heap_bytes) {
    broker::SegmentOptions options;
    options.direct_bytes = 4 << 20;
    options.heap_bytes = 16 << 20;
    options.limits.session.heap_bytes = heap_bytes;
    return options;
}

TEST(Subscriptions, AWiderPieceThatDoesNotFitIsRefusedAndChangesNothing) {
    SegmentStage stage(sessions_of(16 << 10));
    const std::uint32_t session = stage.session();
    TestWorker worker = stage.worker(session, "queue://work", 2);
    TestProducer producer = stage.producer(stage.session(), "queue://work");
    ASSERT_TRUE(producer.send("kept"));
    ASSERT_EQ(worker.take(producer.lane, 1), Texts{"kept"});
    const std::uint64_t used = stage.heap_used();
    const auto refused = stage.segment->widen_consumer(session, worker.subscription, 1024);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, protocol::Refusal::limit_reached);
    EXPECT_EQ(stage.heap_used(), used);
    EXPECT_EQ(stage.books(producer.destination).depth_messages.load(), 1u);
    worker.acknowledge(1, 0);
    EXPECT_EQ(stage.books(producer.destination).depth_messages.load(), 0u);
    const std::uint32_t stranger = stage.session();
    EXPECT_FALSE(stage.segment->widen_consumer(stranger, worker.subscription, 4))
        << "it is another session's";
}

// Who opens the lane is told, and nothing is left of it.
TEST(Subscriptions, ALaneForWhichASubscriberHasNoRoomIsNotOpened) {
    SegmentStage stage(sessions_of(8 << 10));
    const TestSubscriber roomy = stage.subscriber(stage.session(), "topic://t");
    const TestSubscriber tight = stage.subscriber(stage.session(), "topic://>");
    for (int number = 0; number < 40; ++number) stage.producer(stage.session(), "topic://x");
    for (int number = 0;; ++number) {
        const std::uint32_t session = stage.session();
        if (auto opened = stage.segment->open_producer(session, "topic://t"); !opened) {
            EXPECT_EQ(opened.error().code, protocol::Refusal::limit_reached);
            EXPECT_GE(number, static_cast<int>(places_least));
            break;
        }
        ASSERT_LT(number, 2000);
    }
    const std::uint64_t used = stage.heap_used();
    const std::uint32_t places = roomy.piece.cell().places.load();
    const std::uint32_t session = stage.session();
    for (std::uint32_t turn = 0; turn <= places; ++turn)
        EXPECT_FALSE(stage.segment->open_producer(session, "topic://t"));
    EXPECT_EQ(roomy.piece.cell().places.load(), places) << "the refused lanes left theirs";
    stage.segment->end_session(session, Ending::left);
    EXPECT_EQ(stage.heap_used(), used);
}

}  // namespace
}  // namespace weir::test
