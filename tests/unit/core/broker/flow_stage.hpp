// SPDX-License-Identifier: Apache-2.0
//
// A segment with files in memory for its disk: what the tests of flow to disk stand on.
#ifndef WEIR_TESTS_UNIT_CORE_BROKER_FLOW_STAGE_HPP
#define WEIR_TESTS_UNIT_CORE_BROKER_FLOW_STAGE_HPP

#include <gtest/gtest.h>

#include "tests/support/fake_files.hpp"
#include "tests/support/segment_stage.hpp"

namespace weir::broker {

using test::FakeFiles;
using test::mark_of;
using test::Texts;

inline constexpr Bytes direct_bytes = 4 << 20;
inline constexpr std::size_t message_bytes = 1000;

inline std::string message(std::uint64_t number) {
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
    // Takes what comes, in order but perhaps not all of it; the number behind the last one.
    std::uint64_t consume_what_is_left(test::TestWorker& worker) {
        std::uint64_t next = 0;
        for (int stuck = 0; stuck < 100; ++stuck) {
            for (const std::string& text : worker.take_all(8)) {
                const auto [lost, plain] = mark_of(text);
                const std::uint64_t number = std::stoull(plain);
                EXPECT_EQ(plain, message(number)) << "wrong bytes";
                EXPECT_GE(number, next) << "out of order";
                gaps += number != next ? 1 : 0;
                wrong_marks += lost != number - next ? 1 : 0;
                next = number + 1;
                ++received;
                stuck = 0;
            }
            worker.acknowledge_all();
            rounds(20);
            stage.clock.advance_ns(5 * ns_per_ms);
            if (HasFailure()) break;
        }
        return next;
    }
    // J1, for a lane of which no position was ever left out.
    void expect_gaps_are_marked(const test::TestProducer& producer) const {
        const PageView& pages = stage.shared.pages;
        PageRef page = producer.slot().first_page.load();
        while (pages.has(page)) {
            const PageRef link = pages.slot(page).next.load();
            const PageRef next = linked_page(link);
            if (!pages.has(next)) break;
            const Position end = pages.slot(page).start.load() + pages.length(page);
            ASSERT_EQ(link != next, pages.slot(next).start.load() != end)
                << "behind position " << end;
            page = next;
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
    std::uint64_t gaps = 0;         // places where messages were missing
    std::uint64_t wrong_marks = 0;  // messages that did not say how many, or not rightly
};

}  // namespace weir::broker

#endif
