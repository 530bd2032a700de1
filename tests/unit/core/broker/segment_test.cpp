// SPDX-License-Identifier: Apache-2.0
//
// A whole broker's memory with its clients, from end to end.
#include "core/broker/segment.hpp"

#include <gtest/gtest.h>

#include "tests/support/segment_stage.hpp"

namespace weir::test {
namespace {

using protocol::Refusal;

TEST(Segment, AQueueDeliversInOrderWhateverItsConsumersPageSize) {
    SegmentStage stage;
    TestProducer producer = stage.producer(stage.session(), "queue://orders");
    TestWorker worker = stage.worker(stage.session(), "queue://orders");
    Texts sent;
    Texts got;
    for (int number = 0; number < 5000; ++number) {
        sent.push_back(std::to_string(number) +
                       std::string(static_cast<std::size_t>(number % 300), '.'));
        ASSERT_TRUE(producer.send(sent.back())) << number;
        if (number % 100 != 99) continue;
        const Texts more = worker.take_all();
        got.insert(got.end(), more.begin(), more.end());
        worker.acknowledge_all();
        stage.clock.advance_ns(ns_per_ms);
        stage.segment->turn();
    }
    EXPECT_EQ(got, sent);
    const Books& books = stage.books(producer.destination);
    EXPECT_EQ(books.messages_in.load(), 5000u);
    EXPECT_EQ(books.messages_out.load(), 5000u);
    EXPECT_EQ(books.depth_messages.load(), 0u);
    EXPECT_EQ(books.depth_bytes.load(), 0u);
    EXPECT_EQ(books.direct_bytes.load(), stage.direct_used());
}

broker::SegmentOptions with_direct(std::uint64_t bytes) {
    broker::SegmentOptions options;
    options.direct_bytes = bytes;
    options.heap_bytes = 32 << 20;
    return options;
}

TEST(Segment, MemoryBehindTheStartIsPutOffForWhoIsLetInUntilHalfIsInUse) {
    SegmentStage stage(with_direct(12 << 20), false);
    const std::uint32_t session = stage.session();
    for (int turn = 0; turn < 100; ++turn) stage.segment->turn();
    EXPECT_FALSE(stage.segment->may_sleep()) << "the rest came between two requests of a session";
    const auto reserved = [&] { return stage.shared.control.superblock().direct.limit.load(); };
    ASSERT_EQ(reserved(), std::uint64_t{4} << 20);
    TestProducer producer = stage.producer(session, "queue://a");
    ASSERT_TRUE(producer.send(std::string(1900 << 10, 'x')));
    stage.segment->turn();
    EXPECT_EQ(reserved(), std::uint64_t{4} << 20);
    ASSERT_TRUE(producer.send(std::string(400 << 10, 'x'))) << "it lies in the producers' part";
    for (int turn = 0; turn < 100; ++turn) stage.segment->turn();
    EXPECT_EQ(reserved(), std::uint64_t{6} << 20) << "until half of it is free again";

    SegmentStage other(with_direct(12 << 20), false);
    other.session();
    other.clock.advance_ns(2 * ns_per_ms);
    for (int turn = 0; turn < 4; ++turn) other.segment->turn();
    EXPECT_TRUE(other.segment->may_sleep()) << "nobody has opened anything for a while";
}

TEST(Segment, MemoryThatIsStillToComeIsNotShort) {
    SegmentStage crowded(with_direct(16 << 20), false);
    const std::uint32_t session = crowded.session();
    for (int opened = 0; opened < 1000; ++opened)  // a reserve of 8 KiB each
        ASSERT_TRUE(crowded.segment->open_producer(session, "queue://" + std::to_string(opened)))
            << opened;

    for (const Overflow on_full : {Overflow::fail, Overflow::drop_oldest}) {
        SegmentStage stage(with_direct(64 << 20), false);
        TestProducer producer = stage.producer(stage.session(), "queue://a");
        producer.on_full = on_full;
        for (const std::size_t kib : {1900u, 1000u, 10000u})
            ASSERT_TRUE(producer.send(std::string(kib << 10, 'x'))) << kib;
        EXPECT_EQ(stage.books(producer.destination).dropped.load(), 0u);
        EXPECT_FALSE(stage.segment->may_sleep()) << "it got more than it needed";
    }

    SegmentStage planned(with_direct(16 << 20), false);
    planned.producer(planned.session(), "queue://b");
    EXPECT_TRUE(planned.segment->set_policy("queue://b", "reserve=6MiB"));
}

TEST(Segment, EverySubscriberOfATopicGetsEverythingFromItsSubscribingOn) {
    SegmentStage stage;
    TestProducer producer = stage.producer(stage.session(), "topic://news");
    ASSERT_TRUE(producer.send("before all"));
    TestSubscriber first = stage.subscriber(stage.session(), "topic://news");
    ASSERT_TRUE(producer.send("one"));
    TestSubscriber second = stage.subscriber(stage.session(), "topic://news");
    ASSERT_TRUE(producer.send("two"));
    EXPECT_EQ(first.drain(), (Texts{"one", "two"}));
    EXPECT_EQ(second.drain(), Texts{"two"});
    EXPECT_EQ(stage.books(producer.destination).messages_out.load(), 3u);
    EXPECT_EQ(stage.books(producer.destination).messages_in.load(), 3u);
}

TEST(Segment, MessagesOfAllSizesGoThroughOneLane) {
    SegmentStage stage(256 << 20);
    TestProducer producer = stage.producer(stage.session(), "queue://large");
    TestWorker worker = stage.worker(stage.session(), "queue://large");
    for (const std::size_t size :
         {0u, 1u, 8u << 10, 1u << 20, 64u << 20, 1u, 64u << 20, 100u << 10}) {
        std::string text(size, 'x');
        if (size != 0) text.back() = 'y';
        ASSERT_TRUE(producer.send(text)) << size;
        const Texts got = worker.take_all();
        ASSERT_EQ(got.size(), 1u) << size;
        EXPECT_TRUE(got.front() == text) << size;
        worker.acknowledge_all();
        stage.segment->turn();
    }
}

TEST(Segment, TenThousandProducersOneAfterAnotherCostOneLaneAndAFewPages) {
    SegmentStage stage;
    for (int number = 0; number < 10'000; ++number) {
        const std::uint32_t session = stage.session();
        TestProducer producer = stage.producer(session, "queue://one-shot");
        ASSERT_TRUE(producer.send(std::to_string(number)));
        stage.segment->end_session(session,
                                   number % 2 == 0 ? broker::Ending::left : broker::Ending::died);
    }
    TestWorker worker = stage.worker(stage.session(), "queue://one-shot", 1024);
    EXPECT_EQ(worker.lanes().size(), 1u);
    EXPECT_LT(stage.direct_used(), 256u << 10) << "240 000 bytes of records";
    const Texts got = worker.take_all();
    ASSERT_EQ(got.size(), 10'000u);
    for (std::size_t number = 0; number < got.size(); ++number)
        ASSERT_EQ(got[number], std::to_string(number));
}

TEST(Segment, WhatASessionHeldIsReturnedWhenItEnds) {
    SegmentStage stage;
    const std::uint64_t heap = stage.heap_used();
    for (int round = 0; round < 3; ++round) {
        const std::uint32_t session = stage.session();
        TestProducer producer = stage.producer(session, "queue://a");
        TestProducer topic = stage.producer(session, "topic://b");
        TestWorker worker = stage.worker(session, "queue://a");
        TestSubscriber subscriber = stage.subscriber(session, "topic://>");
        ASSERT_TRUE(producer.send("a"));
        ASSERT_TRUE(topic.send("b"));
        worker.take_all();
        worker.acknowledge_all();
        subscriber.drain();
        stage.segment->suspend_session(session);
        stage.segment->end_session(session, broker::Ending::died);
        // Two idle destinations with a closed lane each go after a minute.
        stage.segment->tick();
        stage.clock.advance_ns(61 * ns_per_s);
        stage.segment->tick();
        EXPECT_EQ(stage.heap_used(), heap) << round;
        EXPECT_EQ(stage.direct_used(), 0u) << round;
    }
}

TEST(Segment, AFullHeapRefusesNewcomersWithTheCureAndKeepsWhatExists) {
    SegmentStage stage(1 << 20, 2 << 20);
    const std::uint32_t mine = stage.session();
    TestProducer producer = stage.producer(mine, "queue://kept");
    TestWorker worker = stage.worker(mine, "queue://kept");
    std::vector<std::uint32_t> sessions;
    for (;;) {
        auto opened =
            stage.segment->open_session({.pid = 1, .uid = 0, .start_time = 1, .name = ""});
        if (!opened) break;
        sessions.push_back(*opened);
        auto consumer = stage.segment->open_consumer(*opened, "queue://many", 1024, 1);
        if (consumer) continue;
        EXPECT_EQ(consumer.error().code, Refusal::heap_full);
        EXPECT_NE(consumer.error().sentence.find("--heap"), std::string::npos)
            << consumer.error().sentence;
        break;
    }
    EXPECT_GT(sessions.size(), 0u);
    ASSERT_TRUE(producer.send("still works"));
    EXPECT_EQ(worker.take_all(), Texts{"still works"});
}

TEST(Segment, NonsenseIsRefusedWithItsOwnSentence) {
    SegmentStage stage;
    const std::uint32_t session = stage.session();
    const auto refusal = [&](std::string_view name) {
        auto answer = stage.segment->open_producer(session, name);
        return answer ? Refusal::none : answer.error().code;
    };
    EXPECT_EQ(refusal("ftp://orders"), Refusal::bad_name);
    EXPECT_EQ(refusal("queue://a b"), Refusal::bad_name);
    EXPECT_EQ(refusal("queue://orders.*"), Refusal::bad_name);
    EXPECT_EQ(refusal("queue://" + std::string(300, 'x')), Refusal::bad_name);
    auto consumer = stage.segment->open_consumer(session, "queue://orders.*", 1, 1);
    ASSERT_FALSE(consumer);
    EXPECT_EQ(consumer.error().code, Refusal::bad_name);
    auto closed = stage.segment->close_producer(session, 77);
    ASSERT_FALSE(closed);
    EXPECT_EQ(closed.error().code, Refusal::not_found);
    EXPECT_FALSE(stage.segment->close_consumer(session, 12345678));
}

TEST(Segment, StoppingRefusesSendsAndCountsWhatIsLeft) {
    SegmentStage stage;
    TestProducer producer = stage.producer(stage.session(), "queue://left");
    TestWorker worker = stage.worker(stage.session(), "queue://left");
    ASSERT_TRUE(producer.send("12345"));
    ASSERT_TRUE(producer.send("1234567"));
    EXPECT_FALSE(stage.segment->drained());
    EXPECT_EQ(worker.take(producer.lane, 1), Texts{"12345"});
    const broker::Discarded left = stage.segment->begin_stop();
    EXPECT_EQ(left.messages, 2u) << "what a consumer holds is not read yet";
    EXPECT_EQ(left.bytes, 12u);
    EXPECT_FALSE(producer.send("too late"));
    EXPECT_EQ(producer.slot().reason.load(), WaitReason::broker_stopping);
    EXPECT_EQ(worker.take(producer.lane), Texts{"1234567"}) << "consumers go on";
    worker.acknowledge_all();
    EXPECT_TRUE(stage.segment->drained());
    EXPECT_FALSE(stage.segment->open_session({}));
}

}  // namespace
}  // namespace weir::test
