// SPDX-License-Identifier: Apache-2.0
//
// The four steps of a claim, with a death behind each of them laid out in bytes, and the races that
// the numbered cases of claims.hpp name.
#include "shm/claims.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "tests/support/lane_stage.hpp"

namespace weir::test {
namespace {

constexpr std::uint32_t lanes = 256;
constexpr LaneId lane = 7;
constexpr std::uint32_t ann = 1;
constexpr std::uint32_t bob = 2;

struct ClaimsStage {
    std::vector<std::uint64_t> memory = std::vector<std::uint64_t>(claims_bytes(lanes, 8) / 8);
    ClaimsView view{reinterpret_cast<std::byte*>(memory.data()), lanes, 8};

    void set(Position position, std::uint32_t claimant) {
        view.cursor(lane).store(cursor_word(position, claimant));
    }
    CursorWord cursor() const { return view.cursor(lane).load(); }
};

TEST(Claims, CursorsOfDifferentLanesNeverShareAWord) {
    std::vector<bool> seen(lanes);
    for (LaneId id = 0; id < lanes; ++id) {
        ASSERT_LT(cursor_index(id, lanes), lanes);
        ASSERT_FALSE(seen[cursor_index(id, lanes)]) << id;
        seen[cursor_index(id, lanes)] = true;
    }
}

TEST(Claims, MovingTheCursorRecordsThePreviousWinnerFirst) {
    ClaimsStage stage;
    stage.set(4160, ann);
    EXPECT_EQ(move_cursor(stage.view, lane, stage.cursor(), 4232, bob), ClaimOutcome::won);
    EXPECT_EQ(stage.view.won(ann).load(), won_word(4160, lane));
    EXPECT_EQ(stage.cursor(), cursor_word(4232, bob));
}

TEST(Claims, WhoComesSecondLosesAndChangesNothing) {
    ClaimsStage stage;
    stage.set(4160, ann);
    const CursorWord seen = stage.cursor();
    ASSERT_EQ(move_cursor(stage.view, lane, seen, 4232, bob), ClaimOutcome::won);
    EXPECT_EQ(move_cursor(stage.view, lane, seen, 4304, 3), ClaimOutcome::lost);
    EXPECT_EQ(stage.cursor(), cursor_word(4232, bob));
    EXPECT_EQ(stage.view.won(bob).load(), 0u);
}

TEST(Claims, AClaimantThatWasStoppedForLongCannotSetAWinnerBack) {
    ClaimsStage stage;
    stage.set(4160, ann);
    const CursorWord seen_long_ago = stage.cursor();
    ASSERT_EQ(move_cursor(stage.view, lane, seen_long_ago, 4232, bob), ClaimOutcome::won);
    ASSERT_EQ(move_cursor(stage.view, lane, stage.cursor(), 4304, ann), ClaimOutcome::won);
    ASSERT_EQ(move_cursor(stage.view, lane, stage.cursor(), 4376, bob), ClaimOutcome::won);
    ASSERT_EQ(stage.view.won(ann).load(), won_word(4304, lane));
    EXPECT_EQ(move_cursor(stage.view, lane, seen_long_ago, 4400, 3), ClaimOutcome::lost);
    EXPECT_EQ(stage.view.won(ann).load(), won_word(4304, lane)) << "K3";
}

TEST(Claims, ANoteIsAClaimOnlyIfCursorOrWonOrItselfSaysSo) {
    struct Case {
        const char* died_behind;
        CursorWord cursor;
        std::uint64_t won;
        bool confirmed;
        bool claim;
    };
    const Position from = 4160;
    const Position to = 4232;
    const Case cases[] = {
        {"step 1: noted", cursor_word(from, bob), 0, false, false},
        {"step 1, and another took the range", cursor_word(to, bob), 0, false, false},
        {"step 1, an older win is recorded", cursor_word(to, bob), won_word(from, lane), false,
         false},
        {"step 1, a win in another lane", cursor_word(to, bob), won_word(to, lane + 1), false,
         false},
        {"step 3: moved", cursor_word(to, ann), 0, false, true},
        {"step 3, and moved on by another", cursor_word(4304, bob), won_word(to, lane), false,
         true},
        {"step 4: confirmed, long ago", cursor_word(9000, bob), won_word(8992, 3), true, true},
    };
    for (const Case& c : cases) {
        ClaimsStage stage;
        stage.view.cursor(lane).store(c.cursor);
        stage.view.won(ann).store(c.won);
        EXPECT_EQ(is_claim(stage.view, lane, to, ann, c.confirmed), c.claim) << c.died_behind;
    }
}

TEST(Claims, PositionLaneAndClaimantComeBackFromTheEdgesOfTheirFields) {
    for (const Position position :
         {Position{0}, position_first, position_limit / 2, position_limit - 8}) {
        for (const std::uint32_t low :
             {0u, 1u, 255u, 4095u, 4096u, 8192u, lanes_max - 1, claimant_of(lanes_max - 1)}) {
            const CursorWord word = cursor_word(position, low);
            EXPECT_EQ(cursor_position(word), position) << low;
            EXPECT_EQ(cursor_claimant(word), low) << position;
            EXPECT_EQ(won_word(position, low), word) << "the same fields";
            EXPECT_NE(cursor_word(position + 8, low), word);
        }
    }
}

TEST(Claims, TheHighestNumbersClaimInTheHighestLaneAndAreKnownAsWinners) {
    std::vector<std::uint64_t> memory(claims_bytes(lanes_max, lanes_max) / 8);
    const ClaimsView view{reinterpret_cast<std::byte*>(memory.data()), lanes_max, lanes_max};
    constexpr LaneId top = lanes_max - 1;
    constexpr std::uint32_t last = claimant_of(lanes_max - 1);
    const Position from = position_limit - 64;
    view.cursor(top).store(cursor_word(from, 0));
    ASSERT_EQ(move_cursor(view, top, cursor_word(from, 0), from + 8, last), ClaimOutcome::won);
    EXPECT_TRUE(is_claim(view, top, from + 8, last, false));
    ASSERT_EQ(move_cursor(view, top, cursor_word(from + 8, last), from + 16, last - 1),
              ClaimOutcome::won);
    EXPECT_TRUE(is_claim(view, top, from + 8, last, false)) << "it is recorded";
    EXPECT_TRUE(is_claim(view, top, from + 16, last - 1, false));
    EXPECT_FALSE(is_claim(view, top, from + 16, last, false));
    EXPECT_FALSE(is_claim(view, top, from + 8, last - 1, false));
    EXPECT_EQ(&view.won(last) + 8, reinterpret_cast<std::atomic<std::uint64_t>*>(
                                       memory.data() + lanes_max + (last + 1) * 8))
        << "inside the region";
}

// A word that a liar wrote names a claimant that there is not.
TEST(Claims, AClaimantThatCannotBeIsNotRecorded) {
    ClaimsStage stage;
    const std::vector<std::uint64_t> before = stage.memory;
    stage.set(4160, 9);
    ASSERT_EQ(move_cursor(stage.view, lane, stage.cursor(), 4232, ann), ClaimOutcome::won);
    stage.set(0, 0);
    EXPECT_EQ(stage.memory, before);
}

class SharedLane : public ::testing::Test {
protected:
    SharedLane() {
        stage.grant(1);
        stage.grant(1);
        claims.set(position_first, 0);
    }
    RangeStatus claim(SharedReader& reader, InFlightNote& note, std::uint32_t limit = 64) {
        return reader.claim(claims.view, cell, note, limit, range);
    }
    std::vector<std::string> texts() {
        std::vector<std::string> texts;
        for (std::uint32_t i = 0; i < range.count; ++i) {
            const RecordView view = range.reader.look(nullptr);
            texts.push_back(LaneStage::text(view));
            range.reader.pass(view);
        }
        return texts;
    }

    LaneStage stage;
    ClaimsStage claims;
    ConsumerCell cell{};
    InFlightNote notes[4]{};
    ClaimedRange range;
    LaneWriter writer = stage.writer();
    SharedReader first{stage.pages(), stage.lane, lane, ann};
    SharedReader second{stage.pages(), stage.lane, lane, bob};
};

using Texts = std::vector<std::string>;

TEST_F(SharedLane, TwoConsumersShareTheMessagesWithoutOverlap) {
    for (const char* text : {"a", "b", "c", "d"}) ASSERT_TRUE(LaneStage::send(writer, text));
    ASSERT_EQ(claim(first, notes[0], 2), RangeStatus::taken);
    EXPECT_TRUE(range.more);
    EXPECT_EQ(texts(), (Texts{"a", "b"}));
    ASSERT_EQ(claim(second, notes[1]), RangeStatus::taken);
    EXPECT_FALSE(range.more);
    EXPECT_EQ(texts(), (Texts{"c", "d"}));
    EXPECT_EQ(claim(first, notes[2]), RangeStatus::empty);
    EXPECT_EQ(notes[0].confirmed.load(), 1u);
    EXPECT_EQ(notes[0].due.load(), 3u);
    EXPECT_EQ(notes[2].from.load(), 0u);
}

TEST_F(SharedLane, ARangeLiesInOnePage) {
    Texts sent;
    for (int i = 0; i < 5; ++i) sent.push_back(std::string(1200, static_cast<char>('a' + i)));
    for (const std::string& text : sent) ASSERT_TRUE(LaneStage::send(writer, text));
    ASSERT_EQ(claim(first, notes[0]), RangeStatus::taken);
    EXPECT_EQ(texts(), Texts(sent.begin(), sent.begin() + 3));
    ASSERT_EQ(claim(first, notes[1]), RangeStatus::taken);
    EXPECT_EQ(texts(), Texts(sent.begin() + 3, sent.end()));
}

TEST_F(SharedLane, SkipRecordsAreNeitherCountedNorDelivered) {
    ASSERT_TRUE(LaneStage::send(writer, "a"));
    writer.abandon(LaneStage::open(writer, 40));
    ASSERT_TRUE(LaneStage::send(writer, "b"));
    ASSERT_EQ(claim(first, notes[0]), RangeStatus::taken);
    EXPECT_EQ(range.count, 2u);
    EXPECT_EQ(texts(), (Texts{"a", "b"}));
}

TEST_F(SharedLane, AFullRangeHasAllItsBitsDue) {
    for (int i = 0; i < 70; ++i) ASSERT_TRUE(LaneStage::send(writer, "x"));
    ASSERT_EQ(claim(first, notes[0]), RangeStatus::taken);
    EXPECT_EQ(range.count, 64u);
    EXPECT_EQ(notes[0].due.load(), ~std::uint64_t{0});
    ASSERT_EQ(claim(first, notes[1]), RangeStatus::taken);
    EXPECT_EQ(range.count, 6u);
}

TEST_F(SharedLane, AReaderWhosePageWasFreedFindsTheCursorFromTheOldestPage) {
    ASSERT_TRUE(LaneStage::send(writer, std::string(3000, 'a')));
    ASSERT_EQ(claim(first, notes[0]), RangeStatus::taken);
    const PageRef old = range.reader.page();
    ASSERT_TRUE(LaneStage::send(writer, std::string(3000, 'b')));
    ASSERT_EQ(claim(second, notes[1]), RangeStatus::taken);
    const PageRef next = range.reader.page();
    ASSERT_NE(old, next);
    // The broker frees the first page and gives it to somebody else.
    stage.lane.first_page.store(next);
    stage.slot(old).start.store(position_first + 100 * page_unit);
    ASSERT_TRUE(LaneStage::send(writer, "c"));
    ASSERT_EQ(claim(first, notes[2]), RangeStatus::taken);
    EXPECT_EQ(texts(), Texts{"c"});
}

TEST_F(SharedLane, AnAssignedRangeIsFoundByItsPosition) {
    for (const char* text : {"a", "b", "c"}) ASSERT_TRUE(LaneStage::send(writer, text));
    ASSERT_EQ(claim(first, notes[0], 2), RangeStatus::taken);
    LaneReader reader(stage.pages(), lane);
    ASSERT_TRUE(stand_at_range(reader, stage.pages(), stage.lane, range.from, range.to));
    EXPECT_EQ(LaneStage::text(reader.look(nullptr)), "a");
    EXPECT_FALSE(stand_at_range(reader, stage.pages(), stage.lane, range.from, range.to + 99999));
    EXPECT_FALSE(stand_at_range(reader, stage.pages(), stage.lane, 999999, 1000000));
}

// K4. Ann claims from one lane, confirms, claims from another and dies before she confirms that.
// Bob goes on in both lanes, in the second one first.
TEST(Claims, WhatAClaimantDiedInIsKnownWhateverHappensToItsEarlierLanes) {
    ClaimsStage stage;
    constexpr LaneId second = 9;
    stage.set(4160, 0);
    stage.view.cursor(second).store(cursor_word(8256, 0));
    ASSERT_EQ(move_cursor(stage.view, lane, stage.cursor(), 4232, ann), ClaimOutcome::won);
    step_off(stage.view, lane, 4232, ann);
    ASSERT_EQ(move_cursor(stage.view, second, cursor_word(8256, 0), 8320, ann), ClaimOutcome::won);

    ASSERT_EQ(move_cursor(stage.view, second, cursor_word(8320, ann), 8384, bob),
              ClaimOutcome::won);
    EXPECT_EQ(cursor_position(stage.cursor()), 4232u) << "stepping off moves nothing";
    ASSERT_EQ(move_cursor(stage.view, lane, stage.cursor(), 4304, bob), ClaimOutcome::won);
    EXPECT_TRUE(is_claim(stage.view, second, 8320, ann, false));
}

// Somebody moved the cursor on already: it is not touched.
TEST(Claims, SteppingOffACursorThatMovedChangesNothing) {
    ClaimsStage stage;
    stage.set(4232, bob);
    step_off(stage.view, lane, 4160, ann);
    EXPECT_EQ(stage.cursor(), cursor_word(4232, bob));
}

}  // namespace
}  // namespace weir::test
