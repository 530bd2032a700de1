// SPDX-License-Identifier: Apache-2.0
//
// A recount of a real segment: it agrees with the books whatever clients did, and names what the
// test damages in the live regions, one word at a time. The broker's process is this one, so its
// memory files are found where a tool would find them.
#include "core/inspect/recount.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "core/inspect/examination.hpp"
#include "tests/support/segment_stage.hpp"

namespace weir::inspect {
namespace {

using test::SegmentStage;
using test::TestProducer;
using test::TestSubscriber;
using test::TestWorker;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr auto relaxed = std::memory_order_relaxed;

class Recounts : public ::testing::Test {
protected:
    Recounted look(bool settled = true, bool lives = true) {
        if (settled) stage.segment->settle();
        BrokerFiles files(static_cast<std::uint32_t>(getpid()));
        return recount(stage.shared.control, stage.shared.control.limits.control_bytes, files,
                       {lives, settled});
    }
    Examination examined() {
        return examine([this] { return look(); }, [] {}, 10);
    }
    // The broker's own slots, over its own mapping: no tool and no client could write them.
    Superblock& superblock() {
        return const_cast<Superblock&>(stage.segment->control().superblock());  // NOLINT
    }
    LaneSlot& lane(LaneId id) {
        return const_cast<LaneSlot&>(stage.segment->control().lane(id));  // NOLINT
    }
    PageSlot& page(std::uint64_t unit) {
        return const_cast<PageSlot&>(stage.segment->control().pages()[unit]);  // NOLINT
    }

    SegmentStage stage;
};

// All differences as one text, for a failed test to show.
std::string said(const std::vector<Difference>& all) {
    std::string text;
    for (const Difference& one : all)
        text += std::string(name_of(one.resource)) + ": " + one.where + ": " + one.what + "\n";
    return text;
}

TEST_F(Recounts, OfAnUntouchedBrokerAgreeWithItsBooks) {
    const Recounted seen = look();
    EXPECT_EQ(said(seen.differences), "");
    EXPECT_THAT(seen.unseen, IsEmpty());
    EXPECT_TRUE(seen.at_rest);
    EXPECT_TRUE(seen.of(Resource::heap).seen);
    EXPECT_GT(seen.of(Resource::heap).counted, stage.shared.control.limits.control_bytes);
}

TEST_F(Recounts, AgreeWhateverProducersAndConsumersOfQueuesDid) {
    const std::uint32_t session = stage.session();
    TestProducer one = stage.producer(session, "queue://orders");
    TestProducer other = stage.producer(session, "queue://orders");
    for (int number = 0; number < 500; ++number) {
        ASSERT_TRUE(one.send(std::string(static_cast<std::size_t>(number), 'x')));
        ASSERT_TRUE(other.send("short"));
    }
    EXPECT_EQ(said(look().differences), "");
    TestWorker worker = stage.worker(stage.session("eats"), "queue://orders");
    ASSERT_FALSE(worker.take_all(7).empty());
    worker.acknowledge(0b101);
    const Recounted held = look();
    EXPECT_EQ(said(held.differences), "");
    EXPECT_EQ(held.of(Resource::messages).counted, 998u);
    EXPECT_GT(held.of(Resource::cursors).counted, 0u);
    worker.acknowledge_all();
    stage.settle_turns();
    EXPECT_EQ(said(look().differences), "");
}

TEST_F(Recounts, AgreeWhenConsumersDiedAndTheirRangesWaitForOthers) {
    TestProducer producer = stage.producer(stage.session(), "queue://orders");
    ASSERT_EQ(producer.fill("message", 300), 300u);
    const std::uint32_t first = stage.session("dies");
    TestWorker dying = stage.worker(first, "queue://orders");
    ASSERT_EQ(dying.take_all(20).size(), 300u);
    dying.acknowledge(0b11);
    stage.segment->end_session(first, broker::Ending::died);
    const Recounted pending = look();
    EXPECT_EQ(said(pending.differences), "");
    EXPECT_EQ(pending.of(Resource::messages).counted, 298u);
    const std::uint32_t second = stage.session("also dies");
    TestWorker heir = stage.worker(second, "queue://orders");
    ASSERT_FALSE(heir.take_assigned().empty());
    EXPECT_EQ(said(look().differences), "");
    stage.segment->end_session(second, broker::Ending::died);
    EXPECT_EQ(said(look().differences), "");
}

TEST_F(Recounts, AgreeForSubscribersOfTopicsAndPatterns) {
    TestSubscriber named = stage.subscriber(stage.session(), "topic://news.sport");
    TestSubscriber all = stage.subscriber(stage.session(), "topic://news.>");
    TestProducer sport = stage.producer(stage.session(), "topic://news.sport");
    TestProducer other = stage.producer(stage.session(), "topic://news.other");
    ASSERT_EQ(sport.fill("goal", 200), 200u);
    ASSERT_EQ(other.fill("rain", 50), 50u);
    ASSERT_EQ(named.drain().size(), 200u);
    const Recounted seen = look();
    EXPECT_EQ(said(seen.differences), "");
    EXPECT_EQ(seen.of(Resource::messages).counted, 250u);
    stage.segment->end_session(all.session, broker::Ending::left);
    EXPECT_EQ(said(look().differences), "");
}

TEST_F(Recounts, NameTheLaneWhoseAccountIsWrong) {
    TestProducer producer = stage.producer(stage.session(), "queue://orders");
    ASSERT_EQ(producer.fill("message", 10), 10u);
    lane(producer.lane).direct_bytes.fetch_add(page_unit, relaxed);
    const Examination found = examined();
    ASSERT_EQ(found.drift.size(), 1u) << said(found.drift);
    EXPECT_EQ(found.drift[0].resource, Resource::direct);
    EXPECT_THAT(found.drift[0].where, HasSubstr("lane 0 of queue://orders"));
    EXPECT_EQ(found.drift_of(Resource::direct), page_unit);
    EXPECT_THAT(found.moving, IsEmpty());
}

TEST_F(Recounts, NameTheDestinationWhoseAccountIsWrong) {
    TestProducer producer = stage.producer(stage.session(), "queue://orders");
    ASSERT_EQ(producer.fill("message", 10), 10u);
    auto& slot = const_cast<DestinationSlot&>(  // NOLINT: the broker's own
        stage.segment->control().destination(producer.destination));
    slot.direct.used.fetch_sub(page_unit, relaxed);
    const Examination found = examined();
    ASSERT_EQ(found.drift.size(), 1u) << said(found.drift);
    EXPECT_EQ(found.drift[0].where, "queue://orders");
}

// A queue that is one message deep at each look, of other messages each time.
TEST(Examinations, OfTheSameNumbersAtOtherPositionsFindMovement) {
    std::uint64_t looks = 0;
    const auto look = [&] {
        Recounted seen;
        seen.at_rest = true;
        seen.differences.push_back({Resource::messages, "queue://busy", "", 0, 1, ++looks});
        return seen;
    };
    const Examination found = examine(
        look, [] {}, 10);
    EXPECT_EQ(looks, 10u);
    EXPECT_EQ(said(found.drift), "");
    EXPECT_EQ(found.moving.size(), 1u);
}

TEST_F(Recounts, NameTheBrokersOwnAccountsWhenTheyAreWrong) {
    Superblock& super = superblock();
    super.direct.used.fetch_add(3 * page_unit, relaxed);
    super.heap.used.fetch_sub(100, relaxed);
    const Examination found = examined();
    ASSERT_EQ(found.drift.size(), 2u) << said(found.drift);
    EXPECT_EQ(found.drift[0].where, "the broker");
    EXPECT_EQ(found.drift_of(Resource::direct), 3 * page_unit);
    EXPECT_EQ(found.drift_of(Resource::heap), 100u);
}

TEST_F(Recounts, NameAPageThatNoLaneLeadsTo) {
    PageSlot& slot = page(1000);
    slot.units.store(2, relaxed);
    slot.lane.store(5, relaxed);
    slot.start.store(page_unit, relaxed);
    const Examination found = examined();
    ASSERT_EQ(found.drift.size(), 1u) << said(found.drift);
    EXPECT_EQ(found.drift[0].where, "page 1001");
    EXPECT_THAT(found.drift[0].what, HasSubstr("lane 5"));
}

// One word that a consumer wrote: the position stands in the middle of a record.
TEST_F(Recounts, NameACursorOfAQueueThatStandsWhereNoRecordBegins) {
    TestProducer producer = stage.producer(stage.session(), "queue://orders");
    ASSERT_EQ(producer.fill("a message of some length", 10), 10u);
    TestWorker worker = stage.worker(stage.session(), "queue://orders");
    ASSERT_EQ(worker.take(producer.lane, 4).size(), 4u);
    std::atomic<CursorWord>& cursor = worker.claims.cursor(producer.lane);
    const CursorWord before = cursor.load(relaxed);
    cursor.store(cursor_word(cursor_position(before) + 8, worker.self), relaxed);
    const Examination found = examined();
    ASSERT_FALSE(found.drift.empty());
    EXPECT_EQ(found.drift[0].resource, Resource::cursors) << said(found.drift);
    EXPECT_THAT(found.drift[0].where, HasSubstr("the shared cursor on lane 0 of queue://orders"));
}

TEST_F(Recounts, NameACursorThatWentBack) {
    TestProducer producer = stage.producer(stage.session(), "queue://orders");
    ASSERT_EQ(producer.fill("a message of some length", 10), 10u);
    TestWorker worker = stage.worker(stage.session(), "queue://orders");
    ASSERT_EQ(worker.take(producer.lane, 4).size(), 4u);
    stage.segment->settle();
    worker.claims.cursor(producer.lane)
        .store(cursor_word(position_first + page_header_bytes, worker.self), relaxed);
    const Examination found = examined();
    ASSERT_FALSE(found.drift.empty());
    EXPECT_EQ(found.drift[0].resource, Resource::cursors) << said(found.drift);
    EXPECT_THAT(found.drift[0].what, HasSubstr("the broker accepted"));
}

TEST_F(Recounts, NameTheCursorOfASubscriptionThatIsWrong) {
    TestSubscriber subscriber = stage.subscriber(stage.session(), "topic://news");
    TestProducer producer = stage.producer(stage.session(), "topic://news");
    ASSERT_EQ(producer.fill("a message of some length", 10), 10u);
    ASSERT_EQ(subscriber.drain().size(), 10u);
    subscriber.piece.place_of(producer.lane)->cursor.fetch_sub(8, relaxed);
    const Examination found = examined();
    ASSERT_FALSE(found.drift.empty());
    EXPECT_EQ(found.drift[0].resource, Resource::cursors) << said(found.drift);
    EXPECT_THAT(found.drift[0].where, HasSubstr("the cursor of subscription 0 on lane 0"));
}

// The header is the producer's word, which the broker believes: the records say otherwise.
TEST_F(Recounts, WalkRecordsAndBelieveNoHeader) {
    TestProducer producer = stage.producer(stage.session(), "queue://orders");
    ASSERT_EQ(producer.fill(std::string(1000, 'x'), 10), 10u);
    const PageRef first = producer.slot().first_page.load(relaxed);
    PageHeader& header = stage.shared.pages.header(first);
    ASSERT_NE(header.sealed.load(relaxed), 0u);
    header.sealed.fetch_sub(1, relaxed);
    const Examination found = examined();
    ASSERT_FALSE(found.drift.empty());
    EXPECT_EQ(found.drift[0].resource, Resource::messages) << said(found.drift);
    EXPECT_EQ(found.drift[0].where, "queue://orders");
}

TEST_F(Recounts, SayWhatCannotBeSeenOfADeadBroker) {
    TestProducer producer = stage.producer(stage.session(), "queue://orders");
    ASSERT_EQ(producer.fill("message", 10), 10u);
    const Recounted seen = look(false, false);
    EXPECT_EQ(said(seen.differences), "");
    EXPECT_TRUE(seen.of(Resource::direct).seen);
    EXPECT_FALSE(seen.of(Resource::heap).seen);
    EXPECT_FALSE(seen.of(Resource::messages).seen);
    EXPECT_EQ(seen.unseen.size(), 2u);
}

TEST_F(Recounts, FollowNoLinkOutOfTheRegion) {
    TestProducer producer = stage.producer(stage.session(), "queue://orders");
    ASSERT_EQ(producer.fill("message", 10), 10u);
    lane(producer.lane).first_page.store(0xfffffff0, relaxed);
    const Examination found = examined();
    EXPECT_THAT(said(found.drift), HasSubstr("its chain leads to page"));
}

TEST_F(Recounts, OfTablesThatAreBeingChangedAreMovingAndNoDrift) {
    Superblock& super = superblock();
    super.direct.used.fetch_add(page_unit, relaxed);
    super.changes.fetch_add(1, relaxed);  // as if the broker died in the middle
    const Examination found = examine([this] { return look(false); }, [] {}, 10);
    EXPECT_THAT(found.drift, IsEmpty());
    EXPECT_FALSE(found.moving.empty());
    EXPECT_TRUE(found.tables_moved);
    super.changes.fetch_add(1, relaxed);
}

TEST_F(Recounts, ThatDifferEachTimeOtherwiseAreMoving) {
    std::uint64_t number = 0;
    const Examination found = examine(
        [&] {
            Recounted one;
            one.at_rest = true;
            one.differences.push_back({Resource::messages, "queue://busy", "moves", ++number, 0});
            return one;
        },
        [] {}, 10);
    EXPECT_THAT(found.drift, IsEmpty());
    EXPECT_EQ(found.moving.size(), 1u);
    EXPECT_EQ(found.recounts, 10u);
}

TEST_F(Recounts, CountTheReachablePagesOfEachDestination) {
    TestProducer one = stage.producer(stage.session(), "queue://one");
    TestProducer other = stage.producer(stage.session(), "queue://other");
    ASSERT_EQ(one.fill(std::string(3000, 'x'), 20), 20u);
    const Reachable seen = reachable_pages(stage.shared.control);
    EXPECT_TRUE(seen.at_rest);
    EXPECT_EQ(seen.bytes, stage.direct_used());
    EXPECT_EQ(seen.of_destination[other.destination], page_unit);
    EXPECT_EQ(seen.of_destination[one.destination] + page_unit, seen.bytes);
}

TEST_F(Recounts, CountLanesWhosePlaceASubscriberHasNotAskedForYet) {
    TestSubscriber subscriber = stage.subscriber(stage.session(), "topic://news");
    const std::uint32_t session = stage.session();
    for (int number = 0; number < 20; ++number)
        ASSERT_EQ(stage.producer(session, "topic://news").fill("a message", 10), 10u);
    const auto is_clean = [&] {
        const Examination found = examined();
        EXPECT_TRUE(found.drift.empty()) << said(found.drift);
        EXPECT_TRUE(found.last.of(Resource::messages).seen);
        return found.last.of(Resource::messages).counted;
    };
    EXPECT_EQ(is_clean(), 200u);
    EXPECT_EQ(subscriber.drain().size(), 80u) << "of those that have one";
    EXPECT_EQ(is_clean(), 120u);
    stage.widen(subscriber);
    EXPECT_EQ(is_clean(), 120u);
    EXPECT_EQ(subscriber.drain().size(), 120u);
    EXPECT_EQ(is_clean(), 0u);
}

// It has more places than it has asked for, and stands in none of those lanes any more.
TEST_F(Recounts, CountNothingForASubscriberThatWasEnded) {
    ASSERT_TRUE(stage.segment->set_policy("topic://news", "slow-subscriber=end"));
    TestSubscriber slow = stage.subscriber(stage.session(), "topic://news");
    TestSubscriber quick = stage.subscriber(stage.session(), "topic://news");
    const std::uint32_t session = stage.session();
    std::vector<TestProducer> producers;
    for (int number = 0; number < 12; ++number) {
        producers.push_back(stage.producer(session, "topic://news"));
        ASSERT_EQ(producers.back().fill("a message", 10), 10u);
    }
    stage.widen(quick);
    const std::atomic<SlotState>& state =
        stage.shared.control.subscription(slow.subscription).state;
    for (int turn = 0; turn < 100 && state.load() != SlotState::ended; ++turn) {
        producers.front().fill(std::string(1000, 'x'), 1000);
        quick.drain();
        stage.segment->turn();
    }
    ASSERT_EQ(state.load(), SlotState::ended);
    quick.drain();
    const Examination found = examined();
    EXPECT_TRUE(found.drift.empty()) << said(found.drift);
}

}  // namespace
}  // namespace weir::inspect
