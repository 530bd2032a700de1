// SPDX-License-Identifier: Apache-2.0
//
// Space in spill files: reserved before it is used, within a limit, given back at once. S1 to S3
// are those of io/spill_space.hpp.
#include "io/spill_space.hpp"

#include <gtest/gtest.h>

#include "tests/unit/io/spill_stage.hpp"

namespace weir::io {
namespace {

constexpr std::uint64_t piece = 64 * 1024;

class SpillSpaceTest : public testing::Test {
protected:
    void make(std::uint64_t limit) { space_.emplace(files, SpillStage::options(limit, true)); }
    SpillSpace& space() { return *space_; }
    void step() {
        const bool busy = files.deliver([&](Token token, std::int32_t result) {
            space().completed(token, result, clock.now_ns());
        });
        space().turn(clock.now_ns());
        most_ = std::max(most_, space().reserved());
        if (!busy) clock.advance_ns(100 * ns_per_ms);
    }
    std::optional<Extent> take(std::uint64_t bytes = piece) {
        for (int turn = 0; turn < 100; ++turn) {
            if (auto extent = space().take(bytes, clock.now_ns())) return extent;
            step();
        }
        return std::nullopt;
    }
    void steps(int count) {
        while (count-- > 0) step();
    }

    ManualClock clock;
    test::FakeFiles files{clock};
    std::optional<SpillSpace> space_;
    std::uint64_t most_ = 0;
};

TEST_F(SpillSpaceTest, AWholeFileIsReservedBeforeAnythingIsWritten) {
    make(1ull << 40);
    ASSERT_TRUE(take());
    EXPECT_EQ(files.allocated_bytes(), test_file_bytes);
    EXPECT_EQ(space().reserved(), test_file_bytes);
}

TEST_F(SpillSpaceTest, ExtentsDoNotOverlap) {
    make(1ull << 40);
    std::map<std::pair<std::uint32_t, std::uint32_t>, int> taken;
    for (int count = 0; count < 50; ++count) {
        const auto extent = take();
        ASSERT_TRUE(extent);
        EXPECT_EQ((taken[{extent->file, extent->unit}]++), 0);
        EXPECT_EQ(extent->unit % (piece / spill_unit), 0U);
    }
    EXPECT_EQ(space().live(), 50 * piece);
}

TEST_F(SpillSpaceTest, TheNextFileIsReadyBeforeOneIsFull) {
    make(1ull << 40);
    for (std::uint64_t taken = 0; taken < test_file_bytes / piece; ++taken) {
        ASSERT_TRUE(take());
        steps(3);
    }
    EXPECT_TRUE(space().take(piece, clock.now_ns())) << "it had to be waited for";
}

TEST_F(SpillSpaceTest, TheLimitIsNeverExceeded) {
    make(test_file_bytes * 5 / 2);
    std::uint64_t taken = 0;
    while (take()) taken += piece;
    EXPECT_EQ(space().trouble(), Trouble::limit);
    EXPECT_EQ(taken, test_file_bytes * 5 / 2);
    EXPECT_LE(most_, test_file_bytes * 5 / 2);
}

TEST_F(SpillSpaceTest, ReleasedSpaceIsPunchedOutAtOnce) {
    make(1ull << 40);
    const auto first = take();
    const auto second = take();
    ASSERT_TRUE(first && second);
    space().release(*first, piece);
    steps(2);
    EXPECT_EQ(files.allocated_bytes(), test_file_bytes - piece);
    EXPECT_EQ(space().reserved(), test_file_bytes - piece);
}

TEST_F(SpillSpaceTest, WhatIsGivenBackCanBeTakenAgainUnderALimit) {
    make(test_file_bytes);
    std::vector<Extent> extents;
    while (const auto extent = take()) extents.push_back(*extent);
    for (std::size_t at = 0; at < 8; ++at) space().release(extents[at], piece);
    EXPECT_TRUE(take());
    EXPECT_LE(most_, test_file_bytes);
}

TEST_F(SpillSpaceTest, AFileInWhichNothingLivesGoes) {
    make(1ull << 40);
    std::vector<Extent> extents;
    for (std::uint64_t count = 0; count < test_file_bytes / piece + 1; ++count)
        extents.push_back(*take());
    steps(4);
    EXPECT_EQ(files.names(), 2U);
    for (std::size_t at = 0; at + 1 < extents.size(); ++at) {
        ASSERT_EQ(extents[at].file, extents[0].file);
        space().release(extents[at], piece);
    }
    steps(6);
    EXPECT_FALSE(files.has("/spill/test.0.1.spill"));
    EXPECT_TRUE(files.has("/spill/test.0.2.spill")) << "it holds a page";
}

TEST_F(SpillSpaceTest, NothingIsLeftWhenNobodyWantsSpaceAnyMore) {
    make(1ull << 40);
    const auto extent = take();
    space().release(*extent, piece);
    steps(40);
    EXPECT_EQ(files.names(), 0U);
    EXPECT_EQ(files.allocated_bytes(), 0U);
    EXPECT_EQ(space().reserved(), 0U);
}

TEST_F(SpillSpaceTest, AFileStaysWhileItIsUsed) {
    make(1ull << 40);
    const auto extent = take();
    space().begin_use(extent->file);
    space().release(*extent, piece);
    steps(40);
    EXPECT_EQ(files.names(), 1U);
    space().end_use(extent->file);
    steps(10);
    EXPECT_EQ(files.names(), 0U);
}

TEST_F(SpillSpaceTest, ADiskWithLittleRoomIsUsedUpInSmallerFiles) {
    make(1ull << 40);
    files.capacity_bytes = test_file_bytes * 7 / 4;
    std::uint64_t taken = 0;
    while (take()) taken += piece;
    EXPECT_EQ(space().trouble(), Trouble::disk_full);
    EXPECT_GE(taken, test_file_bytes * 7 / 4 - piece);
    files.capacity_bytes = 1ull << 40;
    EXPECT_TRUE(take()) << "there is room again";
    EXPECT_EQ(space().trouble(), Trouble::none);
}

TEST_F(SpillSpaceTest, ADirectoryThatWasRemovedIsMadeAgain) {
    make(1ull << 40);
    files.has_directory = false;
    EXPECT_TRUE(take());
    EXPECT_TRUE(files.has_directory);
}

TEST_F(SpillSpaceTest, ADirectoryThatCannotBeMadeIsTriedAgain) {
    make(1ull << 40);
    files.has_directory = files.makes_directories = false;
    EXPECT_FALSE(take());
    EXPECT_EQ(space().trouble(), Trouble::denied);
    files.has_directory = true;
    EXPECT_TRUE(take());
}

TEST_F(SpillSpaceTest, AFileOfAnotherIsLeftAlone) {
    make(1ull << 40);
    files.create("/spill/test.0.1.spill", true, 77);
    files.deliver([](Token, std::int32_t) {});
    EXPECT_TRUE(take());
    EXPECT_EQ(files.names(), 2U);
}

TEST_F(SpillSpaceTest, WithoutHolePunchingSpaceComesBackWithTheFile) {
    make(1ull << 40);
    files.fault_kind = test::FakeFiles::punch_;
    files.fault_at = 1;
    files.repeats = 1000;
    files.fault_error = EOPNOTSUPP;
    const auto first = take();
    const auto second = take();
    space().release(*first, piece);
    steps(10);
    EXPECT_EQ(space().reserved(), test_file_bytes);
    space().release(*second, piece);
    steps(40);
    EXPECT_EQ(space().reserved(), 0U);
    EXPECT_EQ(files.done[test::FakeFiles::punch_], 1U);
}

TEST_F(SpillSpaceTest, APageLargerThanAFileGetsOneOfItsOwn) {
    make(1ull << 40);
    const auto extent = take(3 * test_file_bytes);
    ASSERT_TRUE(extent);
    EXPECT_EQ(extent->unit, 0U);
}

}  // namespace
}  // namespace weir::io
