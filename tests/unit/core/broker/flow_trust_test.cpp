// SPDX-License-Identifier: Apache-2.0
//
// Flow to disk among clients that lie, and on a disk that fails now and then: whoever is honest
// gets every message that nobody took from it, and the counts stay such as can be true.
#include <gtest/gtest.h>

#include "core/broker/flow.hpp"
#include "tests/unit/core/broker/flow_stage.hpp"

namespace weir::broker {
namespace {

class FlowTrustTest : public FlowTest {
protected:
    void lie(test::TestWorker& liar, const test::TestProducer& producer, Position position) {
        liar.claims.cursor(producer.lane).store(cursor_word(position, liar.self));
        liar.acknowledge_all();
    }
    // Where the first page begins that is out of memory, and where the one behind it that is not.
    std::pair<Position, Position> first_gap(const test::TestProducer& producer) const {
        const PageView& pages = stage.shared.pages;
        PageRef page = producer.slot().first_page.load();
        while (pages.has(page)) {
            const PageRef link = pages.slot(page).next.load();
            const Position end = pages.slot(page).start.load() + pages.length(page);
            if (link != linked_page(link)) return {end, pages.slot(linked_page(link)).start.load()};
            page = link;
        }
        return {0, 0};
    }

    static constexpr std::uint64_t plenty = 4 * direct_bytes / message_bytes;
};

TEST_F(FlowTrustTest, WritesThatFailForAWhileCostNothing) {
    for (const auto tear : {FakeFiles::Tear::none, FakeFiles::Tear::with_error}) {
        const std::uint64_t before = sent;
        auto producer = stage.producer(stage.session(), "queue://big");
        produce(producer, before + plenty / 2);
        const Bytes held = stage.direct_used();
        files.fault_kind = FakeFiles::write_;
        files.tear = tear;
        files.fault_at = 1;
        files.repeats = 6;
        files.fault_struck = false;
        ASSERT_EQ(produce(producer, before + plenty), before + plenty);
        EXPECT_TRUE(files.fault_struck);
        EXPECT_EQ(files.fault_at, 0U) << "all of the faults struck";
        EXPECT_GT(held, direct_bytes / 2) << "memory was in use when they did";
        expect_gaps_are_marked(producer);
        EXPECT_EQ(stage.books(producer.destination).depth_messages.load(), plenty);
        auto worker = stage.worker(stage.session(), "queue://big");
        consume(worker, sent);
        EXPECT_EQ(received, sent);
        EXPECT_EQ(stage.books(producer.destination).damaged.load(), 0U);
        rest();
        EXPECT_EQ(disk_used(), 0U);
        EXPECT_EQ(files.names(), 0U);
        ASSERT_FALSE(HasFailure());
    }
}

TEST_F(FlowTrustTest, ADiskThatRotsEverywhereIsToldInFewLinesAndCountedWhole) {
    auto producer = stage.producer(stage.session(), "queue://big");
    ASSERT_EQ(produce(producer, plenty), plenty);
    for (std::uint64_t at = 300'000; at < 2 * direct_bytes; at += 300'000) files.rot(at);
    auto worker = stage.worker(stage.session(), "queue://big");
    testing::internal::CaptureStderr();
    EXPECT_EQ(consume_what_is_left(worker), plenty);
    const std::string log = testing::internal::GetCapturedStderr();
    const std::uint64_t pages = stage.shared.control.superblock().disk_activity.pages_lost.load();
    EXPECT_GT(pages, 20U);
    std::size_t lines = 0;
    for (std::size_t at = 0; (at = log.find("cannot be read back", at)) != log.npos; ++at) ++lines;
    EXPECT_EQ(lines, 1U) << log;
    EXPECT_EQ(stage.books(producer.destination).damaged.load(), plenty - received);
}

// A queue's cursor is in the hands of its consumers. One that moves it over messages takes those
// from the others, as if it had read them, and no more than those.
TEST_F(FlowTrustTest, AConsumerThatMovesTheCursorOntoTheDiskTakesOnlyWhatItPassed) {
    for (const int place : {0, 1, 2, 3}) {
        auto producer = stage.producer(stage.session(), "queue://big");
        auto liar = stage.worker(stage.session(), "queue://big");
        sent = received = 0;
        ASSERT_EQ(produce(producer, plenty), plenty);
        const auto [begin, end] = first_gap(producer);
        ASSERT_GT(end, begin + 16 * page_unit) << "there is something on disk";
        // In the first page that is out, in the middle, at the end of the last one, and behind it.
        const Position middle = begin + (end - begin) / 2;
        const Position positions[] = {begin + page_header_bytes, middle / 8 * 8, end,
                                      end + page_header_bytes};
        lie(liar, producer, positions[place]);
        rounds();
        auto worker = stage.worker(stage.session(), "queue://big");
        EXPECT_EQ(consume_what_is_left(worker), plenty) << "the newest are there, place " << place;
        EXPECT_GT(received, plenty / 16);
        const Books& books = stage.books(producer.destination);
        EXPECT_EQ(books.depth_messages.load(), 0U);
        EXPECT_EQ(books.messages_in.load(), plenty * static_cast<unsigned>(place + 1));
        rest();
        EXPECT_EQ(disk_used(), 0U);
        ASSERT_FALSE(HasFailure()) << "place " << place;
    }
}

TEST_F(FlowTrustTest, ACursorThatNobodyCanHaveReachedIsNotBelieved) {
    auto producer = stage.producer(stage.session(), "queue://big");
    auto liar = stage.worker(stage.session(), "queue://big");
    ASSERT_EQ(produce(producer, plenty), plenty);
    const CursorWord honest = liar.claims.cursor(producer.lane).load();
    for (const Position position :
         {position_limit - 8, position_limit / 2, Position{8}, Position{0}}) {
        lie(liar, producer, position);
        rounds();
        EXPECT_EQ(stage.books(producer.destination).depth_messages.load(), plenty);
    }
    liar.claims.cursor(producer.lane).store(honest);
    auto worker = stage.worker(stage.session(), "queue://big");
    consume(worker, plenty);
    EXPECT_EQ(received, plenty);
}

// What a page says about the messages before it is the broker's note, but lies where its producer
// can write at any time.
TEST_F(FlowTrustTest, AProducerThatWritesOverTheBrokersNotesMakesNoCountThatCannotBe) {
    for (const std::uint64_t lie : {std::uint64_t{0}, ~std::uint64_t{0}, std::uint64_t{1} << 40}) {
        auto producer = stage.producer(stage.session(), "queue://big");
        sent = received = 0;
        ASSERT_EQ(produce(producer, plenty), plenty);
        const std::uint64_t damaged = stage.books(producer.destination).damaged.load();
        auto worker = stage.worker(stage.session(), "queue://big");
        std::uint64_t next = 0;
        files.delay_ns = 4 * ns_per_ms;
        files.fault_kind = FakeFiles::read_;
        for (int stuck = 0; next < plenty && stuck < 2000; ++stuck) {
            // Of pages that were read and wait for those before them, whose read failed.
            if (files.fault_at == 0) {
                files.fault_at = 3;
                files.repeats = 1;
            }
            for (std::uint64_t unit = 0; unit < stage.shared.pages.units; ++unit)
                if (stage.shared.pages.slots[unit].state.load() != PageState::free)
                    stage.shared.pages.header(ref_of_unit(unit)).messages_before.store(lie);
            for (const std::string& text : worker.take_all(8)) {
                const std::string plain = mark_of(text).second;
                const std::uint64_t number = std::stoull(plain);
                ASSERT_EQ(plain, message(number)) << "wrong bytes";
                ASSERT_GE(number, next);
                next = number + 1;
                ++received;
                stuck = 0;
            }
            worker.acknowledge_all();
            round();
            stage.clock.advance_ns(ns_per_ms);
            const Books& books = stage.books(producer.destination);
            ASSERT_LE(books.depth_messages.load(), plenty);
            ASSERT_LE(books.damaged.load() - damaged, plenty);
        }
        EXPECT_EQ(next, plenty);
        EXPECT_EQ(stage.books(producer.destination).depth_messages.load(), 0U);
        files.delay_ns = 0;
        files.fault_at = 0;
        rest();
        EXPECT_EQ(disk_used(), 0U);
        ASSERT_FALSE(HasFailure());
    }
}

}  // namespace
}  // namespace weir::broker
