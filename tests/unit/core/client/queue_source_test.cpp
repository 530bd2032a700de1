// SPDX-License-Identifier: Apache-2.0
//
// A consumer of a queue and its notes, over bytes laid out by hand.
#include "core/client/queue_source.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <chrono>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/client/cores.hpp"
#include "tests/support/client_stage.hpp"
#include "weir/weir.hpp"

namespace weir {
namespace {

using test::ClientStage;
using test::drain;
using test::mebibyte;

TEST(Queue, AcknowledgesAutomaticallyWhenTheNextIsAskedFor) {
    ClientStage stage("queue://q", 1, mebibyte);
    const auto session = stage.connect();
    auto producer = stage.producer(session);
    auto consumer = stage.consumer(session);
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(producer.send("x"));
    // The first free note is the last one handed out by the stack: find the one in use.
    const auto used = [&]() -> InFlightNote* {
        for (std::uint32_t n = 0; n < stage.piece().notes; ++n)
            if (stage.piece().note(n).from.load() != 0) return &stage.piece().note(n);
        return nullptr;
    };
    ASSERT_TRUE(consumer.poll());
    InFlightNote* const note = used();
    ASSERT_NE(note, nullptr);
    EXPECT_EQ(note->count.load(), 3u);
    EXPECT_EQ(note->started.load(), 1u);
    EXPECT_EQ(note->acknowledged.load(), 0u);
    ASSERT_TRUE(consumer.poll());
    EXPECT_EQ(note->started.load(), 3u);
    EXPECT_EQ(note->acknowledged.load(), 1u);
    ASSERT_TRUE(consumer.poll());
    EXPECT_FALSE(consumer.poll());
    EXPECT_EQ(used(), nullptr) << "a note whose messages are all acknowledged is freed";
}

TEST(Queue, AcknowledgesCumulatively) {
    ClientStage stage("queue://q", 1, mebibyte);
    const auto session = stage.connect();
    auto producer = stage.producer(session);
    auto consumer =
        stage.consumer(session, {.prefetch = 200, .acknowledge = Acknowledge::cumulative});
    for (int i = 0; i < 150; ++i) ASSERT_TRUE(producer.send(std::to_string(i)));
    std::vector<Message> messages;
    while (auto message = consumer.poll()) messages.push_back(*message);
    ASSERT_EQ(messages.size(), 150u);
    const auto held = [&] {
        std::uint64_t count = 0;
        for (std::uint32_t n = 0; n < stage.piece().notes; ++n) {
            InFlightNote& note = stage.piece().note(n);
            if (note.from.load() == 0) continue;
            count += static_cast<std::uint64_t>(
                std::popcount(note.due.load() & ~note.acknowledged.load()));
        }
        return count;
    };
    EXPECT_EQ(held(), 150u);
    messages[9].acknowledge();
    EXPECT_EQ(held(), 140u);
    messages[69].acknowledge();
    EXPECT_EQ(held(), 80u);
    messages[3].acknowledge();
    EXPECT_EQ(held(), 80u);
    consumer.acknowledge();
    EXPECT_EQ(held(), 0u);
}

TEST(Queue, HoldsNoMoreThanItsPrefetch) {
    for (const std::uint32_t prefetch : {1u, 2u, 10u, 64u, 100u}) {
        ClientStage stage("queue://q", 1, mebibyte);
        const auto session = stage.connect();
        auto producer = stage.producer(session);
        auto consumer =
            stage.consumer(session, {.prefetch = prefetch, .acknowledge = Acknowledge::cumulative});
        for (int i = 0; i < 300; ++i) ASSERT_TRUE(producer.send("x"));
        EXPECT_EQ(drain(consumer).size(), prefetch);
        EXPECT_EQ(consumer.receive().error(), ReceiveError::timed_out) << "nothing could come";
        consumer.acknowledge();
        EXPECT_EQ(drain(consumer).size(), prefetch);
    }
}

TEST(Queue, TakesOneAtATimeWhenPulling) {
    ClientStage stage("queue://q", 1, mebibyte);
    const auto session = stage.connect();
    auto producer = stage.producer(session);
    auto first = stage.consumer(session, {.prefetch = 0, .acknowledge = Acknowledge::cumulative});
    auto second = stage.consumer(session, {.prefetch = 0});
    for (int i = 0; i < 4; ++i) ASSERT_TRUE(producer.send(std::to_string(i)));
    EXPECT_EQ(first.poll()->text(), "0");
    EXPECT_EQ(second.poll()->text(), "1");
    EXPECT_EQ(first.poll()->text(), "2");
    EXPECT_EQ(second.poll()->text(), "3");
}

TEST(Queue, HoldsNoMoreBytesThanAllowed) {
    ClientStage stage("queue://q", 1, mebibyte);
    const auto session = stage.connect();
    auto producer = stage.producer(session);
    auto consumer = stage.consumer(
        session, {.prefetch = 100, .prefetch_bytes = 4096, .acknowledge = Acknowledge::cumulative});
    ASSERT_TRUE(producer.send(std::string(10000, 'a')));  // one is always allowed
    for (int i = 0; i < 20; ++i) ASSERT_TRUE(producer.send(std::string(992, 'b')));
    EXPECT_EQ(drain(consumer).size(), 1u);
    consumer.acknowledge();
    EXPECT_EQ(drain(consumer).size(), 4u);
}

TEST(Queue, GivesEachMessageToOneConsumer) {
    ClientStage stage("queue://q", 2, mebibyte);
    const auto session = stage.connect();
    auto first_producer = stage.producer(session);
    auto second_producer = stage.producer(session);
    auto first = stage.consumer(session, {.prefetch = 7});
    auto second = stage.consumer(session, {.prefetch = 5});
    std::multiset<std::string> sent;
    for (int i = 0; i < 500; ++i) {
        sent.insert("a" + std::to_string(i));
        sent.insert("b" + std::to_string(i));
        ASSERT_TRUE(first_producer.send("a" + std::to_string(i)));
        ASSERT_TRUE(second_producer.send("b" + std::to_string(i)));
    }
    std::multiset<std::string> got;
    for (bool more = true; more;) {
        more = false;
        for (Consumer* consumer : {&first, &second})
            if (auto message = consumer->poll()) {
                got.insert(std::string(message->text()));
                more = true;
            }
    }
    EXPECT_EQ(got, sent);
}

// claims.hpp, K4
TEST(Queue, LeavesTheCursorOfALaneBeforeItClaimsFromAnother) {
    ClientStage stage("queue://q", 2, mebibyte);
    const auto session = stage.connect();
    auto first = stage.producer(session);
    auto second = stage.producer(session);
    auto consumer = stage.consumer(session);
    std::set<std::string> received;
    const auto named = [&] {
        int count = 0;
        for (LaneId id = 0; id < 2; ++id)
            count += cursor_claimant(stage.claims().cursor(id).load()) != 0 ? 1 : 0;
        return count;
    };
    for (int i = 0; i < 4; ++i) {
        ASSERT_TRUE(first.send(std::to_string(2 * i)));
        ASSERT_TRUE(second.send(std::to_string(2 * i + 1)));
        for (const std::string& text : drain(consumer)) received.insert(text);
        EXPECT_LE(named(), 1);
    }
    EXPECT_EQ(received.size(), 8u);
}

TEST(Queue, TakesWhatIsAssignedBeforeAnythingNew) {
    ClientStage stage("queue://q", 1, mebibyte);
    const auto session = stage.connect();
    auto producer = stage.producer(session);
    for (int i = 0; i < 6; ++i) ASSERT_TRUE(producer.send(std::to_string(i)));
    auto consumer = stage.consumer(session, {.acknowledge = Acknowledge::cumulative});
    // The broker has taken 0 to 3 from a consumer that died with 0 acknowledged and 1 started.
    const Position from = position_first + page_header_bytes;
    stage.claims().cursor(0).store(cursor_word(from + 4 * 16, 0));
    Assignment& given = stage.piece().assignment(0);
    given.from.store(from);
    given.to.store(from + 4 * 16);
    given.lane.store(0);
    given.count.store(4);
    given.due.store(0b1110);
    given.redelivered.store(0b0010);
    stage.piece().cell().assigned.store(1);

    std::vector<std::pair<std::string, bool>> got;
    while (auto message = consumer.poll())
        got.emplace_back(std::string(message->text()), message->redelivered());
    EXPECT_EQ(got, (std::vector<std::pair<std::string, bool>>{
                       {"1", true}, {"2", false}, {"3", false}, {"4", false}, {"5", false}}));
    EXPECT_EQ(stage.piece().cell().taken.load(), 1u);
    EXPECT_EQ(consumer.counts().redelivered, 1u);
    consumer.acknowledge();
    for (std::uint32_t n = 0; n < stage.piece().notes; ++n)
        EXPECT_EQ(stage.piece().note(n).from.load(), 0u);
}

// The first consumer waits through its descriptor. A wake that this used up was meant for one
// message; when it takes another one, the sleeping second consumer has to be woken for what is
// left.
TEST(Queue, PassesAWakeOnThatItDidNotNeed) {
    detail::sleep_slice_ns.store(no_deadline);
    ClientStage stage("queue://q", 2, mebibyte);
    const auto session = stage.connect();
    auto one = stage.producer(session);
    auto two = stage.producer(session);
    auto first = stage.consumer(session, {.prefetch = 1});
    auto second = stage.consumer(session, {.prefetch = 1});
    const auto sleepers = [&] { return sleepers_of(stage.signals().destination(0).word.load()); };
    ASSERT_GE(first.wait_fd(), 0);
    EXPECT_FALSE(first.poll());  // armed: first in the row of waiters
    std::thread sleeper([&] { EXPECT_TRUE(second.receive()); });
    while (sleepers() != 2) std::this_thread::yield();
    std::this_thread::sleep_for(std::chrono::milliseconds(50));  // it stands behind the first
    // Two messages, one wake: as if the second producer had looked before anybody slept.
    ASSERT_TRUE(one.send("a"));
    const std::uint32_t left = stage.signals().destination(0).word.load();
    ASSERT_EQ(sleepers_of(left), 1u);
    stage.signals().destination(0).word.store(left & ~sleepers_mask);
    ASSERT_TRUE(two.send("b"));
    stage.signals().destination(0).word.store(left);
    EXPECT_TRUE(first.poll());
    sleeper.join();  // for ever, if nobody woke it
    detail::sleep_slice_ns.store(detail::sleep_slice_default_ns);
}

TEST(Queue, BeginsWithFewNotesAndAsksForMoreWhenItHoldsThemAll) {
    ClientStage stage("queue://q", 1, mebibyte);
    const auto session = stage.connect();
    auto producer = stage.producer(session);
    auto consumer =
        stage.consumer(session, {.prefetch = 100, .acknowledge = Acknowledge::cumulative});
    EXPECT_EQ(stage.piece().notes, 2u);
    std::vector<Message> messages;
    for (int i = 0; i < 40; ++i) {  // each comes alone, in a range of its own
        ASSERT_TRUE(producer.send(std::to_string(i)));
        messages.push_back(*consumer.poll());
        ASSERT_EQ(messages.back().text(), std::to_string(i));
    }
    EXPECT_FALSE(consumer.poll());
    EXPECT_EQ(stage.widened(), 3) << "from 2 to 8, 32 and 100";
    EXPECT_EQ(stage.piece().notes, 100u);
    const auto held = [&] {
        std::uint64_t count = 0;
        for (std::uint32_t n = 0; n < stage.piece().notes; ++n) {
            const InFlightNote& note = stage.piece().note(n);
            if (note.from.load() != 0) count += note.due.load() & ~note.acknowledged.load();
        }
        return count;
    };
    EXPECT_EQ(held(), 40u);
    messages[24].acknowledge();
    EXPECT_EQ(held(), 15u);
    consumer.acknowledge();
    EXPECT_EQ(held(), 0u);
    for (int i = 0; i < 300; ++i) ASSERT_TRUE(producer.send("x"));
    EXPECT_EQ(drain(consumer).size(), 100u) << "its prefetch";
    EXPECT_EQ(stage.widened(), 3);
}

// "0" and "1", each in a range of its own: all the notes that a consumer begins with.
std::vector<Message> hold_two(Producer& producer, Consumer& consumer) {
    std::vector<Message> held;
    for (int i = 0; i < 2; ++i) {
        EXPECT_TRUE(producer.send(std::to_string(i)));
        held.push_back(consumer.poll().value());
    }
    return held;
}

TEST(Queue, AsksForNothingWhileThereIsNothingToTake) {
    ClientStage stage("queue://q", 1, mebibyte);
    const auto session = stage.connect();
    auto producer = stage.producer(session);
    auto consumer =
        stage.consumer(session, {.prefetch = 100, .acknowledge = Acknowledge::cumulative});
    const std::vector<Message> held = hold_two(producer, consumer);
    for (int i = 0; i < 100; ++i) EXPECT_FALSE(consumer.poll());
    EXPECT_EQ(stage.widened(), 0);
}

TEST(Queue, GoesOnWithTheNotesItHasIfItIsRefusedMore) {
    ClientStage stage("queue://q", 1, mebibyte);
    const auto session = stage.connect();
    auto producer = stage.producer(session);
    auto consumer =
        stage.consumer(session, {.prefetch = 100, .acknowledge = Acknowledge::cumulative});
    stage.set_widening(ClientStage::Widening::refused);
    std::vector<Message> held = hold_two(producer, consumer);
    ASSERT_TRUE(producer.send("2"));
    EXPECT_EQ(consumer.poll().error(), ReceiveError::timed_out);
    held[0].acknowledge();
    EXPECT_EQ(consumer.poll()->text(), "2");
}

// It may have been granted and the answer lost: the broker looks for notes in the new piece alone.
TEST(Queue, TakesNothingMoreIfItIsNotAnsweredWhenItAsksForMore) {
    ClientStage stage("queue://q", 1, mebibyte);
    ConnectOptions options;
    options.timeout = std::chrono::milliseconds(50);
    const auto session = stage.connect(options);
    auto producer = stage.producer(session);
    auto consumer =
        stage.consumer(session, {.prefetch = 100, .acknowledge = Acknowledge::cumulative});
    stage.set_widening(ClientStage::Widening::not_answered);
    hold_two(producer, consumer);
    ASSERT_TRUE(producer.send("2"));
    const CursorWord before = stage.claims().cursor(0).load();
    EXPECT_EQ(consumer.poll().error(), ReceiveError::broker_down);
    EXPECT_EQ(consumer.receive().error(), ReceiveError::broker_down);
    consumer.acknowledge();
    EXPECT_EQ(consumer.poll().error(), ReceiveError::broker_down);
    EXPECT_EQ(stage.claims().cursor(0).load(), before);
}

}  // namespace
}  // namespace weir
