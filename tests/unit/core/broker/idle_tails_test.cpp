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
        stage.widen(subscriber);
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
        std::atomic<std::uint64_t>& word = quiet.one.piece.place_of(sleeper.lane)->cursor;
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

// Memory stands still at the limit, and nobody is slowed down before it.
constexpr const char* at_its_limit = "limit=512KiB\nhigh-water=512KiB";

// One that has sent, of a topic whose memory is pressed on with `press`.
struct OneSleeper : Quiet {
    OneSleeper() : Quiet(sized(1 << 20, false)) {
        EXPECT_TRUE(stage.segment->set_policy("topic://quiet", at_its_limit));
        add(1);
    }
};

// Presses on memory until nothing more is to be had.
void press(Quiet& quiet, std::string_view destination = "topic://quiet") {
    quiet.stage.clock.advance_ns(2 * ns_per_s);
    TestProducer busy = quiet.stage.producer(quiet.session, destination);
    busy.fill(std::string(1000, 'k'));
    busy.stop_asking();
}

// What a subscriber reads, without what `press` has sent.
Texts read_of_sleepers(Quiet& quiet, TestSubscriber& subscriber) {
    Texts texts = quiet.read_by(subscriber);
    std::erase_if(texts, [](const std::string& text) { return text.front() == 'k'; });
    return texts;
}

TEST(IdleTails, AProducerThatIsBuildingAMessageKeepsItsPageThoughAllBeforeIsRead) {
    OneSleeper quiet;
    TestProducer& sleeper = quiet.sleepers[0];
    std::byte* const record = sleeper.claim(5);
    ASSERT_NE(record, nullptr);
    quiet.read_by(quiet.one);
    quiet.read_by(quiet.other);
    const PageRef page = sleeper.slot().first_page.load();
    press(quiet);
    ASSERT_EQ(sleeper.slot().first_page.load(), page);
    std::memcpy(record + commit_word_bytes, "later", 5);
    sleeper.writer.commit(record, commit_word(RecordKind::message, 0, 5));
    EXPECT_EQ(read_of_sleepers(quiet, quiet.one), Texts{"later"});
    EXPECT_EQ(read_of_sleepers(quiet, quiet.other), Texts{"later"});
}

TEST(IdleTails, WhatASleeperSendsAfterItLostItsPageIsKeptForThoseWhoHaveNotRead) {
    OneSleeper quiet;
    TestProducer& sleeper = quiet.sleepers[0];
    quiet.read_by(quiet.one);
    quiet.read_by(quiet.other);
    press(quiet);
    ASSERT_EQ(sleeper.slot().first_page.load(), 0u);
    EXPECT_EQ(read_of_sleepers(quiet, quiet.one), Texts{});
    EXPECT_EQ(read_of_sleepers(quiet, quiet.other), Texts{});
    EXPECT_EQ(quiet.stage.books(sleeper.destination).depth_messages.load(), 0u);
    ASSERT_TRUE(sleeper.send("again"));
    sleeper.stop_asking();
    for (int more = 0; more < 2; ++more) {
        press(quiet);
        ASSERT_NE(sleeper.slot().first_page.load(), 0u);
    }
    EXPECT_EQ(read_of_sleepers(quiet, quiet.one), Texts{"again"});
    press(quiet);
    ASSERT_NE(sleeper.slot().first_page.load(), 0u);
    EXPECT_EQ(read_of_sleepers(quiet, quiet.other), Texts{"again"});
    press(quiet);
    EXPECT_EQ(sleeper.slot().first_page.load(), 0u);
}

TEST(IdleTails, WhoMeetsAMarkOnAPageThatStaysAfterAllIsSentThereAgain) {
    OneSleeper quiet;
    TestProducer& sleeper = quiet.sleepers[0];
    quiet.read_by(quiet.other);
    quiet.one.drain(~std::size_t{0}, true);
    const SignalsView& signals = quiet.stage.shared.signals;
    auto& ready = signals.head().ready[sleeper.lane];
    std::atomic<std::uint32_t>& word = signals.destination(sleeper.destination).word;
    quiet.stage.settle_turns();
    ready.store(0);
    const std::uint32_t asleep = word.load() + 1;
    word.store(asleep);
    press(quiet);
    ASSERT_NE(sleeper.slot().first_page.load(), 0u);
    EXPECT_EQ(ready.load(), 1u);
    EXPECT_NE(word.load(), asleep);
}

TEST(IdleTails, WhoIsAtWorkKeepsASmallPageAndSoDoesADestinationWithinItsReserve) {
    Quiet quiet(sized(4 << 20, false));
    ASSERT_TRUE(quiet.stage.segment->set_policy("topic://kept", "reserve=64KiB"));
    TestSubscriber reader = quiet.stage.subscriber(quiet.stage.session(), "topic://kept");
    TestProducer kept = quiet.stage.producer(quiet.session, "topic://kept");
    ASSERT_TRUE(kept.send("kept"));
    kept.stop_asking();
    ASSERT_EQ(reader.drain().size(), 1u);
    for (int number = 1; number <= 20; ++number) quiet.add(number);
    quiet.read_by(quiet.one);
    quiet.read_by(quiet.other);
    const auto pages = [&] {
        return std::count_if(quiet.sleepers.begin(), quiet.sleepers.end(),
                             [](auto& one) { return one.slot().first_page.load() != 0; });
    };
    TestProducer busy = quiet.stage.producer(quiet.session, "queue://busy");
    busy.fill(std::string(1000, 'k'));
    EXPECT_EQ(pages(), 20) << "all of them were at work a moment ago";
    press(quiet, "queue://busy");
    EXPECT_LE(pages(), 2);
    EXPECT_NE(kept.slot().first_page.load(), 0u);
}

TEST(IdleTails, WhoAsksOnceIsAnsweredWithAPageAndNotWithTheLossOfItsOwn) {
    SegmentStage stage(1 << 20);
    const std::string kilobyte(1000, 'k');
    const std::string larger(2000, 'l');
    TestProducer ring = stage.producer(stage.session(), "topic://a");
    ring.on_full = Overflow::drop_oldest;
    TestSubscriber subscriber = stage.subscriber(stage.session(), "topic://a");
    TestProducer other = stage.producer(stage.session(), "topic://a");
    other.fill(kilobyte);
    other.stop_asking();
    stage.segment->turn();  // nobody stands in a line any more
    ASSERT_EQ(ring.fill(kilobyte, 3), 3u) << "a larger one does not fit behind them";
    ASSERT_EQ(subscriber.hold(ring.lane, 3).size(), 3u);
    subscriber.piece.place_of(ring.lane)->cursor.store(
        subscriber.readers.begin()->second.position());
    subscriber.put_down();
    const std::uint64_t bytes = record_bytes(0, larger.size());
    ASSERT_EQ(ring.writer.advance(bytes), ClaimStatus::no_grant);
    const std::uint32_t steps = ring.slot().grants.load();
    ring.ask(bytes);
    stage.segment->turn();
    EXPECT_EQ(ring.slot().grants.load(), steps + 1);
    EXPECT_EQ(ring.writer.advance(bytes), ClaimStatus::ok);
    EXPECT_GT(subscriber.dropped(), 0u);
}

}  // namespace
}  // namespace weir::test
