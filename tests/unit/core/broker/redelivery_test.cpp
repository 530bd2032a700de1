// SPDX-License-Identifier: Apache-2.0
//
// What a consumer held when it left or died: each place of claims.hpp where it may die is built in
// bytes.
#include "core/broker/redelivery.hpp"

#include <gtest/gtest.h>

#include "tests/support/segment_stage.hpp"

namespace weir::test {
namespace {

using broker::Ending;

// A queue with messages "0" to "9" and a consumer that is about to die.
struct Deathbed {
    explicit Deathbed(int messages = 10) {
        producer = stage.producer(stage.session(), "queue://work");
        for (int number = 0; number < messages; ++number)
            EXPECT_TRUE(producer.send(std::to_string(number)));
        session = stage.session("dying");
        dying = stage.worker(session, "queue://work");
    }
    void die() {
        stage.segment->suspend_session(session);
        stage.segment->end_session(session, Ending::died);
    }
    // What the others get: assigned first, then claimed.
    Texts rest(TestWorker& worker) {
        Texts texts = worker.take_all_assigned();
        const Texts claimed = worker.take_all();
        texts.insert(texts.end(), claimed.begin(), claimed.end());
        return texts;
    }
    // A note for the first `count` messages, as it is before the cursor moves.
    Position write_note(std::uint32_t count, std::uint32_t index = 0) {
        const LaneId lane = producer.lane;
        const Position from = cursor_position(dying.claims.cursor(lane).load());
        LaneReader reader(stage.shared.pages, lane);
        reader.stand(page_of(stage.shared.pages, stage.shared.control.lane(lane), from), from);
        InFlightNote& note = dying.piece.note(index);
        for (std::uint32_t at = 0; at < count; ++at) {
            const RecordView view = reader.look(nullptr);
            if (at == 0) note.from.store(view.position);
            reader.pass(view);
        }
        note.to.store(reader.position());
        note.lane.store(lane);
        note.count.store(count);
        note.due.store((std::uint64_t{1} << count) - 1);
        return reader.position();
    }

    SegmentStage stage;
    TestProducer producer;
    std::uint32_t session = 0;
    TestWorker dying;
};

const Texts all_ten = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};

TEST(Redelivery, ANoteWithoutAMovedCursorIsVoid) {
    Deathbed bed;
    bed.write_note(3);
    bed.die();
    TestWorker other = bed.stage.worker(bed.stage.session(), "queue://work");
    EXPECT_EQ(bed.rest(other), all_ten);
}

TEST(Redelivery, ARecordedWinnerDoesNotMakeTheRecordersOwnNoteAClaim) {
    Deathbed bed;
    TestWorker other = bed.stage.worker(bed.stage.session(), "queue://work");
    ASSERT_EQ(other.take(bed.producer.lane, 2), (Texts{"0", "1"}));
    bed.write_note(3);
    // Step 2 of move_cursor, and not step 3.
    const CursorWord seen = bed.dying.claims.cursor(bed.producer.lane).load();
    bed.dying.claims.won(cursor_claimant(seen))
        .store(won_word(cursor_position(seen), bed.producer.lane));
    bed.die();
    EXPECT_EQ(bed.rest(other), Texts(all_ten.begin() + 2, all_ten.end()));
}

TEST(Redelivery, AMovedCursorMakesTheNoteAClaimAlsoUnconfirmed) {
    Deathbed bed;
    const Position to = bed.write_note(3);
    const CursorWord seen = bed.dying.claims.cursor(bed.producer.lane).load();
    ASSERT_EQ(move_cursor(bed.dying.claims, bed.producer.lane, seen, to, bed.dying.self),
              ClaimOutcome::won);
    bed.die();
    TestWorker other = bed.stage.worker(bed.stage.session(), "queue://work");
    EXPECT_EQ(bed.rest(other), all_ten) << "delivered again, in order, nothing flagged";
}

TEST(Redelivery, AClaimWhoseCursorOthersMovedOnIsProvenByItsWonWord) {
    Deathbed bed;
    TestWorker other = bed.stage.worker(bed.stage.session(), "queue://work");
    const Position to = bed.write_note(3);
    const CursorWord seen = bed.dying.claims.cursor(bed.producer.lane).load();
    ASSERT_EQ(move_cursor(bed.dying.claims, bed.producer.lane, seen, to, bed.dying.self),
              ClaimOutcome::won);
    EXPECT_EQ(other.take(bed.producer.lane, 2), (Texts{"3", "4"}));
    bed.die();
    EXPECT_EQ(bed.rest(other), (Texts{"0", "1", "2", "5", "6", "7", "8", "9"}));
}

TEST(Redelivery, OnlyWhatWasStartedIsFlaggedAndWhatWasAcknowledgedIsGone) {
    Deathbed bed;
    ASSERT_EQ(bed.dying.take(bed.producer.lane, 6).size(), 6u);
    bed.dying.start(0b001111);
    bed.dying.acknowledge(0b000011);
    bed.die();
    TestWorker other = bed.stage.worker(bed.stage.session(), "queue://work");
    EXPECT_EQ(bed.rest(other), (Texts{"*2", "*3", "4", "5", "6", "7", "8", "9"}));
    EXPECT_EQ(bed.stage.books(bed.producer.destination).redelivered.load(), 2u);
    EXPECT_EQ(bed.stage.books(bed.producer.destination).messages_out.load(), 2u);
}

TEST(Redelivery, LeavingGivesBackWhatWasHeldAtOnce) {
    Deathbed bed;
    TestWorker other = bed.stage.worker(bed.stage.session(), "queue://work");
    ASSERT_EQ(bed.dying.take(bed.producer.lane, 4).size(), 4u);
    ASSERT_TRUE(bed.stage.segment->close_consumer(bed.session, bed.dying.subscription));
    EXPECT_EQ(bed.rest(other), all_ten);
}

TEST(Redelivery, NothingIsTakenFromASuspendedConsumer) {
    Deathbed bed;
    ASSERT_EQ(bed.dying.take(bed.producer.lane, 4).size(), 4u);
    bed.stage.segment->suspend_session(bed.session);
    TestWorker other = bed.stage.worker(bed.stage.session(), "queue://work");
    bed.stage.segment->tick();
    EXPECT_EQ(bed.rest(other), Texts(all_ten.begin() + 4, all_ten.end()));
    bed.stage.segment->end_session(bed.session, Ending::died);
    EXPECT_EQ(other.take_all_assigned(), Texts(all_ten.begin(), all_ten.begin() + 4));
}

TEST(Redelivery, AssignmentsThatWereNotTakenGoToTheNextConsumer) {
    Deathbed bed;
    ASSERT_EQ(bed.dying.take(bed.producer.lane, 4).size(), 4u);
    bed.dying.start(0b1);
    bed.die();
    const std::uint32_t second = bed.stage.session();
    TestWorker heir = bed.stage.worker(second, "queue://work");
    ASSERT_EQ(heir.piece.cell().assigned.load(), 1u) << "before it can claim anything";
    bed.stage.segment->end_session(second, Ending::died);
    TestWorker last = bed.stage.worker(bed.stage.session(), "queue://work");
    EXPECT_EQ(bed.rest(last), (Texts{"*0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}));
}

TEST(Redelivery, AnAssignmentThatWasCopiedButNotCountedIsInOneHand) {
    Deathbed bed;
    ASSERT_EQ(bed.dying.take(bed.producer.lane, 4).size(), 4u);
    bed.die();
    const std::uint32_t second = bed.stage.session();
    TestWorker heir = bed.stage.worker(second, "queue://work");
    ASSERT_EQ(heir.take_assigned().size(), 4u);
    heir.piece.cell().taken.store(0);  // died before it stepped `taken`
    heir.acknowledge(0b0001);
    bed.stage.segment->end_session(second, Ending::died);
    TestWorker last = bed.stage.worker(bed.stage.session(), "queue://work");
    EXPECT_EQ(bed.rest(last), Texts(all_ten.begin() + 1, all_ten.end()));
}

TEST(Redelivery, AFinishedAssignmentIsNotDeliveredAgainAndLetsItsPageGo) {
    Deathbed bed(1);
    ASSERT_EQ(bed.dying.take(bed.producer.lane, 1).size(), 1u);
    const std::size_t more = bed.producer.fill(std::string(1000, 'x'), 20);
    TestWorker other = bed.stage.worker(bed.stage.session(), "queue://work", 64);
    ASSERT_EQ(other.take_all(1).size(), more);
    other.acknowledge_all();
    bed.stage.segment->turn();
    const PageRef first = bed.producer.slot().first_page.load();
    bed.die();
    EXPECT_EQ(other.take_assigned(), Texts{"0"});
    bed.stage.segment->turn();
    EXPECT_EQ(bed.producer.slot().first_page.load(), first) << "the note still pins it";
    other.acknowledge_all();
    bed.stage.segment->turn();
    EXPECT_NE(bed.producer.slot().first_page.load(), first);
    EXPECT_EQ(bed.stage.books(bed.producer.destination).depth_messages.load(), 0u);
}

TEST(Redelivery, MoreRangesThanARingHoldsAreToppedUpAsTheyAreTaken) {
    Deathbed bed(200);
    TestWorker many = bed.stage.worker(bed.session, "queue://work", 256);
    ASSERT_EQ(many.take_all(1).size(), 200u);
    bed.die();
    TestWorker other = bed.stage.worker(bed.stage.session(), "queue://work");
    EXPECT_EQ(other.piece.cell().assigned.load(), assignments_of(other.piece.notes));
    EXPECT_EQ(bed.stage.shared.signals.head().hungry.load(), 1u) << "who is done has to ring";
    Texts texts;
    for (int look = 0; look < 400 && texts.size() < 200; ++look) {
        const Texts more = other.take_assigned();
        texts.insert(texts.end(), more.begin(), more.end());
        other.acknowledge_all();
        bed.stage.segment->turn();
    }
    ASSERT_EQ(texts.size(), 200u);
    EXPECT_EQ(bed.stage.shared.signals.head().hungry.load(), 0u);
    for (std::size_t number = 0; number < texts.size(); ++number)
        EXPECT_EQ(texts[number], std::to_string(number));
}

TEST(Redelivery, SeveralConsumersShareWhatIsToBeDeliveredAgain) {
    Deathbed bed;
    ASSERT_EQ(bed.dying.take_all(1).size(), 10u);
    TestWorker one = bed.stage.worker(bed.stage.session(), "queue://work");
    TestWorker two = bed.stage.worker(bed.stage.session(), "queue://work");
    bed.die();
    Texts texts = one.take_all_assigned();
    EXPECT_EQ(texts.size(), 5u);
    const Texts others = two.take_all_assigned();
    texts.insert(texts.end(), others.begin(), others.end());
    std::sort(texts.begin(), texts.end());
    EXPECT_EQ(texts, all_ten);
}

// What a dishonest consumer may leave in a note: nothing of it is followed, and nothing of others
// is lost.
TEST(Redelivery, NonsenseInNotesFreesNothingAndCrashesNothing) {
    const std::uint64_t words[] = {1, 8, 4096, 4160, 4161, ~std::uint64_t{0}, 1ull << 52};
    for (const std::uint64_t from : words) {
        for (const std::uint64_t to : words) {
            for (const std::uint32_t count : {0u, 1u, 64u, 65u, ~0u}) {
                Deathbed bed(3);
                TestWorker honest = bed.stage.worker(bed.stage.session(), "queue://work");
                ASSERT_EQ(honest.take(bed.producer.lane, 1), Texts{"0"});
                InFlightNote& note = bed.dying.piece.note(0);
                note.from.store(from);
                note.to.store(to);
                note.count.store(count);
                note.lane.store(count == 64 ? bed.producer.lane : count * 77);
                note.due.store(~std::uint64_t{0});
                note.confirmed.store(1);
                note.assignment.store(from % 3);
                bed.dying.piece.cell().taken.store(to);
                bed.stage.segment->tick();
                bed.stage.segment->settle();
                bed.die();
                Texts rest = honest.take_all();
                EXPECT_EQ(rest, (Texts{"1", "2"})) << from << ' ' << to << ' ' << count;
            }
        }
    }
}

TEST(Redelivery, ARingOfAssignmentsThatIsReplacedKeepsWhatIsInIt) {
    Deathbed bed;
    for (int number = 0; number < 6; ++number)
        ASSERT_EQ(bed.dying.take(bed.producer.lane, 1).size(), 1u);
    TestWorker heir = bed.stage.worker(bed.stage.session(), "queue://work", 3);
    bed.die();
    ASSERT_EQ(heir.piece.cell().assigned.load(), 3u) << "as many as its piece has room for";
    Texts texts = heir.take_assigned();
    ASSERT_EQ(texts, Texts{"0"});
    bed.stage.widen(heir, 16);
    const Texts rest = bed.rest(heir);
    texts.insert(texts.end(), rest.begin(), rest.end());
    std::sort(texts.begin(), texts.end());
    EXPECT_EQ(texts, (Texts{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}));
}

}  // namespace
}  // namespace weir::test
