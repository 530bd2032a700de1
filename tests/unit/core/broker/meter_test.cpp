// SPDX-License-Identifier: Apache-2.0
//
// Rates and depths, under a clock that stands still until it is moved.
#include "core/broker/meter.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "tests/support/segment_stage.hpp"

namespace weir::test {
namespace {

using broker::Bucket;

TEST(Bucket, GivesExactlyItsRateOverAnySpanThatIsShorterThanItsSize) {
    for (const std::uint64_t rate :
         {1ull, 7ull, 999ull, 50'000ull, 123'456'789ull, (1ull << 62) / 10}) {
        std::mt19937_64 random(rate);
        Bucket bucket;
        std::uint64_t now = 5 * ns_per_s;
        bucket.set_rate(rate, now);
        std::int64_t given = bucket.level();
        bucket.take(static_cast<std::uint64_t>(given));
        const std::uint64_t begin = now;
        while (now - begin < 10 * ns_per_s) {
            now += random() % (20 * ns_per_ms);
            bucket.fill(now);
            given += bucket.level();
            bucket.take(static_cast<std::uint64_t>(bucket.level()));
        }
        const double due = static_cast<double>(rate) * static_cast<double>(now - begin) / 1e9;
        const double got = static_cast<double>(given);
        EXPECT_LE(got, due + static_cast<double>(bucket.batch()) + 1 + due * 1e-12) << rate;
        EXPECT_GE(got, due - 2 - due * 1e-12) << rate;
    }
}

TEST(Bucket, HoldsNoMoreThanATenthOfASecond) {
    Bucket bucket;
    bucket.set_rate(1000, 0);
    bucket.fill(99 * ns_per_s);
    EXPECT_EQ(bucket.level(), 100);
    bucket.fill(99 * ns_per_s + 50 * ns_per_ms);
    EXPECT_EQ(bucket.level(), 100);
}

// Sends as fast as it may for ten seconds; a worker reads. How much went through.
struct Sent {
    std::uint64_t messages = 0;
    std::uint64_t payload = 0;
};

Sent send_for_ten_seconds(SegmentStage& stage, std::vector<TestProducer>& producers,
                          TestWorker& worker, std::size_t largest) {
    std::mt19937_64 random(42);
    Sent sent;
    std::vector<std::string> next(producers.size());
    for (std::string& text : next) text.assign(random() % largest, 'x');
    for (int step = 0; step < 10'000; ++step) {
        stage.clock.advance_ns(ns_per_ms);
        if (stage.segment->due_ns() <= stage.clock.now_ns()) stage.segment->turn();
        for (std::size_t at = 0; at < producers.size(); ++at) {
            TestProducer& producer = producers[at];
            // One that waits looks again when it was woken.
            if (producer.slot().waiting_since_ns.load() != 0) continue;
            while (producer.send(next[at])) {
                ++sent.messages;
                sent.payload += next[at].size();
                next[at].assign(random() % largest, 'x');
            }
        }
        if (step % 5 != 0) continue;
        while (!worker.take_all().empty()) worker.acknowledge_all();
        worker.acknowledge_all();
        stage.segment->turn();
    }
    return sent;
}

TEST(Meter, MessagesASecondHoldWithinTwoPercentOverTenSeconds) {
    SegmentStage stage;
    ASSERT_TRUE(stage.segment->set_policy("queue://a", "rate=5000msg/s"));
    const std::uint32_t session = stage.session();
    for (const std::size_t count : {1u, 3u}) {
        std::vector<TestProducer> producers;
        for (std::size_t made = 0; made < count; ++made)
            producers.push_back(stage.producer(session, "queue://a"));
        TestWorker worker = stage.worker(session, "queue://a", 1024);
        const Sent sent = send_for_ten_seconds(stage, producers, worker, 100);
        EXPECT_NEAR(static_cast<double>(sent.messages), 50'000, 1000) << count << " producers";
        EXPECT_EQ(producers[0].slot().reason.load(), WaitReason::rate_limit);
        for (TestProducer& producer : producers)
            ASSERT_TRUE(stage.segment->close_producer(session, producer.lane));
        ASSERT_TRUE(stage.segment->close_consumer(session, worker.subscription));
    }
}

TEST(Meter, PayloadBytesASecondHoldWithinTwoPercentOverTenSecondsWhateverTheSizes) {
    for (const std::size_t largest : {2u, 100u, 20'000u}) {
        SegmentStage stage;
        const std::uint64_t rate = largest == 2 ? 2000 : 1'000'000;
        ASSERT_TRUE(stage.segment->set_policy("queue://a", "rate=" + std::to_string(rate) + "B/s"));
        const std::uint32_t session = stage.session();
        std::vector<TestProducer> producers;
        for (int made = 0; made < 2; ++made)
            producers.push_back(stage.producer(session, "queue://a"));
        TestWorker worker = stage.worker(session, "queue://a", 1024);
        const Sent sent = send_for_ten_seconds(stage, producers, worker, largest);
        EXPECT_NEAR(static_cast<double>(sent.payload), static_cast<double>(10 * rate),
                    static_cast<double>(rate) / 5)
            << "messages up to " << largest;
    }
}

TEST(Meter, AMessageLargerThanTheBucketIsLentAndPaidFor) {
    SegmentStage stage;
    ASSERT_TRUE(stage.segment->set_policy("queue://a", "rate=100000B/s"));
    TestProducer producer = stage.producer(stage.session(), "queue://a");
    const std::string large(200'000, 'L');
    std::uint64_t sent = 0;
    for (int step = 0; step < 10'000; ++step) {
        stage.clock.advance_ns(ns_per_ms);
        stage.segment->turn();
        if (producer.slot().waiting_since_ns.load() == 0 && producer.send(large)) ++sent;
    }
    EXPECT_GE(sent, 5u);
    EXPECT_LE(sent, 6u) << "one of 200 kB each two seconds, and one that was lent";
}

TEST(Meter, ADepthIsNeverExceededAndSendingGoesOnWhenSomethingIsRead) {
    SegmentStage stage;
    ASSERT_TRUE(stage.segment->set_policy("queue://a", "max-depth=10"));
    const std::uint32_t session = stage.session();
    TestProducer first = stage.producer(session, "queue://a");
    TestProducer second = stage.producer(session, "queue://a");
    EXPECT_EQ(first.fill("x") + second.fill("y"), 10u);
    EXPECT_EQ(first.slot().reason.load(), WaitReason::depth_limit);
    EXPECT_EQ(stage.books(first.destination).depth_messages.load(), 10u);
    TestWorker worker = stage.worker(session, "queue://a");
    EXPECT_EQ(worker.take(first.lane, 3).size(), 3u);
    stage.clock.advance_ns(10 * ns_per_ms);
    stage.segment->turn();
    EXPECT_EQ(first.slot().reason.load(), WaitReason::depth_limit) << "they are held, not gone";
    worker.acknowledge_all();
    EXPECT_LE(stage.segment->due_ns(), stage.clock.now_ns() + 10 * ns_per_ms);
    stage.clock.advance_ns(10 * ns_per_ms);
    stage.segment->turn();
    EXPECT_EQ(first.fill("x") + second.fill("y"), 3u);
    EXPECT_EQ(stage.books(first.destination).depth_messages.load(), 10u);
}

// The first one could send all ten and sends one; nothing of its allotment is lost to the second.
TEST(Meter, WhatOneDoesNotUseIsTakenBackForAnother) {
    for (const std::string policy : {"max-depth=10", "rate=100msg/s"}) {
        const bool deep = policy.starts_with("max-depth");
        SegmentStage stage;
        ASSERT_TRUE(stage.segment->set_policy("queue://a", policy));
        const std::uint32_t session = stage.session();
        TestProducer first = stage.producer(session, "queue://a");
        TestProducer second = stage.producer(session, "queue://a");
        ASSERT_TRUE(first.send("x"));
        stage.clock.advance_ns(100 * ns_per_ms);
        first.writer.announce();  // it is about to write another one
        second.fill("y");
        if (deep) {
            EXPECT_EQ(stage.books(first.destination).depth_messages.load(), 1u);
        }
        first.writer.withdraw();
        stage.clock.advance_ns(100 * ns_per_ms);
        stage.segment->turn();
        second.fill("y");
        EXPECT_GE(stage.books(first.destination).depth_messages.load(), 10u);
        if (deep) {
            EXPECT_FALSE(first.send("x")) << "it has to ask";
            EXPECT_EQ(stage.books(first.destination).depth_messages.load(), 10u);
        }
    }
}

TEST(Meter, ADepthWithARingLosesTheOldestMessageForEachNewOne) {
    SegmentStage stage;
    ASSERT_TRUE(stage.segment->set_policy("queue://a", "max-depth=4"));
    TestProducer producer = stage.producer(stage.session(), "queue://a");
    producer.on_full = Overflow::drop_oldest;
    for (int number = 0; number < 100; ++number)
        ASSERT_TRUE(producer.send(std::to_string(number))) << number;
    TestWorker worker = stage.worker(stage.session(), "queue://a");
    EXPECT_EQ(worker.take_all(), (Texts{"96", "97", "98", "99"}));
    EXPECT_EQ(stage.books(producer.destination).dropped.load(), 96u);
    EXPECT_EQ(stage.books(producer.destination).messages_out.load(), 0u);
}

TEST(Meter, ALaneThatClosesGivesBackWhatItWasAllotted) {
    SegmentStage stage;
    ASSERT_TRUE(stage.segment->set_policy("queue://a", "max-depth=10"));
    const std::uint32_t session = stage.session();
    TestProducer first = stage.producer(session, "queue://a");
    TestProducer second = stage.producer(session, "queue://a");
    ASSERT_TRUE(first.send("one"));
    ASSERT_TRUE(stage.segment->close_producer(session, first.lane));
    EXPECT_EQ(second.fill("x"), 9u);
}

TEST(Meter, ARateThatIsSetWhileAProducerSendsHoldsFromThen) {
    SegmentStage stage;
    TestProducer producer = stage.producer(stage.session(), "queue://a");
    for (int number = 0; number < 1000; ++number) ASSERT_TRUE(producer.send("x"));
    ASSERT_TRUE(stage.segment->set_policy("queue://a", "rate=100msg/s"));
    EXPECT_LE(producer.fill("x"), 10u);
    EXPECT_EQ(producer.slot().reason.load(), WaitReason::rate_limit);
    ASSERT_TRUE(stage.segment->set_policy("queue://a", "rate=none"));
    stage.segment->turn();
    EXPECT_EQ(producer.fill("x", 1000), 1000u) << "and no more when it is taken away";
}

TEST(Meter, AShortageOfADepthCountsMessagesAndOneOfARateNothing) {
    SegmentStage stage;
    ASSERT_TRUE(stage.segment->set_policy("queue://deep", "max-depth=3"));
    ASSERT_TRUE(stage.segment->set_policy("queue://rated", "rate=100msg/s"));
    TestProducer deep = stage.producer(stage.session(), "queue://deep");
    TestProducer rated = stage.producer(stage.session(), "queue://rated");
    testing::internal::CaptureStderr();
    EXPECT_EQ(deep.fill("x"), 3u);
    rated.fill("x");
    const std::string log = testing::internal::GetCapturedStderr();
    EXPECT_THAT(log, testing::HasSubstr("queue://deep: producers wait: it holds as many messages "
                                        "as it may (3 of 3 messages); most"));
    EXPECT_THAT(log,
                testing::HasSubstr("queue://rated: producers wait: its rate is used up; most"));
    const Shortage& shortage = stage.shared.control.destination(deep.destination).shortage;
    EXPECT_EQ(unit_of(shortage.reason.load()), ShortageUnit::messages);
    EXPECT_EQ(shortage.used.load(), 3u);
    EXPECT_EQ(shortage.capacity.load(), 3u);
    EXPECT_EQ(stage.shared.control.destination(rated.destination).shortage.capacity.load(), 0u);
    EXPECT_EQ(unit_of(WaitReason::destination_limit), ShortageUnit::bytes);
}

}  // namespace
}  // namespace weir::test
