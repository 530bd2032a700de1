// SPDX-License-Identifier: Apache-2.0
//
// The look around once a second: W1 and W3 of watch.hpp. W2 is in lanes_test.cpp.
#include "core/broker/watch.hpp"

#include <gtest/gtest.h>

#include <thread>

#include "shm/sleep.hpp"
#include "tests/support/segment_stage.hpp"

namespace weir::test {
namespace {

using broker::Ending;

class WatchTest : public testing::Test {
protected:
    std::atomic<std::uint32_t>& word_of(std::uint32_t destination) {
        return stage_.shared.signals.destination(destination).word;
    }
    std::atomic<std::uint32_t>& anyone() { return stage_.shared.signals.head().anyone.word; }
    // A second; true if all is at rest at its end.
    bool tick() {
        stage_.clock.advance_ns(ns_per_s);
        stage_.settle_turns();
        return stage_.segment->tick();
    }
    // Until it says that all is at rest.
    bool comes_to_rest() {
        for (int second = 0; second < 20; ++second)
            if (tick()) return true;
        return false;
    }

    SegmentStage stage_;
};

TEST_F(WatchTest, AReaderThatWasNotWokenIsWokenByTheSecondLook) {
    TestWorker worker = stage_.worker(stage_.session(), "queue://q");
    TestProducer producer = stage_.producer(stage_.session(), "queue://q");
    const std::uint32_t ticket = announce_sleep(word_of(producer.destination));
    ASSERT_TRUE(producer.send("and died, or was stopped, before it woke anybody"));
    EXPECT_FALSE(tick());
    EXPECT_EQ(wakes_of(word_of(producer.destination).load()), wakes_of(ticket))
        << "it may be on its way";
    EXPECT_FALSE(tick());
    EXPECT_NE(wakes_of(word_of(producer.destination).load()), wakes_of(ticket));
    EXPECT_FALSE(anyone_sleeps(word_of(producer.destination)));
}

TEST_F(WatchTest, ASleeperWhoseAnnouncementWasWipedAwayIsWoken) {
    TestWorker worker = stage_.worker(stage_.session(), "queue://q");
    TestProducer producer = stage_.producer(stage_.session(), "queue://q");
    auto& word = word_of(producer.destination);
    const std::uint32_t ticket = announce_sleep(word);
    word.store(0);  // a liar, who also hides the message from whoever looks only at ready bytes
    std::thread sleeper([&] { EXPECT_TRUE(sleep_on(word, ticket, no_deadline)); });
    ASSERT_TRUE(producer.send("text"));
    auto& ready = stage_.shared.signals.head().ready[producer.lane];
    ready.store(0);
    tick();
    tick();
    sleeper.join();  // or it hangs
    EXPECT_EQ(ready.load(), 1);
}

TEST_F(WatchTest, ASubscriberOfManyTopicsIsWokenToo) {
    TestSubscriber all = stage_.subscriber(stage_.session(), "topic://orders.>");
    TestProducer producer = stage_.producer(stage_.session(), "topic://orders.eu");
    ASSERT_TRUE(producer.send("text"));
    tick();
    const std::uint32_t ticket = announce_sleep(anyone());
    tick();
    EXPECT_NE(wakes_of(anyone().load()), wakes_of(ticket));
}

TEST_F(WatchTest, ASlowSubscriberIsWokenThoughAnotherReadsOn) {
    TestSubscriber fast = stage_.subscriber(stage_.session(), "topic://t");
    TestSubscriber slow = stage_.subscriber(stage_.session(), "topic://t");
    TestProducer producer = stage_.producer(stage_.session(), "topic://t");
    ASSERT_TRUE(producer.send("one"));
    EXPECT_EQ(fast.drain().size(), 1u);
    tick();
    const std::uint32_t ticket = announce_sleep(word_of(producer.destination));
    ASSERT_TRUE(producer.send("two"));
    EXPECT_EQ(fast.drain().size(), 1u);
    tick();
    EXPECT_NE(wakes_of(word_of(producer.destination).load()), wakes_of(ticket));
    EXPECT_EQ(slow.drain().size(), 2u);
}

TEST_F(WatchTest, WhoDoesNotTakeWhatIsDeliveredAgainIsWoken) {
    const std::uint32_t leaving = stage_.session();
    TestWorker left = stage_.worker(leaving, "queue://q");
    TestProducer producer = stage_.producer(stage_.session(), "queue://q");
    for (int count = 0; count < 3; ++count) ASSERT_TRUE(producer.send("text"));
    ASSERT_EQ(left.take(producer.lane, 3).size(), 3u);
    TestWorker staying = stage_.worker(stage_.session(), "queue://q");
    auto& word = word_of(producer.destination);
    const std::uint32_t ticket = announce_sleep(word);
    word.store(0);  // a liar
    stage_.segment->end_session(leaving, Ending::left);
    EXPECT_FALSE(tick());
    const std::uint32_t wakes = wakes_of(word.load());
    EXPECT_FALSE(tick());
    EXPECT_NE(wakes_of(word.load()), wakes);
    EXPECT_NE(wakes_of(word.load()), wakes_of(ticket));
    EXPECT_EQ(staying.take_all_assigned().size(), 3u);
    staying.acknowledge_all();
    ASSERT_TRUE(comes_to_rest());
    const std::uint32_t resting = word.load();
    tick();
    EXPECT_EQ(word.load(), resting);
}

TEST_F(WatchTest, NobodyIsWokenWhileReadersMoveOnOrForWhatNobodyReads) {
    TestProducer unread = stage_.producer(stage_.session(), "queue://unread");
    TestProducer producer = stage_.producer(stage_.session(), "queue://q");
    ASSERT_TRUE(unread.send("nobody consumes it"));
    TestWorker worker = stage_.worker(stage_.session(), "queue://q");
    const std::uint32_t ticket = announce_sleep(word_of(producer.destination));
    const std::uint32_t other = announce_sleep(word_of(unread.destination));
    for (int second = 0; second < 5; ++second) {
        ASSERT_TRUE(producer.send("one"));
        ASSERT_TRUE(producer.send("two"));
        ASSERT_EQ(worker.take(producer.lane, 2).size(), 2u);
        worker.acknowledge_all();
        ASSERT_TRUE(producer.send("three"));
        tick();
        ASSERT_EQ(worker.take(producer.lane, 1).size(), 1u);
        worker.acknowledge_all();
    }
    EXPECT_EQ(word_of(producer.destination).load(), ticket);
    EXPECT_EQ(word_of(unread.destination).load(), other);
}

TEST_F(WatchTest, ComesToRestAndSaysSoOnlyWhileNothingMoves) {
    const std::uint32_t session = stage_.session();
    TestWorker worker = stage_.worker(session, "queue://q");
    TestProducer producer = stage_.producer(stage_.session(), "queue://q");
    ASSERT_TRUE(comes_to_rest());
    EXPECT_TRUE(tick());

    ASSERT_TRUE(producer.send("unread, with a reader"));
    EXPECT_FALSE(tick());
    EXPECT_FALSE(tick());
    EXPECT_FALSE(tick());
    ASSERT_EQ(worker.take(producer.lane).size(), 1u);
    worker.acknowledge_all();
    EXPECT_FALSE(tick()) << "it was read";
    ASSERT_TRUE(comes_to_rest());

    ASSERT_TRUE(producer.send("a"));
    ASSERT_EQ(worker.take(producer.lane).size(), 1u);
    worker.acknowledge_all();
    EXPECT_FALSE(tick()) << "sent and read since, without a ring";
    ASSERT_TRUE(comes_to_rest());

    stage_.segment->end_session(session, Ending::left);
    ASSERT_TRUE(comes_to_rest());
    ASSERT_TRUE(producer.send("nobody reads it"));
    EXPECT_FALSE(tick()) << "it was sent";
    EXPECT_TRUE(comes_to_rest()) << "a backlog rests";
}

TEST_F(WatchTest, DoesNotRestWhileAProducerWaitsForMemory) {
    TestWorker worker = stage_.worker(stage_.session(), "queue://q");
    TestProducer producer = stage_.producer(stage_.session(), "queue://q");
    const std::string text(60'000, 'x');
    producer.fill(text);
    stage_.segment->end_session(worker.session, Ending::left);
    for (int second = 0; second < 20; ++second) EXPECT_FALSE(tick());
}

}  // namespace
}  // namespace weir::test
