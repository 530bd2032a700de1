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
    files.refuse_all = 0;
    stage.clock.advance_ns(ns_per_s);
    EXPECT_EQ(produce(producer, count), count);
    auto worker = stage.worker(stage.session(), "queue://big");
    consume(worker, count);
    EXPECT_EQ(received, count);
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
    EXPECT_EQ(stage.books(producer.destination).depth_messages.load(), 0U);
}

}  // namespace
}  // namespace weir::broker
