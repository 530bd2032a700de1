// SPDX-License-Identifier: Apache-2.0
//
// LaneWriter and LaneReader over the same bytes, with every page granted by hand.
#include <gtest/gtest.h>

#include "tests/support/lane_stage.hpp"

namespace weir::test {
namespace {

using Texts = std::vector<std::string>;

TEST(Lane, ReaderGetsWhatWasSentInOrder) {
    LaneStage stage;
    LaneReader reader = stage.reader(stage.grant(1));
    LaneWriter writer = stage.writer();
    for (const char* text : {"", "a", "12345678", "123456789"})
        ASSERT_TRUE(LaneStage::send(writer, text));
    EXPECT_EQ(LaneStage::drain(reader), (Texts{"", "a", "12345678", "123456789"}));
    EXPECT_EQ(LaneStage::drain(reader), Texts{});
}

TEST(Lane, AMessageLikeTheOneBeforeIsTakenWithoutItsWordsLength) {
    LaneStage stage;
    LaneReader reader = stage.reader(stage.grant(1));
    LaneWriter writer = stage.writer();
    for (const char* text : {"", "12345678", "abcdefgh", "other"})
        ASSERT_TRUE(LaneStage::send(writer, text));
    const Position first = reader.position();
    EXPECT_TRUE(reader.repeats(reader.word_here())) << "an empty one is what a reader begins with";
    reader.take_expected();
    EXPECT_EQ(reader.position(), first + 8);
    EXPECT_FALSE(reader.repeats(reader.word_here())) << "it is larger than the one before";
    reader.expect(reader.word_here());
    for (const char* text : {"12345678", "abcdefgh"}) {
        ASSERT_TRUE(reader.repeats(reader.word_here()));
        const std::byte* const record = reader.take_expected();
        EXPECT_EQ(std::memcmp(record + commit_word_bytes, text, 8), 0);
    }
    EXPECT_EQ(reader.position(), first + 8 + 2 * 16);
    EXPECT_FALSE(reader.repeats(reader.word_here())) << "it is smaller";
    reader.expect(reader.word_here());
    reader.take_expected();
    EXPECT_FALSE(reader.repeats(reader.word_here())) << "nothing is there yet";
}

TEST(Lane, AWordLikeTheOneBeforeThatDoesNotFitItsPageIsNotTaken) {
    LaneStage stage;
    const PageRef page = stage.grant(1);
    LaneReader reader = stage.reader(page);
    LaneWriter writer = stage.writer();
    ASSERT_TRUE(LaneStage::send(writer, std::string(1000, 'x')));
    const std::uint64_t word = reader.word_here();
    reader.expect(word);
    reader.take_expected();
    for (std::uint64_t room : {1008u, 1000u}) {
        const Position at = position_first + page_unit - room;
        reader.stand(page, at);
        word_at(stage.pages().bytes(page) + (at - position_first)).store(word);
        EXPECT_EQ(reader.repeats(reader.word_here()), room == 1008) << room;
        EXPECT_EQ(reader.may_take(reader.word_here()), room == 1008) << room;
    }
}

TEST(Lane, AMessageCostsEightBytesMoreThanItsPayloadRoundedToEight) {
    LaneStage stage;
    stage.grant(1);
    LaneWriter writer = stage.writer();
    ASSERT_TRUE(LaneStage::send(writer, ""));
    Position before = writer.tail();
    ASSERT_TRUE(LaneStage::send(writer, std::string(64, 'x')));
    EXPECT_EQ(writer.tail() - before, 72u);
    before = writer.tail();
    ASSERT_TRUE(LaneStage::send(writer, "y"));
    EXPECT_EQ(writer.tail() - before, 16u);
}

TEST(Lane, TheShortWayIsAnnouncedUntilItsRecordIsPublished) {
    LaneStage stage;
    LaneReader reader = stage.reader(stage.grant(1));
    LaneWriter writer = stage.writer();
    ASSERT_TRUE(LaneStage::send(writer, "enters the page"));
    const Position at = writer.tail();
    std::byte* const record = writer.claim_alone(16);
    ASSERT_NE(record, nullptr);
    EXPECT_TRUE(is_writing(stage.producer.announced.load(), at)) << "the lane ends at the claim";
    record[commit_word_bytes] = std::byte{'x'};
    writer.commit_alone(record, commit_word(RecordKind::message, 0, 1));
    EXPECT_FALSE(is_writing(stage.producer.announced.load(), writer.tail()));
    EXPECT_EQ(LaneStage::drain(reader), (Texts{"enters the page", "x"}));
    LaneStage::open(writer, 1);
    EXPECT_TRUE(is_writing(stage.producer.announced.load(), writer.tail() + 1000));
    EXPECT_EQ(writer.claim_alone(16), nullptr) << "it must not replace the open one's announcement";
}

TEST(Lane, TheShortWayEndsWhereItsOwnerHasToActAndBeforeThePageEnds) {
    LaneStage stage;
    stage.grant(1);
    LaneWriter writer = stage.writer();
    ASSERT_TRUE(LaneStage::send(writer, "enters the page"));
    writer.end_short_way_at(writer.tail() + 16);
    EXPECT_EQ(writer.claim_alone(24), nullptr);
    ASSERT_NE(writer.claim_alone(16), nullptr);
    writer.end_short_way_at(~Position{0});
    const std::uint64_t left = position_first + page_unit - writer.tail();
    EXPECT_EQ(writer.claim_alone(left), nullptr) << "there is no word behind it to clear";
    EXPECT_NE(writer.claim_alone(left - commit_word_bytes), nullptr);
}

TEST(Lane, WithoutAGrantNothingIsWrittenAndNothingChanges) {
    LaneStage stage;
    LaneReader reader = stage.reader(stage.grant(1));
    LaneWriter writer = stage.writer();
    const std::string large(3000, 'x');
    ASSERT_TRUE(LaneStage::send(writer, large));
    const Position tail = writer.tail();
    ASSERT_FALSE(LaneStage::send(writer, large));
    EXPECT_EQ(writer.tail(), tail);
    EXPECT_EQ(stage.producer.announced.load(), 0u) << "an announcement stayed behind";
    EXPECT_EQ(LaneStage::drain(reader).size(), 1u);
    ASSERT_TRUE(LaneStage::send(writer, "small")) << "what still fits the page goes on";
    EXPECT_EQ(LaneStage::drain(reader), Texts{"small"});
}

TEST(Lane, GoesOnInTheNextPageAndTheReaderFollows) {
    LaneStage stage;
    LaneReader reader = stage.reader(stage.grant(1));
    stage.grant(2);
    stage.grant(1);
    LaneWriter writer = stage.writer();
    Texts sent;
    for (int i = 0; i < 30; ++i) {
        sent.push_back(
            std::string(static_cast<std::size_t>(300 + i * 10), static_cast<char>('a' + i % 26)));
        ASSERT_TRUE(LaneStage::send(writer, sent.back())) << i;
    }
    EXPECT_EQ(LaneStage::drain(reader), sent);
}

TEST(Lane, ARecordThatEndsExactlyAtThePageEndNeedsNoMarker) {
    LaneStage stage;
    LaneReader reader = stage.reader(stage.grant(1));
    const PageRef second = stage.grant(1);
    LaneWriter writer = stage.writer();
    const std::string exact(page_unit - page_header_bytes - commit_word_bytes, 'x');
    ASSERT_TRUE(LaneStage::send(writer, exact));
    EXPECT_EQ(LaneStage::drain(reader), Texts{exact});
    ASSERT_TRUE(LaneStage::send(writer, "next"));
    EXPECT_EQ(LaneStage::drain(reader), Texts{"next"});
    EXPECT_EQ(reader.page(), second);
}

TEST(Lane, ALargeRecordIsRefusedByASmallNextPageWhichStaysGranted) {
    LaneStage stage;
    stage.grant(1);
    stage.grant(1);
    LaneWriter writer = stage.writer();
    ASSERT_TRUE(LaneStage::send(writer, "a"));
    const PageRef page = writer.page();
    EXPECT_EQ(writer.advance(record_bytes(0, 5000)), ClaimStatus::no_grant);
    EXPECT_EQ(writer.page(), page);
    EXPECT_EQ(stage.producer.page.load(), page) << "the page must no longer be named";
    ASSERT_TRUE(LaneStage::send(writer, "b"));
}

TEST(Lane, ClaimsEndInAnyOrderAndAppearInTheOrderOfClaiming) {
    LaneStage stage;
    LaneReader reader = stage.reader(stage.grant(1));
    LaneWriter writer = stage.writer();
    ASSERT_TRUE(LaneStage::send(writer, "0"));
    Claim claims[3];
    for (Claim& claim : claims) {
        claim = LaneStage::open(writer, 1);
        claim.record[commit_word_bytes] = static_cast<std::byte>('1' + (&claim - claims));
    }
    EXPECT_NE(stage.producer.announced.load(), 0u);
    writer.commit(claims[2], commit_word(RecordKind::message, 0, 1));
    writer.abandon(claims[1]);
    EXPECT_EQ(LaneStage::drain(reader), Texts{"0"})
        << "nothing behind the first open claim is visible";
    writer.commit(claims[0], commit_word(RecordKind::message, 0, 1));
    EXPECT_EQ(LaneStage::drain(reader), (Texts{"1", "3"}));
    EXPECT_EQ(stage.producer.announced.load(), 0u);
    EXPECT_EQ(writer.open_claims(), 0u);
}

TEST(Lane, AShortenedClaimGivesItsRestBackAsASkip) {
    LaneStage stage;
    LaneReader reader = stage.reader(stage.grant(1));
    LaneWriter writer = stage.writer();
    const Claim claim = LaneStage::open(writer, 1000);
    std::memcpy(claim.record + commit_word_bytes, "short", 5);
    writer.commit_shortened(claim, commit_word(RecordKind::message, 0, 5));
    ASSERT_TRUE(LaneStage::send(writer, "next"));
    EXPECT_EQ(LaneStage::drain(reader), (Texts{"short", "next"}));
}

TEST(Lane, APageIsSealedOnlyWhenItsLastOpenClaimEnded) {
    LaneStage stage;
    const PageRef first = stage.grant(1);
    stage.grant(1);
    LaneReader reader = stage.reader(first);
    LaneWriter writer = stage.writer();
    const Claim held = LaneStage::open(writer, 2000);
    ASSERT_TRUE(LaneStage::send(writer, std::string(1500, 'a')));
    ASSERT_TRUE(LaneStage::send(writer, std::string(1500, 'b'))) << "goes to the next page";
    const PageHeader& header = stage.pages().header(first);
    EXPECT_EQ(header.sealed.load(), 0u);
    EXPECT_EQ(LaneStage::drain(reader).size(), 0u);
    writer.commit(held, commit_word(RecordKind::message, 0, 2000));
    EXPECT_EQ(header.sealed.load(), 2u + 1u);
    EXPECT_EQ(header.payload_bytes.load(), 3500u);
    EXPECT_EQ(LaneStage::drain(reader).size(), 3u);
}

TEST(Lane, ASealedPageCountsMessagesAndNotSkips) {
    LaneStage stage;
    const PageRef first = stage.grant(1);
    stage.grant(1);
    LaneWriter writer = stage.writer();
    ASSERT_TRUE(LaneStage::send(writer, "one"));
    writer.abandon(LaneStage::open(writer, 100));
    ASSERT_TRUE(LaneStage::send(writer, "two"));
    ASSERT_TRUE(LaneStage::send(writer, std::string(3900, 'x')));
    EXPECT_EQ(stage.pages().header(first).sealed.load(), 2u + 1u);
    EXPECT_EQ(stage.pages().header(first).payload_bytes.load(), 6u);
    EXPECT_EQ(stage.pages().header(writer.page()).first_message.load(), 2u);
}

TEST(Lane, ARetractedPageIsNotEntered) {
    LaneStage stage;
    const PageRef first = stage.grant(1);
    stage.grant(1);
    LaneWriter writer = stage.writer();
    ASSERT_TRUE(LaneStage::send(writer, "a"));
    stage.slot(first).next.store(0);  // what the broker does first
    EXPECT_EQ(writer.advance(16), ClaimStatus::no_grant);
    EXPECT_EQ(stage.producer.page.load(), first);
}

TEST(Lane, AWriterWhosePageWasRevokedStartsAtTheNextGrant) {
    LaneStage stage;
    const PageRef first = stage.grant(1);
    LaneReader reader = stage.reader(first);
    LaneWriter writer = stage.writer();
    ASSERT_TRUE(LaneStage::send(writer, "before"));
    // The broker takes the idle tail: stop down, end marker, step, no page to start in.
    stage.lane.stop_and_revocations.store(stop_word(position_first, 0));
    word_at(stage.pages().bytes(first) + (writer.tail() - position_first))
        .store(commit_word(RecordKind::end, 0, 0));
    stage.lane.producer_page.store(0);
    stage.revocations = 1;
    stage.lane.stop_and_revocations.store(stop_word(position_first, 1));
    EXPECT_FALSE(LaneStage::send(writer, "nowhere"));
    EXPECT_EQ(stage.producer.announced.load(), 0u);
    const PageRef second = stage.grant(1);
    stage.lane.producer_page.store(second);
    ASSERT_TRUE(LaneStage::send(writer, "after"));
    EXPECT_EQ(LaneStage::drain(reader), (Texts{"before", "after"}));
}

TEST(Lane, ALaneThatIsNoLongerLiveRefusesItsProducer) {
    LaneStage stage;
    stage.grant(1);
    LaneWriter writer = stage.writer();
    stage.lane.state.store(SlotState::closed);
    EXPECT_EQ(writer.advance(16), ClaimStatus::closed);
}

TEST(Lane, TheNextProducerGoesOnBehindTheLastPublishedRecord) {
    LaneStage stage;
    const PageRef first = stage.grant(1);
    LaneReader reader = stage.reader(first);
    LaneWriter dead = stage.writer();
    ASSERT_TRUE(LaneStage::send(dead, "kept"));
    const Position tail = dead.tail();
    const Claim torn = LaneStage::open(dead, 100);  // killed inside this record
    ASSERT_TRUE(LaneStage::send(dead, "behind the torn one: never visible"));
    ASSERT_NE(torn.record, nullptr);
    LaneWriter heir = stage.writer();
    heir.resume(first, tail, 1, 4);
    ASSERT_TRUE(LaneStage::send(heir, "heir"));
    EXPECT_EQ(LaneStage::drain(reader), (Texts{"kept", "heir"}));
}

// What a dishonest producer may write, and that the reader neither follows it nor reads outside the
// page.
class Nonsense : public ::testing::TestWithParam<std::uint64_t> {};

TEST_P(Nonsense, EndsThePageForTheReaderAndIsCounted) {
    LaneStage stage;
    const PageRef first = stage.grant(1);
    const PageRef second = stage.grant(1);
    LaneReader reader = stage.reader(first);
    LaneWriter writer = stage.writer();
    ASSERT_TRUE(LaneStage::send(writer, "good"));
    word_at(stage.pages().bytes(first) + (writer.tail() - position_first)).store(GetParam());
    word_at(stage.pages().bytes(second) + page_header_bytes)
        .store(commit_word(RecordKind::end, 0, 0));
    EXPECT_EQ(LaneStage::drain(reader), Texts{"good"});
    EXPECT_EQ(reader.damaged(), 1u);
}

INSTANTIATE_TEST_SUITE_P(Words, Nonsense,
                         ::testing::Values(1, ~std::uint64_t{0}, 0x57ull << 56,
                                           (0x57ull << 56) | (9ull << 48),
                                           commit_word(RecordKind::message, 0, 4096),
                                           commit_word(RecordKind::message, 0xffff, 0),
                                           commit_word(RecordKind::skip, 0, 0xffffffff),
                                           commit_word(RecordKind::message, 0xffff, 0xffffffff)));

TEST(Lane, AChainThatLeadsElsewhereIsNotFollowed) {
    LaneStage stage;
    const PageRef first = stage.grant(1);
    const PageRef second = stage.grant(1);
    LaneReader reader = stage.reader(first);
    LaneWriter writer = stage.writer();
    ASSERT_TRUE(LaneStage::send(writer, std::string(4010, 'x')));
    ASSERT_TRUE(LaneStage::send(writer, "y"));
    stage.slot(second).start.store(position_first);  // not behind the page that leads to it
    EXPECT_EQ(LaneStage::drain(reader).size(), 1u);
    stage.slot(first).next.store(4000);  // outside the region
    EXPECT_EQ(LaneStage::drain(reader).size(), 0u);
}

}  // namespace
}  // namespace weir::test
