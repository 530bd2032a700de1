// SPDX-License-Identifier: Apache-2.0
//
// Rings: the oldest goes, what somebody holds stays, and what went is counted once.
#include "core/broker/giving_up.hpp"

#include <gtest/gtest.h>

#include "tests/support/segment_stage.hpp"

namespace weir::test {
namespace {

std::string numbered(std::size_t number) {
    std::string text = std::to_string(number);
    return text + std::string(1000 - text.size(), '.');
}
std::size_t number_of(const std::string& text) { return std::stoul(text); }

// Sends numbered messages from `from` on; how far it came.
std::size_t send_numbered(TestProducer& producer, std::size_t from, std::size_t count) {
    for (std::size_t at = from; at < from + count; ++at)
        if (!producer.send(numbered(at))) return at;
    return from + count;
}

void expect_consecutive(const Texts& texts, std::size_t last) {
    for (std::size_t at = 0; at < texts.size(); ++at)
        ASSERT_EQ(number_of(texts[at]), last + 1 - texts.size() + at);
}

TEST(Ring, AQueueKeepsTheNewestInOrderAndCountsWhatItLost) {
    SegmentStage stage(1 << 20);
    TestProducer producer = stage.producer(stage.session(), "queue://a");
    producer.on_full = Overflow::drop_oldest;
    ASSERT_EQ(send_numbered(producer, 0, 10'000), 10'000u) << "it never waits";
    EXPECT_LE(stage.direct_used(), 1u << 20);
    const Books& books = stage.books(producer.destination);
    EXPECT_EQ(books.messages_in.load(), 10'000u);
    EXPECT_EQ(books.messages_out.load(), 0u);
    EXPECT_EQ(books.dropped.load() + books.depth_messages.load(), 10'000u);
    TestWorker worker = stage.worker(stage.session(), "queue://a", 1024);
    const Texts texts = worker.take_all();
    EXPECT_EQ(texts.size(), books.depth_messages.load());
    EXPECT_GT(texts.size(), 600u) << "most of the region is used";
    expect_consecutive(texts, 9999);
}

TEST(Ring, WhatAConsumerHoldsIsNotGivenUp) {
    SegmentStage stage(1 << 20);
    const std::uint32_t session = stage.session();
    TestProducer producer = stage.producer(stage.session(), "queue://a");
    producer.on_full = Overflow::drop_oldest;
    TestWorker worker = stage.worker(session, "queue://a", 1024);
    ASSERT_EQ(send_numbered(producer, 0, 100), 100u);
    const Texts held = worker.take(producer.lane, 2);
    ASSERT_EQ(held.size(), 2u);
    ASSERT_EQ(send_numbered(producer, 100, 5000), 5100u);
    EXPECT_GT(stage.books(producer.destination).dropped.load(), 3000u);
    EXPECT_EQ(worker.piece.note(0).from.load() != 0, true);
    // It dies: what it held is delivered to somebody else, as it was.
    stage.segment->end_session(session, broker::Ending::died);
    TestWorker other = stage.worker(stage.session(), "queue://a", 1024);
    stage.segment->turn();
    EXPECT_EQ(other.take_all_assigned(), (Texts{numbered(0), numbered(1)}));
    const Texts rest = other.take_all();
    expect_consecutive(rest, 5099);
    const Books& books = stage.books(producer.destination);
    EXPECT_EQ(books.dropped.load() + rest.size() + 2, 5100u);
    EXPECT_EQ(books.messages_out.load(), 0u);
}

TEST(Ring, WhatIsToBeDeliveredAgainIsTheOldest) {
    SegmentStage stage(1 << 20);
    const std::uint32_t session = stage.session();
    TestProducer producer = stage.producer(stage.session(), "queue://a");
    producer.on_full = Overflow::drop_oldest;
    TestWorker worker = stage.worker(session, "queue://a", 1024);
    ASSERT_EQ(send_numbered(producer, 0, 10), 10u);
    ASSERT_EQ(worker.take(producer.lane, 2).size(), 2u);
    stage.segment->end_session(session, broker::Ending::died);
    ASSERT_EQ(send_numbered(producer, 10, 2000), 2010u);
    const Books& books = stage.books(producer.destination);
    EXPECT_EQ(books.dropped.load() + books.depth_messages.load(), 2010u);
    TestWorker other = stage.worker(stage.session(), "queue://a", 1024);
    EXPECT_EQ(other.take_all_assigned(), Texts{});
    expect_consecutive(other.take_all(), 2009);
}

TEST(Ring, OfARangeThatIsToBeDeliveredAgainOnlyAsManyGoAsTheDepthNeeds) {
    SegmentStage stage(1 << 20);
    ASSERT_TRUE(stage.segment->set_policy("queue://a", "max-depth=10"));
    const std::uint32_t session = stage.session();
    TestProducer producer = stage.producer(stage.session(), "queue://a");
    producer.on_full = Overflow::drop_oldest;
    TestWorker worker = stage.worker(session, "queue://a", 1024);
    ASSERT_EQ(send_numbered(producer, 0, 10), 10u);
    ASSERT_EQ(worker.take(producer.lane, 4).size(), 4u) << "a page's worth";
    stage.segment->end_session(session, broker::Ending::died);
    ASSERT_EQ(send_numbered(producer, 10, 2), 12u);
    const Books& books = stage.books(producer.destination);
    EXPECT_EQ(books.dropped.load(), 2u) << "not the whole range";
    EXPECT_EQ(books.depth_messages.load(), 10u);
    TestWorker other = stage.worker(stage.session(), "queue://a", 1024);
    stage.segment->turn();
    EXPECT_EQ(other.take_all_assigned(), (Texts{numbered(2), numbered(3)}));
    expect_consecutive(other.take_all(), 11);
}

TEST(Ring, TheOldestIsGivenUpWhoeverSentIt) {
    SegmentStage stage(1 << 20);
    TestProducer old = stage.producer(stage.session(), "queue://a");
    TestProducer young = stage.producer(stage.session(), "queue://a");
    ASSERT_EQ(send_numbered(old, 0, 300), 300u);
    old.stop_asking();
    young.on_full = Overflow::drop_oldest;
    ASSERT_EQ(send_numbered(young, 0, 850), 850u);
    TestWorker worker = stage.worker(stage.session(), "queue://a", 1024);
    const std::uint64_t dropped = stage.books(old.destination).dropped.load();
    EXPECT_GT(dropped, 0u);
    EXPECT_LT(dropped, 300u);
    Texts of_young = worker.take(young.lane);
    EXPECT_EQ(number_of(of_young.front()), 0u) << "of the young one nothing is lost yet";
    Texts of_old = worker.take(old.lane);
    EXPECT_EQ(number_of(of_old.front()), dropped);
}

TEST(Ring, IdleProducersPagesAreTakenWithWhatIsInThem) {
    SegmentStage stage(1 << 20);
    const std::uint32_t session = stage.session();
    std::vector<TestProducer> idle;
    for (int made = 0; made < 200; ++made) {
        idle.push_back(stage.producer(session, "queue://a"));
        ASSERT_TRUE(idle.back().send("idle " + std::to_string(made)));
    }
    TestProducer ring = stage.producer(session, "queue://a");
    ring.on_full = Overflow::drop_oldest;
    ASSERT_EQ(send_numbered(ring, 0, 600), 600u);
    EXPECT_GT(stage.books(ring.destination).dropped.load(), 50u);
    ASSERT_TRUE(idle[0].send("goes on")) << "with a page of what is left";
    TestWorker worker = stage.worker(session, "queue://a", 1024);
    Texts all = worker.take_all();
    EXPECT_NE(std::find(all.begin(), all.end(), "goes on"), all.end());
    const Books& books = stage.books(ring.destination);
    EXPECT_EQ(books.messages_in.load(), books.dropped.load() + all.size());
}

TEST(Ring, OneDestinationDoesNotGiveUpWhatAnotherHolds) {
    SegmentStage stage(1 << 20);
    TestProducer other = stage.producer(stage.session(), "queue://other");
    const std::size_t sent = other.fill(numbered(0));
    other.stop_asking();
    TestProducer ring = stage.producer(stage.session(), "queue://ring");
    ring.on_full = Overflow::drop_oldest;
    ASSERT_EQ(send_numbered(ring, 0, 500), 500u) << "within its reserve";
    EXPECT_EQ(stage.books(other.destination).dropped.load(), 0u);
    EXPECT_EQ(stage.books(other.destination).depth_messages.load(), sent);
}

// ---- topics

TEST(Ring, ASlowSubscriberSeesAGapOfExactlyWhatWasGivenUp) {
    SegmentStage stage(1 << 20);
    TestProducer producer = stage.producer(stage.session(), "topic://a");
    producer.on_full = Overflow::drop_oldest;
    TestSubscriber slow = stage.subscriber(stage.session(), "topic://a");
    TestSubscriber quick = stage.subscriber(stage.session(), "topic://a");
    Texts got;
    std::size_t quick_got = 0;
    std::size_t sent = 0;
    for (int round = 0; round < 10; ++round) {
        for (int step = 0; step < 40; ++step) {
            sent = send_numbered(producer, sent, 50);
            quick_got += quick.drain().size();
        }
        const Texts more = slow.drain(round % 3 == 0 ? 1 : 7);
        got.insert(got.end(), more.begin(), more.end());
        const Books& books = stage.books(producer.destination);
        ASSERT_EQ(books.dropped.load(), slow.dropped());
        ASSERT_EQ(books.messages_out.load(), got.size() + quick_got) << round;
        ASSERT_EQ(books.depth_messages.load(), sent - slow.dropped() - got.size()) << round;
    }
    ASSERT_EQ(sent, 20'000u) << "it never waits";
    const Texts rest = slow.drain();
    got.insert(got.end(), rest.begin(), rest.end());
    EXPECT_EQ(quick_got, sent);
    EXPECT_EQ(quick.dropped(), 0u);
    EXPECT_GT(slow.dropped(), 10'000u);
    EXPECT_EQ(got.size() + slow.dropped(), sent);
    for (std::size_t at = 1; at < got.size(); ++at)
        ASSERT_LT(number_of(got[at - 1]), number_of(got[at]));
    EXPECT_EQ(number_of(got.back()), sent - 1);
}

TEST(Ring, ASubscriberThatComesBackToAPageThatIsKeptForAnotherKeepsItToo) {
    SegmentStage stage(1 << 20);
    TestProducer producer = stage.producer(stage.session(), "topic://a");
    producer.on_full = Overflow::drop_oldest;
    TestSubscriber away = stage.subscriber(stage.session(), "topic://a");
    TestSubscriber there = stage.subscriber(stage.session(), "topic://a");
    ASSERT_EQ(send_numbered(producer, 0, 3), 3u);
    const Position begin = exclusive_position(away.piece.place_of(producer.lane)->cursor.load());
    const PageRef first = page_of(stage.shared.pages, producer.slot(), begin);
    Texts got = away.drain(1);
    ASSERT_EQ(got.size(), 1u) << "and puts the lane down";
    ASSERT_EQ(there.hold(producer.lane, 1).size(), 1u) << "and stands in the first page";
    std::size_t sent = send_numbered(producer, 3, 3000);
    ASSERT_GT(away.dropped(), 1000u);
    const Texts held = away.hold(producer.lane, 1);
    ASSERT_EQ(held, Texts{numbered(1)});
    for (int step = 0; step < 40; ++step) {
        sent = send_numbered(producer, sent, 50);
        there.drain();
    }
    EXPECT_NE(stage.shared.pages.slot(first).start.load(), 0u) << "it reads there";
    const Texts rest = away.drain();
    got.insert(got.end(), held.begin(), held.end());
    got.insert(got.end(), rest.begin(), rest.end());
    for (std::size_t at = 1; at < got.size(); ++at) {
        ASSERT_EQ(got[at], numbered(number_of(got[at])));
        ASSERT_LT(number_of(got[at - 1]), number_of(got[at]));
    }
    EXPECT_EQ(got.size() + away.dropped(), sent);
}

TEST(Ring, TheLaneInASubscribersHandsKeepsThePageThatItReads) {
    SegmentStage stage(1 << 20);
    TestProducer producer = stage.producer(stage.session(), "topic://a");
    producer.on_full = Overflow::drop_oldest;
    TestSubscriber slow = stage.subscriber(stage.session(), "topic://a");
    ASSERT_EQ(send_numbered(producer, 0, 100), 100u);
    EXPECT_EQ(slow.drain(1, true), Texts{numbered(0)});
    const PageRef page = slow.piece.cell().entering.load();
    const Position start = stage.shared.pages.slot(page).start.load();
    ASSERT_EQ(send_numbered(producer, 100, 3000), 3100u);
    EXPECT_EQ(stage.shared.pages.slot(page).start.load(), start) << "still its own";
    EXPECT_EQ(stage.shared.pages.slot(page).state.load(), PageState::granted);
    Texts got = slow.drain(2, true);
    EXPECT_EQ(got, (Texts{numbered(1), numbered(2)})) << "it reads its page to the end";
    const Texts rest = slow.drain();
    EXPECT_EQ(1 + got.size() + rest.size() + slow.dropped(), 3100u);
    EXPECT_EQ(number_of(rest.back()), 3099u);
    const Books& books = stage.books(producer.destination);
    EXPECT_EQ(books.messages_out.load() + books.dropped.load(), 3100u);
    EXPECT_EQ(books.depth_messages.load(), 0u);
}

// Reads ten without acknowledging, puts the lane down.
std::vector<RecordView> hold_ten(SegmentStage& stage, const TestProducer& producer,
                                 TestSubscriber& holder) {
    const Position cursor = holder.piece.place_of(producer.lane)->cursor.load();
    LaneReader reader(stage.shared.pages, producer.lane);
    reader.stand(page_of(stage.shared.pages, producer.slot(), cursor), cursor);
    std::vector<RecordView> held;
    for (int number = 0; number < 10; ++number) {
        held.push_back(reader.look(nullptr));
        reader.pass(held.back());
    }
    holder.piece.place_of(producer.lane)
        ->cursor.store(exclusive_cursor(cursor, held_units(cursor, reader.position())));
    return held;
}

// The broker may read the lane's name in `looking_at` just before it is cleared, and then a page of
// no lane or of the next one.
TEST(Ring, WhatASubscriberHoldsOfALaneThatItPutDownStaysAlsoAtTheInstantOfPuttingItDown) {
    enum class Instant { behind, page_is_cleared, names_another_page };
    for (const Instant at :
         {Instant::behind, Instant::page_is_cleared, Instant::names_another_page}) {
        SegmentStage stage(1 << 20);
        TestProducer producer = stage.producer(stage.session(), "topic://a");
        producer.on_full = Overflow::drop_oldest;
        TestProducer elsewhere = stage.producer(stage.session(), "topic://b");
        TestSubscriber holder = stage.subscriber(stage.session(), "topic://a");
        ASSERT_EQ(send_numbered(producer, 0, 100), 100u);
        const std::vector<RecordView> held = hold_ten(stage, producer, holder);
        ConsumerCell& cell = holder.piece.cell();
        cell.looking_at.store(at == Instant::behind ? 0 : producer.lane + 1);
        cell.entering.store(at == Instant::names_another_page ? elsewhere.slot().first_page.load()
                                                              : 0);
        ASSERT_EQ(send_numbered(producer, 100, 3000), 3100u);
        for (std::size_t number = 0; number < 10; ++number)
            ASSERT_EQ(text_of(held[number]), numbered(number)) << "its bytes are still there";
        EXPECT_GT(holder.dropped(), 1000u);
    }
}

TEST(Ring, ASubscriberThatWasToldNothingElseThrottles) {
    SegmentStage stage(1 << 20);
    TestProducer producer = stage.producer(stage.session(), "topic://a");
    TestSubscriber slow = stage.subscriber(stage.session(), "topic://a");
    const std::size_t sent = producer.fill(numbered(7));
    EXPECT_LT(sent, 1100u);
    EXPECT_EQ(slow.drain().size(), sent);
    EXPECT_EQ(slow.dropped(), 0u);
}

TEST(Ring, ATopicMayGiveUpTheOldestForItsSlowSubscribersThoughItsProducersWouldWait) {
    SegmentStage stage(1 << 20);
    ASSERT_TRUE(stage.segment->set_policy("topic://a", "slow-subscriber=drop-oldest"));
    TestProducer producer = stage.producer(stage.session(), "topic://a");
    TestSubscriber slow = stage.subscriber(stage.session(), "topic://a");
    ASSERT_EQ(send_numbered(producer, 0, 3000), 3000u);
    const Texts rest = slow.drain();
    EXPECT_EQ(rest.size() + slow.dropped(), 3000u);
}

TEST(Ring, ATopicMayEndItsSlowSubscribersAndOnlyThose) {
    SegmentStage stage(1 << 20);
    ASSERT_TRUE(stage.segment->set_policy("topic://a", "slow-subscriber=end"));
    TestProducer producer = stage.producer(stage.session(), "topic://a");
    TestSubscriber slow = stage.subscriber(stage.session(), "topic://a");
    TestSubscriber stopped = stage.subscriber(stage.session(), "topic://*");
    TestSubscriber quick = stage.subscriber(stage.session(), "topic://a");
    ASSERT_EQ(send_numbered(producer, 0, 100), 100u);
    EXPECT_EQ(stopped.drain(1, true).size(), 1u) << "and stands there";
    std::size_t sent = 100;
    std::size_t got = 0;
    for (int step = 0; step < 100; ++step) {
        sent = send_numbered(producer, sent, 50);
        got += quick.drain().size();
    }
    ASSERT_EQ(sent, 5100u) << "it never waits, not even for one that stands in a page";
    EXPECT_EQ(got, sent);
    const auto state = [&](const TestSubscriber& one) {
        return stage.shared.control.subscription(one.subscription).state.load();
    };
    EXPECT_EQ(state(slow), SlotState::ended);
    EXPECT_EQ(state(stopped), SlotState::ended);
    EXPECT_EQ(state(quick), SlotState::live);
    EXPECT_EQ(slow.piece.place_of(producer.lane), nullptr) << "none of its lanes any more";
    ASSERT_TRUE(stage.segment->close_consumer(slow.session, slow.subscription));
    ASSERT_TRUE(stage.segment->close_consumer(stopped.session, stopped.subscription));
}

TEST(Ring, ASubscriberThatWasEndedMayGoOnReadingWhatItHolds) {
    SegmentStage stage(1 << 20);
    ASSERT_TRUE(stage.segment->set_policy("topic://a", "slow-subscriber=end"));
    TestProducer producer = stage.producer(stage.session(), "topic://a");
    TestSubscriber holder = stage.subscriber(stage.session(), "topic://a");
    ASSERT_EQ(send_numbered(producer, 0, 100), 100u);
    const std::vector<RecordView> held = hold_ten(stage, producer, holder);
    ASSERT_EQ(send_numbered(producer, 100, 3000), 3100u) << "nobody waits for it";
    EXPECT_EQ(stage.shared.control.subscription(holder.subscription).state.load(),
              SlotState::ended);
    // All memory that is free is written over.
    TestProducer other = stage.producer(stage.session(), "queue://other");
    ASSERT_GT(send_numbered(other, 5000, 2000), 5000u);
    for (std::size_t number = 0; number < 10; ++number)
        ASSERT_EQ(text_of(held[number]), numbered(number)) << "its bytes are still there";
    ASSERT_TRUE(stage.segment->close_consumer(holder.session, holder.subscription));
    EXPECT_EQ(stage.books(producer.destination).depth_messages.load(), 0u);
}

}  // namespace
}  // namespace weir::test
