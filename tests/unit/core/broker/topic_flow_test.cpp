// SPDX-License-Identifier: Apache-2.0
//
// Flow to disk of a topic: only what the fast subscriber has passed, and nothing that somebody's
// user holds.
#include <gtest/gtest.h>

#include "core/broker/flow.hpp"
#include "tests/unit/core/broker/flow_stage.hpp"

namespace weir::broker {
namespace {

// Of a topic with a subscriber that does not read and one that keeps up.
class TopicFlowTest : public FlowTest {
protected:
    // Sends up to `count` messages and lets the fast one read each piece of them.
    void flood(std::uint64_t count) {
        int stuck = 0;
        while (sent < count && stuck < 50) {
            const std::uint64_t before = sent;
            produce(producer, std::min(count, sent + 200));
            check(fast.drain(), fast_received);
            rounds(20);
            stage.clock.advance_ns(20 * ns_per_ms);
            stuck = sent == before ? stuck + 1 : 0;
            ASSERT_EQ(fast_received, sent) << "the fast one has to wait";
        }
        ASSERT_EQ(sent, count);
    }
    static void check(const Texts& texts, std::uint64_t& next) {
        for (const std::string& text : texts) ASSERT_EQ(text, message(next++)) << "out of order";
    }
    void read_all(test::TestSubscriber& subscriber, std::uint64_t& next) {
        for (int stuck = 0; next < sent && stuck < 300;) {
            const std::uint64_t before = next;
            check(subscriber.drain(), next);
            rounds(20);
            stage.clock.advance_ns(5 * ns_per_ms);
            stuck = next == before ? stuck + 1 : 0;
        }
        EXPECT_EQ(next, sent);
    }
    // What its user holds: where the pages from its cursor to its reader begin, by their slots.
    std::map<PageRef, Position> held_pages(const test::TestSubscriber& subscriber) const {
        std::map<PageRef, Position> held;
        const LaneReader& reader = subscriber.readers.begin()->second;
        PageRef page =
            page_of(stage.shared.pages, producer.slot(),
                    exclusive_position(subscriber.piece.place_of(producer.lane)->cursor.load()));
        while (stage.shared.pages.has(page)) {
            held[page] = stage.shared.pages.slot(page).start.load();
            if (page == reader.page()) break;
            page = stage.shared.pages.slot(page).next.load();
        }
        return held;
    }

    // More than what flow leaves in memory: the rest has to do with less.
    void hold_much() {
        while (slow_received * message_bytes < direct_bytes / 100 * 80) {
            flood(sent + 100);
            check(slow.hold(producer.lane, 100), slow_received);
            ASSERT_FALSE(HasFailure());
        }
    }
    void expect_held_to_stay() {
        const auto held = held_pages(slow);
        ASSERT_GT(held.size(), 10U);
        flood(plenty);
        EXPECT_GT(disk_used(), direct_bytes);
        for (const auto& [page, start] : held)
            EXPECT_EQ(stage.shared.pages.slot(page).start.load(), start);
    }

    static constexpr std::uint64_t plenty = 4 * direct_bytes / message_bytes;
    test::TestSubscriber slow = stage.subscriber(stage.session(), "topic://news");
    test::TestSubscriber fast = stage.subscriber(stage.session(), "topic://news");
    test::TestProducer producer = stage.producer(stage.session(), "topic://news");
    std::uint64_t slow_received = 0;
    std::uint64_t fast_received = 0;
};

TEST_F(TopicFlowTest, ASlowSubscriberMakesWhatTheFastOneHasPassedFlowToDisk) {
    flood(plenty);
    EXPECT_GT(disk_used(), 2 * direct_bytes);
    read_all(slow, slow_received);
    rest();
    EXPECT_EQ(disk_used(), 0U);
    EXPECT_EQ(stage.books(producer.destination).depth_messages.load(), 0U);
    EXPECT_EQ(stage.books(producer.destination).damaged.load(), 0U);
}

TEST_F(TopicFlowTest, WhatASubscribersUserHoldsStaysInMemory) {
    hold_much();
    expect_held_to_stay();
    read_all(slow, slow_received);
}

TEST_F(TopicFlowTest, WhatItsUserHoldsOfALaneThatItPutDownStaysInMemory) {
    hold_much();
    slow.put_down_holding(producer.lane);
    expect_held_to_stay();
    read_all(slow, slow_received);
}

TEST_F(TopicFlowTest, ASubscriberThatHoldsMoreThanItsCursorCanSayIsStillReadBackTo) {
    flood(plenty);
    // What it finds in memory, before the first gap.
    std::uint64_t head_bytes = 0;
    for (PageRef page = producer.slot().first_page.load(); stage.shared.pages.has(page);
         page = stage.shared.pages.slot(page).next.load())
        head_bytes += stage.shared.pages.length(page);
    const std::uint64_t wanted = head_bytes / message_bytes + 50;
    for (int turn = 0; turn < 400 && slow_received < wanted; ++turn) {
        check(slow.hold(producer.lane, 20), slow_received);
        slow.put_down_holding(producer.lane);
        std::atomic<std::uint64_t>& cursor = slow.piece.place_of(producer.lane)->cursor;
        cursor.store(exclusive_cursor(exclusive_position(cursor.load()), held_units_max));
        rounds(20);
        stage.clock.advance_ns(5 * ns_per_ms);
    }
    EXPECT_GE(slow_received, wanted) << "it came behind the gap";
    read_all(slow, slow_received);
}

TEST_F(TopicFlowTest, TwoSlowSubscribersAtDifferentPlacesBothReadInOrder) {
    auto late = stage.subscriber(stage.session(), "topic://news");
    std::uint64_t late_received = 0;
    flood(plenty / 2);
    check(late.drain(), late_received);  // as far as it goes without the disk
    for (int turn = 0; turn < 40; ++turn) {
        check(late.drain(), late_received);
        rounds(20);
        stage.clock.advance_ns(5 * ns_per_ms);
    }
    EXPECT_GT(late_received, 100U);
    flood(plenty);
    read_all(late, late_received);
    read_all(slow, slow_received);
    rest();
    EXPECT_EQ(disk_used(), 0U);
}

TEST_F(TopicFlowTest, APageThatRottedIsMarkedInFrontOfTheMessageBehindIt) {
    flood(plenty);
    files.rot(300'000);
    std::uint64_t lost = 0;
    for (int stuck = 0; slow_received < sent && stuck < 300; ++stuck) {
        for (const std::string& text : slow.drain()) {
            const auto [missing, plain] = mark_of(text);
            slow_received += missing;
            lost += missing;
            ASSERT_EQ(plain, message(slow_received++));
            stuck = 0;
        }
        rounds(20);
        stage.clock.advance_ns(5 * ns_per_ms);
    }
    EXPECT_EQ(slow_received, sent);
    EXPECT_GT(lost, 0U);
    EXPECT_EQ(stage.books(producer.destination).damaged.load(), lost);
    const auto lost_of = [&](const test::TestSubscriber& subscriber) {
        return stage.shared.control.subscription(subscriber.subscription).lost.load();
    };
    EXPECT_EQ(lost_of(slow), lost);
    EXPECT_EQ(lost_of(fast), 0U) << "it had read them";
}

// What it passed without giving it to its user, expired messages, lies between its cursor, behind
// what was acknowledged, and where it goes on.
TEST_F(TopicFlowTest, ASubscriberWhosePositionIsAheadOfItsCursorGoesOnWhereItWas) {
    hold_much();
    slow.put_down_holding(producer.lane);
    const LaneReader& reader = slow.readers.begin()->second;
    const PageRef at = reader.page();
    const Position position = reader.position();
    std::atomic<std::uint64_t>& cursor = slow.piece.place_of(producer.lane)->cursor;
    const Position from = exclusive_position(cursor.load());
    const Position acknowledged = from + (position - from) / 16 / 8 * 8;
    cursor.store(exclusive_cursor(acknowledged, held_units(acknowledged, position)));
    flood(plenty);
    EXPECT_GT(disk_used(), direct_bytes);
    EXPECT_EQ(stage.shared.pages.slot(at).start.load(), reader.page_start());
    EXPECT_EQ(reader.position(), position);
    check(slow.hold(producer.lane, 1), slow_received);
    read_all(slow, slow_received);
    rest();
    EXPECT_EQ(disk_used(), 0U);
}

TEST_F(TopicFlowTest, WhatWasOnDiskForASubscriberThatLeavesIsGivenBack) {
    flood(plenty);
    EXPECT_GT(disk_used(), 2 * direct_bytes);
    ASSERT_TRUE(stage.segment->close_consumer(slow.session, slow.subscription));
    rest();
    EXPECT_EQ(disk_used(), 0U);
    EXPECT_EQ(files.names(), 0U);
    flood(plenty + 500);
    EXPECT_EQ(stage.books(producer.destination).depth_messages.load(), 0U);
}

}  // namespace
}  // namespace weir::broker
