// SPDX-License-Identifier: Apache-2.0
//
// Flow to disk through a whole segment, with files in memory: backlog that is larger than direct
// memory leaves it and comes back in order. F1 to F3 are those of core/broker/flow.hpp.
#include "core/broker/flow.hpp"

#include <gtest/gtest.h>

#include "tests/support/fake_files.hpp"
#include "tests/support/segment_stage.hpp"

namespace weir::broker {
namespace {

using test::FakeFiles;
using test::Texts;

constexpr Bytes direct_bytes = 4 << 20;
constexpr std::size_t message_bytes = 1000;

std::string message(std::uint64_t number) {
    std::string text = std::to_string(number) + ":";
    while (text.size() < message_bytes) text += static_cast<char>('a' + number % 26);
    return text;
}

class FlowTest : public testing::Test {
protected:
    FlowTest() {
        FlowOptions options;
        options.directory = "/spill";
        options.limit_bytes = 1ull << 30;
        stage.segment->use_disk(files, options, 1ull << 30);
    }
    // One round of the loop, as the daemon turns it.
    bool round() {
        bool more = files.deliver([&](io::Token token, std::int32_t result) {
            stage.segment->disk_completed(token, result);
        });
        more = stage.segment->turn() || more;
        EXPECT_LE(stage.direct_used(), direct_bytes);
        return more;
    }
    void rounds(int most = 200) {
        while (most-- > 0 && (round() || files.waiting() != 0)) {
        }
    }
    // Sends messages from `sent` on until `count` were sent, or nothing moves for long.
    std::uint64_t produce(test::TestProducer& producer, std::uint64_t count) {
        int stuck = 0;
        while (sent < count && stuck < 100) {
            if (producer.send(message(sent))) {
                ++sent;
                stuck = 0;
                continue;
            }
            ++stuck;
            rounds(20);
            stage.clock.advance_ns(20 * ns_per_ms);
        }
        return sent;
    }
    // Takes and acknowledges until `count` were received or nothing comes for long.
    void consume(test::TestWorker& worker, std::uint64_t count) {
        int stuck = 0;
        while (received < count && stuck < 300) {
            const Texts texts = worker.take_all(8);
            for (const std::string& text : texts) {
                if (text != message(received)) {
                    FAIL() << "message " << received << " is " << text.substr(0, 20);
                }
                ++received;
            }
            worker.acknowledge_all();
            stuck = texts.empty() ? stuck + 1 : 0;
            rounds(20);
            stage.clock.advance_ns(5 * ns_per_ms);
        }
    }
    // Until the disk holds nothing any more.
    void rest() {
        for (int turn = 0; turn < 100 && files.names() != 0; ++turn) {
            stage.clock.advance_ns(200 * ns_per_ms);
            stage.segment->tick();
            rounds();
        }
    }
    std::uint64_t disk_used() const {
        return stage.shared.control.superblock().disk.used.load(std::memory_order_relaxed);
    }

    test::SegmentStage stage{direct_bytes};
    FakeFiles files{stage.clock};
    std::uint64_t sent = 0;
    std::uint64_t received = 0;
};

TEST_F(FlowTest, FourTimesTheDirectMemoryWaitsOnDiskAndComesBackInOrder) {
    auto producer = stage.producer(stage.session(), "queue://big");
    const std::uint64_t count = 4 * direct_bytes / message_bytes;
    ASSERT_EQ(produce(producer, count), count);
    EXPECT_GT(disk_used(), 3 * direct_bytes - direct_bytes / 2);
    const Books& books = stage.books(producer.destination);
    EXPECT_EQ(books.depth_messages.load(), count);
    EXPECT_GT(books.disk_bytes.load(), 2 * direct_bytes);

    auto worker = stage.worker(stage.session(), "queue://big");
    consume(worker, count);
    EXPECT_EQ(received, count);
    EXPECT_EQ(stage.books(producer.destination).depth_messages.load(), 0U);
    rest();
    EXPECT_EQ(files.names(), 0U);
    EXPECT_EQ(files.allocated_bytes(), 0U);
    EXPECT_EQ(disk_used(), 0U);
    EXPECT_EQ(books.damaged.load(), 0U);
}

// A producer that has left a page and stands in the next one without a record there: the count is
// at the end of a sealed page, which may leave memory. Once it then went on at the page granted
// next, thousands of messages later, and nothing behind was ever freed.
TEST_F(FlowTest, APageAtWhoseEndTheCountStandsLeavesMemoryWithoutLosingCount) {
    auto producer = stage.producer(stage.session(), "queue://big");
    const std::uint64_t count = 4 * direct_bytes / message_bytes;
    const std::uint64_t bytes = record_bytes(0, message_bytes);
    for (int stuck = 0; sent < count && stuck < 100;) {
        if (std::byte* const record = producer.writer.claim(bytes)) {
            const std::string text = message(sent++);
            std::memcpy(record + commit_word_bytes, text.data(), text.size());
            producer.writer.commit(record, commit_word(RecordKind::message, 0, text.size()));
            producer.stop_asking();
            stuck = 0;
            continue;
        }
        if (producer.writer.advance(bytes) != ClaimStatus::ok) {
            producer.ask(bytes);
            ++stuck;
        }
        rounds(20);  // it stands in its next page, or waits for one
        stage.clock.advance_ns(20 * ns_per_ms);
    }
    ASSERT_EQ(sent, count);
    rounds();
    EXPECT_GT(disk_used(), 2 * direct_bytes);
    EXPECT_EQ(stage.books(producer.destination).depth_messages.load(), sent);
    auto worker = stage.worker(stage.session(), "queue://big");
    consume(worker, sent);
    EXPECT_EQ(received, sent);
    EXPECT_EQ(stage.books(producer.destination).depth_messages.load(), 0U);
    rest();
    EXPECT_EQ(files.names(), 0U);
    EXPECT_EQ(disk_used(), 0U);
}

TEST_F(FlowTest, AProducerMayLeaveWhileItsPagesAreBeingWritten) {
    const std::uint32_t session = stage.session();
    auto producer = stage.producer(session, "queue://big");
    const std::uint64_t count = 2 * direct_bytes / message_bytes;
    while (sent < count && files.write_sizes.empty()) {
        if (producer.send(message(sent))) ++sent;
        stage.clock.advance_ns(5 * ns_per_ms);
        round();
    }
    ASSERT_FALSE(files.write_sizes.empty());
    stage.segment->end_session(session, Ending::died);
    rounds();
    auto worker = stage.worker(stage.session(), "queue://big");
    consume(worker, sent);
    EXPECT_EQ(received, sent);
    rest();
    EXPECT_EQ(disk_used(), 0U);
}

TEST_F(FlowTest, BelowTheThresholdNothingIsWritten) {
    auto producer = stage.producer(stage.session(), "queue://small");
    const std::uint64_t count = direct_bytes / 2 / message_bytes;
    ASSERT_EQ(produce(producer, count), count);
    rounds();
    EXPECT_EQ(files.operations(), 0U);
}

TEST_F(FlowTest, PagesAreGatheredIntoLargeWrites) {
    auto producer = stage.producer(stage.session(), "queue://big");
    produce(producer, 3 * direct_bytes / message_bytes);
    std::size_t large = 0;
    std::size_t bytes = 0;
    for (const std::size_t one : files.write_sizes) {
        if (one >= 256 * 1024) large += one;
        bytes += one;
    }
    EXPECT_GT(large, bytes / 10 * 9);
}

TEST_F(FlowTest, ADiskThatFailsThrottlesWithItsReasonAndGoesOnByItself) {
    auto producer = stage.producer(stage.session(), "queue://big");
    files.refuse_all = EIO;
    const std::uint64_t count = 3 * direct_bytes / message_bytes;
    EXPECT_LT(produce(producer, count), direct_bytes / message_bytes);
    EXPECT_EQ(producer.slot().reason.load(), WaitReason::disk_error);
    const DiskActivity& shown = stage.shared.control.superblock().disk_activity;
    EXPECT_EQ(shown.trouble.load(), DiskTrouble::disk_error);
    EXPECT_EQ(shown.trouble_errno.load(), static_cast<std::uint32_t>(EIO));
    EXPECT_EQ(shown.flowing.load(), 1U);
    files.refuse_all = 0;
    stage.clock.advance_ns(ns_per_s);
    EXPECT_EQ(produce(producer, count), count);
    EXPECT_EQ(shown.trouble.load(), DiskTrouble::none);
    EXPECT_GT(shown.bytes_written.load(), direct_bytes);
    auto worker = stage.worker(stage.session(), "queue://big");
    consume(worker, count);
    EXPECT_EQ(received, count);
    rest();
    EXPECT_EQ(shown.flowing.load(), 0U);
}

TEST_F(FlowTest, AFullDiskThrottlesAndConsumersFreeIt) {
    auto producer = stage.producer(stage.session(), "queue://big");
    files.capacity_bytes = direct_bytes;
    const std::uint64_t count = 4 * direct_bytes / message_bytes;
    const std::uint64_t first = produce(producer, count);
    EXPECT_LT(first, 2 * direct_bytes / message_bytes);
    EXPECT_EQ(producer.slot().reason.load(), WaitReason::disk_full);
    auto worker = stage.worker(stage.session(), "queue://big");
    for (int turn = 0; turn < 500 && received < count; ++turn) {
        consume(worker, std::min(sent, received + 500));
        ASSERT_FALSE(HasFailure());
        produce(producer, std::min(count, sent + 500));
    }
    EXPECT_EQ(received, count);
}

TEST_F(FlowTest, APageThatRottedIsOneGapWithItsMessageCount) {
    auto producer = stage.producer(stage.session(), "queue://big");
    const std::uint64_t count = 3 * direct_bytes / message_bytes;
    produce(producer, count);
    files.rot(300'000);
    auto worker = stage.worker(stage.session(), "queue://big");
    std::uint64_t expected = 0;
    std::uint64_t gaps = 0;
    for (int stuck = 0; stuck < 300 && expected < count; ++stuck) {
        for (const std::string& text : worker.take_all(8)) {
            const std::uint64_t number = std::stoull(text);
            if (number != expected) ++gaps;
            ASSERT_EQ(text, message(number)) << "wrong bytes";
            ASSERT_GE(number, expected);
            expected = number + 1;
            ++received;
            stuck = 0;
        }
        worker.acknowledge_all();
        rounds(20);
        stage.clock.advance_ns(5 * ns_per_ms);
    }
    EXPECT_EQ(expected, count);
    EXPECT_EQ(gaps, 1U);
    EXPECT_EQ(stage.books(producer.destination).damaged.load(), count - received);
    EXPECT_EQ(stage.shared.control.subscription(worker.subscription).lost.load(), count - received)
        << "its consumer can see how many are lost";
    EXPECT_EQ(stage.books(producer.destination).depth_messages.load(), 0U);
}

TEST_F(FlowTest, AConsumerThatNamesAPageFarAheadMakesNobodyLoseAnything) {
    auto producer = stage.producer(stage.session(), "queue://big");
    auto liar = stage.worker(stage.session(), "queue://big");
    const std::uint64_t count = 6 * direct_bytes / message_bytes;
    while (sent < count) {
        // A page that will soon be behind its producer and then go to disk.
        liar.piece.cell().entering.store(producer.cell->page.load());
        const std::uint64_t before = sent;
        ASSERT_GT(produce(producer, std::min(count, sent + 500)), before);
    }
    liar.piece.cell().entering.store(0);
    auto worker = stage.worker(stage.session(), "queue://big");
    consume(worker, count);
    EXPECT_EQ(received, count);
    rest();
    EXPECT_EQ(disk_used(), 0U);
}

class PolicyFlowTest : public FlowTest {
protected:
    std::uint64_t disk_of(const test::TestProducer& producer) {
        return stage.books(producer.destination).disk_bytes.load();
    }
};

TEST_F(PolicyFlowTest, AtItsHighWaterMarkADestinationsOwnBacklogFlows) {
    ASSERT_TRUE(stage.segment->set_policy("queue://small", "limit=1MiB"));
    auto other = stage.producer(stage.session(), "queue://other");
    ASSERT_EQ(other.fill(message(0), 500), 500U);
    auto producer = stage.producer(stage.session(), "queue://small");
    const std::uint64_t count = 2 * direct_bytes / message_bytes;
    ASSERT_EQ(produce(producer, count), count);
    EXPECT_LE(stage.books(producer.destination).direct_bytes.load(), 1U << 20);
    EXPECT_GT(disk_of(producer), direct_bytes);
    EXPECT_EQ(disk_of(other), 0U);
    auto worker = stage.worker(stage.session(), "queue://small");
    consume(worker, count);
    EXPECT_EQ(received, count);
    rest();
    EXPECT_EQ(disk_used(), 0U);
}

TEST_F(PolicyFlowTest, WhatMayNeverFlowWaitsInMemoryForItsConsumer) {
    ASSERT_TRUE(stage.segment->set_policy("queue://kept", "flow-to-disk=never"));
    auto producer = stage.producer(stage.session(), "queue://kept");
    const std::uint64_t first = produce(producer, 2 * direct_bytes / message_bytes);
    EXPECT_LT(first, direct_bytes / message_bytes);
    EXPECT_EQ(files.write_sizes.size(), 0U);
    EXPECT_EQ(producer.slot().reason.load(), WaitReason::direct_full);
    auto worker = stage.worker(stage.session(), "queue://kept");
    consume(worker, first);
    EXPECT_EQ(received, first);
    EXPECT_GT(produce(producer, sent + 100), first);
}

TEST_F(PolicyFlowTest, ARingNeverFlows) {
    ASSERT_TRUE(stage.segment->set_policy("queue://ring", "overflow=drop-oldest"));
    auto producer = stage.producer(stage.session(), "queue://ring");
    producer.on_full = Overflow::drop_oldest;
    const std::uint64_t count = 3 * direct_bytes / message_bytes;
    EXPECT_EQ(produce(producer, count), count);
    EXPECT_EQ(files.write_sizes.size(), 0U);
    EXPECT_GT(stage.books(producer.destination).dropped.load(), count / 3);
}

TEST_F(PolicyFlowTest, WhatBecomesARingWhileItIsOnDiskGivesUpTheOldestAndCountsEach) {
    auto producer = stage.producer(stage.session(), "queue://turned");
    const std::uint64_t count = 3 * direct_bytes / message_bytes;
    ASSERT_EQ(produce(producer, count), count);
    ASSERT_GT(disk_of(producer), direct_bytes);
    ASSERT_TRUE(stage.segment->set_policy("queue://turned", "overflow=drop-oldest"));
    producer.on_full = Overflow::drop_oldest;
    EXPECT_EQ(produce(producer, 3 * count), 3 * count);
    auto worker = stage.worker(stage.session(), "queue://turned");
    std::uint64_t next = 0;
    for (int stuck = 0; next < sent && stuck < 300; ++stuck) {
        for (const std::string& text : worker.take_all(8)) {
            const std::uint64_t number = std::stoull(text);
            ASSERT_EQ(text, message(number)) << "wrong bytes";
            ASSERT_GE(number, next) << "out of order";
            next = number + 1;
            ++received;
            stuck = 0;
        }
        worker.acknowledge_all();
        rounds(20);
        stage.clock.advance_ns(5 * ns_per_ms);
    }
    EXPECT_EQ(next, sent) << "the newest are there";
    const Books& books = stage.books(producer.destination);
    EXPECT_EQ(received + books.dropped.load(), sent);
    EXPECT_EQ(books.damaged.load(), 0U);
    EXPECT_EQ(books.depth_messages.load(), 0U);
    rest();
    EXPECT_EQ(disk_used(), 0U);
}

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
        PageRef page = page_of(stage.shared.pages, producer.slot(),
                               exclusive_position(subscriber.piece.cursor(producer.lane).load()));
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
    for (int turn = 0; turn < 400 && slow_received * message_bytes < direct_bytes / 2; ++turn) {
        check(slow.hold(producer.lane, 20), slow_received);
        slow.put_down_holding(producer.lane);
        std::atomic<std::uint64_t>& cursor = slow.piece.cursor(producer.lane);
        cursor.store(exclusive_cursor(exclusive_position(cursor.load()), held_units_max));
        rounds(20);
        stage.clock.advance_ns(5 * ns_per_ms);
    }
    EXPECT_GE(slow_received * message_bytes, direct_bytes / 2);
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
