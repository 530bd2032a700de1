// SPDX-License-Identifier: Apache-2.0
//
// Flow to disk through a whole segment, with files in memory: backlog that is larger than direct
// memory leaves it and comes back in order. F1 to F3 are those of core/broker/flow.hpp.
#include "core/broker/flow.hpp"

#include <gtest/gtest.h>

#include <tuple>

#include "tests/unit/core/broker/flow_stage.hpp"

namespace weir::broker {
namespace {

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

// A record that is larger than what is granted ahead passes over it: such pages hold nothing. Once
// they filled what is read ahead, no cursor could move on, and a queue stood still for ever.
TEST_F(FlowTest, PagesThatALargeRecordPassedOverKeepNobodyFromWhatIsBehindThem) {
    auto producer = stage.producer(stage.session(), "queue://big");
    const std::uint64_t count = 4 * direct_bytes / message_bytes;
    const Bytes empty = direct_bytes / 6;  // more than the eighth that is read ahead at most
    for (std::uint64_t to = count / 8; to < count; to += count / 8) {
        ASSERT_EQ(produce(producer, to), to);
        const Position from = producer.writer.tail();
        for (int stuck = 0; producer.writer.tail() < from + empty && stuck < 100;) {
            if (producer.writer.advance(commit_word_bytes) == ClaimStatus::ok) continue;
            producer.ask(commit_word_bytes);
            rounds(20);
            stage.clock.advance_ns(ns_per_ms);
            ++stuck;
        }
        ASSERT_GE(producer.writer.tail(), from + empty);
    }
    ASSERT_EQ(produce(producer, count), count);
    EXPECT_GT(disk_used(), 2 * direct_bytes);
    auto worker = stage.worker(stage.session(), "queue://big");
    consume(worker, count);
    EXPECT_EQ(received, count);
    rest();
    EXPECT_EQ(files.names(), 0U);
    EXPECT_EQ(disk_used(), 0U);
}

TEST(Ahead, PagesWithoutAMessageDoNotCountButOnlySoManyOfThem) {
    Ahead ahead(100, 50);
    ahead.add(40, true);
    EXPECT_EQ(ahead.missing(), 100U);
    ahead.add(10, true);
    EXPECT_EQ(ahead.missing(), 100U);
    ahead.add(30, true);  // more than anybody passes over
    EXPECT_EQ(ahead.missing(), 70U);
    Ahead mixed(100, 50);
    mixed.add(40, true);
    mixed.add(20, false);
    for (int page = 0; page < 2; ++page) mixed.add(40, true);
    EXPECT_TRUE(mixed.is_enough()) << "a lane of mostly such pages is not read whole";
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

// F4: it rests and flows for a while each, but for memory that is nearly gone.
TEST_F(FlowTest, ItNeitherBeginsNorEndsAgainWithinTheDwell) {
    const Bytes threshold = flow_threshold(FlowOptions(), direct_bytes);
    const DiskActivity& shown = stage.shared.control.superblock().disk_activity;
    auto producer = stage.producer(stage.session(), "queue://big");
    const std::string large(15'000, 'x');
    // In far less than the dwell, and no more than is asked for at a time.
    const auto fill_to = [&](Bytes used) {
        for (int most = 500; stage.direct_used() < used && most > 0; --most) {
            producer.send(large);
            rounds(2);
            stage.clock.advance_ns(5 * ns_per_ms);
        }
    };
    auto worker = stage.worker(stage.session(), "queue://big");
    const Bytes low = flow_resume(FlowOptions(), direct_bytes);
    const auto drain = [&] {
        for (int most = 500; stage.direct_used() > low && most > 0; --most) {
            worker.take(producer.lane, 1);
            worker.acknowledge_all();
            rounds(2);
        }
    };
    const auto dwell = [&] {
        stage.clock.advance_ns(FlowOptions().dwell_ns);
        rounds();
    };
    fill_to(threshold);
    drain();
    ASSERT_LE(stage.direct_used(), low);
    EXPECT_EQ(shown.flowing.load(), 1U) << "it does not end yet";
    dwell();
    EXPECT_EQ(shown.flowing.load(), 0U);

    const std::uint64_t written = shown.bytes_written.load();
    fill_to(threshold + direct_bytes / 32);  // as much above it as is worth a write
    rounds();
    EXPECT_EQ(shown.flowing.load(), 0U) << "it does not begin yet";
    EXPECT_EQ(shown.bytes_written.load(), written);
    dwell();
    EXPECT_EQ(shown.flowing.load(), 1U);
    drain();
    EXPECT_GT(shown.bytes_written.load(), written);
    dwell();
    ASSERT_EQ(shown.flowing.load(), 0U);

    fill_to(direct_bytes / 10 * 9);
    rounds(1);
    EXPECT_EQ(shown.flowing.load(), 1U) << "hardly any memory is left";
}

// F5: what is drained leaves holes between the pages of others; a large message needs one piece.
TEST_F(FlowTest, BelowTheThresholdWhatLiesInTheWayOfALargeMessageFlows) {
    ASSERT_TRUE(stage.segment->set_policy("queue://>", "flow-to-disk=never"));
    auto stays = stage.producer(stage.session(), "queue://stays");
    auto goes = stage.producer(stage.session(), "queue://goes");
    auto worker = stage.worker(stage.session(), "queue://goes");
    std::uint64_t count = 0;
    for (; stage.direct_used() < direct_bytes / 8 * 7; ++count) {
        ASSERT_TRUE(stays.send(message(count)));
        ASSERT_TRUE(goes.send(message(count)));
        rounds(2);
    }
    for (int turn = 0; turn < 500 && stage.books(goes.destination).depth_messages.load() != 0;
         ++turn) {
        worker.take_all(8);
        worker.acknowledge_all();
        rounds(20);
        stage.clock.advance_ns(5 * ns_per_ms);
    }
    ASSERT_TRUE(stage.segment->set_policy("queue://>", "flow-to-disk=auto"));
    rounds();
    ASSERT_EQ(files.operations(), 0U);
    ASSERT_LT(stage.direct_used(), direct_bytes / 4 * 3);

    auto large = stage.producer(stage.session(), "queue://large");
    const std::string text(direct_bytes / 4 - 100, 'x');
    bool was_sent = large.send(text);
    ASSERT_FALSE(was_sent);
    EXPECT_EQ(large.slot().reason.load(), WaitReason::direct_fragmented);
    for (int turn = 0; turn < 100 && !was_sent; ++turn) {
        rounds(20);
        stage.clock.advance_ns(5 * ns_per_ms);
        was_sent = large.send(text);
    }
    EXPECT_TRUE(was_sent);
    EXPECT_GT(stage.books(stays.destination).disk_bytes.load(), 0U);
    EXPECT_EQ(stage.books(stays.destination).depth_messages.load(), count);
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
    EXPECT_EQ(consume_what_is_left(worker), count);
    EXPECT_EQ(wrong_marks, 0U);
    EXPECT_EQ(gaps, 1U);
    EXPECT_EQ(stage.books(producer.destination).damaged.load(), count - received);
    EXPECT_EQ(stage.shared.control.subscription(worker.subscription).lost.load(), count - received)
        << "its consumer can see how many are lost";
    EXPECT_EQ(stage.books(producer.destination).depth_messages.load(), 0U);
}

// Whoever takes over what a dead consumer held has to hear of the gap before it as well.
TEST_F(FlowTest, WhatIsMissingBeforeAMessageIsSaidAgainWhenItIsRedelivered) {
    auto producer = stage.producer(stage.session(), "queue://big");
    const std::uint64_t count = 3 * direct_bytes / message_bytes;
    produce(producer, count);
    files.rot(300'000);
    const std::uint32_t session = stage.session();
    auto worker = stage.worker(session, "queue://big");
    std::uint64_t lost = 0;
    std::string first;
    for (int turn = 0; turn < 1000 && lost == 0; ++turn) {
        const Texts texts = worker.take(producer.lane, 8);
        if (!texts.empty()) std::tie(lost, first) = mark_of(texts.front());
        if (lost == 0) worker.acknowledge_all();
        rounds(20);
        stage.clock.advance_ns(5 * ns_per_ms);
    }
    ASSERT_GT(lost, 0U);
    auto other = stage.worker(stage.session(), "queue://big");
    stage.segment->end_session(session, Ending::died);
    rounds();
    const Texts again = other.take_assigned();
    ASSERT_FALSE(again.empty());
    EXPECT_EQ(again.front(), first);
    EXPECT_EQ(other.lost_before_assigned, lost);
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
        expect_gaps_are_marked(producer);
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
    EXPECT_EQ(consume_what_is_left(worker), sent) << "the newest are there";
    const Books& books = stage.books(producer.destination);
    EXPECT_EQ(received + books.dropped.load(), sent);
    EXPECT_EQ(books.damaged.load(), 0U);
    EXPECT_EQ(books.depth_messages.load(), 0U);
    rest();
    EXPECT_EQ(disk_used(), 0U);
}

}  // namespace
}  // namespace weir::broker
