// SPDX-License-Identifier: Apache-2.0
//
// Where a queue's cursors stand and how they move: G1-G3 of queue_claims.hpp.
#include "core/broker/queue_claims.hpp"

#include <gtest/gtest.h>

#include "tests/support/segment_stage.hpp"

namespace weir::test {
namespace {

using broker::Ending;

struct ClaimsBench {
    SegmentStage stage{16 << 20, 64 << 20};
    TestProducer producer = stage.producer(stage.session(), "queue://q");
    std::uint32_t session = stage.session();
};

TEST(QueueClaims, ALoneConsumerHasThemInItsOwnPiece) {
    ClaimsBench bench;
    ASSERT_TRUE(bench.producer.send("one"));
    const std::uint64_t heap = bench.stage.heap_used();
    TestWorker lone = bench.stage.worker(bench.session, "queue://q", 8);
    EXPECT_EQ(lone.claims.base, lone.piece.lone_claims().base);
    EXPECT_LT(bench.stage.heap_used() - heap, 6u << 10) << "no memory file, a first block of 4 KiB";
    EXPECT_EQ(lone.take_all(), Texts{"one"});
}

TEST(QueueClaims, ASecondConsumerMovesThemAndTheFirstGoesOn) {
    ClaimsBench bench;
    TestWorker first = bench.stage.worker(bench.session, "queue://q");
    for (const char* text : {"one", "two", "three"}) ASSERT_TRUE(bench.producer.send(text));
    ASSERT_EQ(first.take(bench.producer.lane, 1), Texts{"one"});
    const ClaimsView before = first.claims;
    TestWorker second = bench.stage.worker(bench.stage.session(), "queue://q");
    EXPECT_NE(second.claims.base, second.piece.lone_claims().base);
    EXPECT_EQ(before.cursor(0).load(), 0u) << "G2";
    EXPECT_EQ(second.take(bench.producer.lane, 1), Texts{"two"});
    EXPECT_EQ(first.take(bench.producer.lane, 1), Texts{"three"});
    EXPECT_NE(first.claims.base, before.base);
    EXPECT_EQ(bench.stage.books(bench.producer.destination).depth_messages.load(), 3u);
}

// The consumer wrote its note and had not swapped the cursor when it was taken away.
TEST(QueueClaims, AClaimUnderWayInTheOldPlaceIsLostAndNothingOfItIsTaken) {
    ClaimsBench bench;
    TestWorker first = bench.stage.worker(bench.session, "queue://q");
    ASSERT_TRUE(bench.producer.send("one"));
    const CursorWord seen = first.cursor(bench.producer.lane).load();
    TestWorker second = bench.stage.worker(bench.stage.session(), "queue://q");
    EXPECT_EQ(move_cursor(first.claims, 0, seen, cursor_position(seen) + 16, first.self),
              ClaimOutcome::lost);
    EXPECT_EQ(second.take_all(), Texts{"one"});
}

// It swapped the cursor, did not confirm, and died behind the move.
TEST(QueueClaims, AClaimThatWasWonInTheOldPlaceIsKnownInTheNewOne) {
    for (const bool moved_on : {false, true}) {
        ClaimsBench bench;
        TestWorker dying = bench.stage.worker(bench.session, "queue://q");
        ASSERT_TRUE(bench.producer.send("one"));
        ASSERT_TRUE(bench.producer.send("two"));
        ASSERT_EQ(dying.take(bench.producer.lane, 1), Texts{"one"});
        dying.piece.note(0).confirmed.store(0);
        TestWorker second = bench.stage.worker(bench.stage.session(), "queue://q");
        if (moved_on) {
            ASSERT_EQ(second.take_all(), Texts{"two"});
        }
        bench.stage.segment->end_session(bench.session, Ending::died);
        EXPECT_EQ(second.take_all_assigned(), Texts{"one"}) << moved_on;
    }
}

TEST(QueueClaims, TheyGrowWithTheLanesOfTheQueueAndWhatTheyLeftIsReturned) {
    ClaimsBench bench;
    TestWorker worker = bench.stage.worker(bench.session, "queue://q");
    std::vector<TestProducer> more;
    const std::uint32_t producers = bench.stage.session();
    Texts sent;
    for (int number = 0; number < 300; ++number) {
        more.push_back(bench.stage.producer(producers, "queue://q"));
        sent.push_back(std::to_string(number));
        ASSERT_TRUE(more.back().send(sent.back()));
    }
    Texts taken;
    for (const TestProducer& producer : more) {
        const Texts texts = worker.take(producer.lane);
        taken.insert(taken.end(), texts.begin(), texts.end());
        worker.acknowledge_all();
    }
    EXPECT_EQ(taken, sent);
    EXPECT_GE(worker.claims.lanes, 301u);
    const std::uint64_t heap = bench.stage.heap_used();
    bench.stage.segment->end_session(bench.session, Ending::left);
    TestWorker next = bench.stage.worker(bench.stage.session(), "queue://q");
    EXPECT_LE(bench.stage.heap_used(), heap) << "places that were left are charged to nobody";
}

// G3: else a cursor word could come twice there, and a claimant that slept swap it.
TEST(QueueClaims, ALaneBeginsAboveAllThatWasEverAtItsIndex) {
    broker::Resource direct;
    broker::Resource heap;
    broker::Account direct_root(direct, nullptr);
    broker::Account heap_root(heap, nullptr);
    broker::Destination queue(0, "queue://q", DestinationKind::queue, direct, direct_root, heap,
                              heap_root);
    broker::Lane old(7, 0, direct, queue.direct_account);
    Position start = position_first;
    old.index = take_lane_index(queue, start);
    EXPECT_EQ(start, position_first);
    Position beside = position_first;
    EXPECT_EQ(take_lane_index(queue, beside), old.index + 1);
    old.next_start = 100 * page_unit;
    give_back_lane_index(queue, old);
    Position next = position_first;  // of a slot that was used less
    EXPECT_EQ(take_lane_index(queue, next), old.index);
    EXPECT_GT(next, old.next_start + page_header_bytes) << "behind any cursor that stood there";
}

}  // namespace
}  // namespace weir::test
