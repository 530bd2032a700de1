// SPDX-License-Identifier: Apache-2.0
//
// Producers of a topic that sent, were read and sleep: they keep no memory, and their subscribers
// lose nothing.
#include "core/broker/idle_tails.hpp"

#include <gtest/gtest.h>

#include "tests/support/segment_stage.hpp"

namespace weir::test {
namespace {

constexpr int sleepers_count = 2000;

broker::SegmentOptions sized(std::uint64_t direct, bool limited) {
    broker::SegmentOptions options;
    options.direct_bytes = direct;
    options.heap_bytes = 256 << 20;
    if (limited) options.policies = policies_of(direct, {{"topic://quiet", "limit=2MiB"}});
    return options;
}

struct Quiet {
    SegmentStage stage;
    std::uint32_t session = stage.session();
    TestSubscriber one = stage.subscriber(stage.session(), "topic://quiet");
    TestSubscriber other = stage.subscriber(stage.session(), "topic://*");
    std::vector<TestProducer> sleepers;

    explicit Quiet(const broker::SegmentOptions& options) : stage(options) {}

    Texts read_by(TestSubscriber& subscriber) {
        Texts texts = subscriber.drain();
        stage.segment->turn();
        return texts;
    }
    void add(int number) {
        sleepers.push_back(stage.producer(session, "topic://quiet"));
        ASSERT_TRUE(sleepers.back().send(std::to_string(number))) << number;
        sleepers.back().stop_asking();
        if (number % 50 != 0) return;
        read_by(one);
        read_by(other);
    }
};

TEST(IdleTails, TwoThousandProducersOfATopicThatSentOnceAndSleepDoNotStopANewOne) {
    for (const bool limited : {true, false}) {
        Quiet quiet(sized(4 << 20, limited));
        for (int number = 0; number < sleepers_count; ++number) quiet.add(number);
        quiet.read_by(quiet.one);
        quiet.read_by(quiet.other);
        TestProducer fresh = quiet.stage.producer(quiet.session, "topic://quiet");
        ASSERT_TRUE(fresh.send("new")) << limited;
        // Who lost its page gets another one, and its subscribers go on there.
        for (int round = 0; round < 3; ++round) {
            ASSERT_TRUE(quiet.sleepers[0].send("again " + std::to_string(round)));
            ASSERT_TRUE(quiet.sleepers[700].send("too " + std::to_string(round)));
        }
        const Texts expected{"again 0", "again 1", "again 2", "too 0", "too 1", "too 2", "new"};
        EXPECT_EQ(quiet.read_by(quiet.one), expected);
        EXPECT_EQ(quiet.read_by(quiet.other), expected);
        const Books& books = quiet.stage.books(fresh.destination);
        EXPECT_EQ(books.messages_in.load(), sleepers_count + 7u);
        EXPECT_EQ(books.messages_out.load(), 2 * (sleepers_count + 7u));
        EXPECT_EQ(books.depth_messages.load(), 0u);
        EXPECT_EQ(books.dropped.load(), 0u);
        EXPECT_EQ(quiet.stage.granted_to_all(), quiet.stage.direct_used());
    }
}

TEST(IdleTails, SleepersOfATopicDoNotStopAnotherDestination) {
    Quiet quiet(sized(16 << 20, false));
    for (int number = 0; number < sleepers_count; ++number) quiet.add(number);
    quiet.read_by(quiet.one);
    quiet.read_by(quiet.other);
    ASSERT_GE(quiet.stage.direct_used(), sleepers_count * page_unit);
    quiet.stage.clock.advance_ns(2 * ns_per_s);
    TestProducer busy = quiet.stage.producer(quiet.session, "queue://busy");
    const std::string kilobyte(1000, 'k');
    EXPECT_GT(busy.fill(kilobyte), 15'000u) << "nearly all of the memory";
    EXPECT_LE(quiet.stage.direct_used(), 16u << 20);
}

TEST(IdleTails, WhatIsUnreadOrHeldOrLookedAtStays) {
    enum class Keeps { unread, looks, holds };
    for (const Keeps keeps : {Keeps::unread, Keeps::looks, Keeps::holds}) {
        Quiet quiet(sized(1 << 20, false));
        quiet.add(1);
        TestProducer& sleeper = quiet.sleepers[0];
        quiet.read_by(quiet.other);
        if (keeps != Keeps::unread) {
            quiet.one.drain(~std::size_t{0}, keeps == Keeps::looks);
        }
        std::atomic<std::uint64_t>& word = quiet.one.piece.cursor(sleeper.lane);
        if (keeps == Keeps::holds) word.store(exclusive_cursor(word.load(), 1));
        const PageRef page = sleeper.slot().first_page.load();
        TestProducer busy = quiet.stage.producer(quiet.session, "topic://quiet");
        busy.fill(std::string(1000, 'k'));
        EXPECT_EQ(sleeper.slot().first_page.load(), page);
        EXPECT_EQ(quiet.stage.shared.pages.slot(page).state.load(), PageState::granted);
        // Once nobody keeps it, it goes.
        if (keeps == Keeps::holds) word.store(exclusive_position(word.load()));
        if (keeps == Keeps::looks) quiet.one.put_down();
        quiet.read_by(quiet.one);
        quiet.read_by(quiet.other);
        busy.fill(std::string(1000, 'k'));
        EXPECT_EQ(sleeper.slot().first_page.load(), 0u) << static_cast<int>(keeps);
    }
}

TEST(IdleTails, WhoAsksOnceIsAnsweredWithAPageAndNotWithTheLossOfItsOwn) {
    SegmentStage stage(1 << 20);
    const std::string kilobyte(1000, 'k');
    TestProducer ring = stage.producer(stage.session(), "topic://a");
    ring.on_full = Overflow::drop_oldest;
    TestSubscriber subscriber = stage.subscriber(stage.session(), "topic://a");
    TestProducer other = stage.producer(stage.session(), "topic://a");
    ASSERT_EQ(ring.fill(kilobyte, 4), 4u) << "a page's worth";
    ASSERT_EQ(subscriber.drain().size(), 4u);
    other.fill(kilobyte);
    other.stop_asking();
    const std::uint64_t bytes = record_bytes(0, kilobyte.size());
    ASSERT_EQ(ring.writer.advance(bytes), ClaimStatus::no_grant);
    ring.ask(bytes);
    stage.segment->turn();
    EXPECT_EQ(ring.writer.advance(bytes), ClaimStatus::ok);
    EXPECT_GT(subscriber.dropped(), 0u);
}

}  // namespace
}  // namespace weir::test
