// SPDX-License-Identifier: Apache-2.0
//
// The store over files in memory: what it writes and reads, and what it does with each operation
// that fails. D1 to D4 are those of io/spill_store.hpp.
#include "io/spill_store.hpp"

#include <gtest/gtest.h>

#include "tests/unit/io/spill_stage.hpp"

namespace weir::io {
namespace {

using test::FakeFiles;

constexpr std::size_t page = 16 * 1024;

TEST(SpillStoreTest, ReadsWhatItWrote) {
    SpillStage stage;
    TestPages pages(4, page, 100);
    const auto extent = stage.write(pages);
    ASSERT_TRUE(extent);
    pages.wipe();
    const SpillOutcome outcome = stage.read(*extent, pages);
    EXPECT_EQ(outcome.error, 0);
    EXPECT_TRUE(outcome.damaged.empty());
    EXPECT_TRUE(pages.sound());
    EXPECT_EQ(pages.note(3), 3U);
}

TEST(SpillStoreTest, GathersScatteredPagesIntoOneWrite) {
    SpillStage stage;
    TestPages scattered(8, page, 100, true);
    const auto extent = stage.write(scattered);
    ASSERT_TRUE(extent);
    EXPECT_EQ(stage.files.write_sizes, std::vector<std::size_t>{8 * page});
    TestPages together(8, page, 100);
    together.wipe();
    EXPECT_TRUE(stage.read(*extent, together).damaged.empty());
    EXPECT_TRUE(together.sound());
}

TEST(SpillStoreTest, ReadsAnyPartOfWhatWasWrittenTogether) {
    SpillStage stage;
    TestPages pages(4, page, 100);
    const auto extent = stage.write(pages);
    TestPages third(1, page, 102);
    third.wipe();
    const Extent place{extent->file, extent->unit + std::uint32_t{2 * page / spill_unit}};
    EXPECT_TRUE(stage.read(place, third).damaged.empty());
    EXPECT_TRUE(third.sound());
}

TEST(SpillStoreTest, CallsAPageDamagedThatChangedOnDisk) {
    SpillStage stage;
    TestPages pages(3, page, 100);
    const auto extent = stage.write(pages);
    stage.files.rot(page + 5000);
    const SpillOutcome outcome = stage.read(*extent, pages);
    EXPECT_EQ(outcome.error, 0);
    EXPECT_EQ(outcome.damaged, std::vector<std::uint32_t>{1});
    EXPECT_TRUE(pages.sound(0));
    EXPECT_TRUE(pages.sound(2));
}

TEST(SpillStoreTest, CallsAPageDamagedWhoseStampChanged) {
    for (const std::size_t at : {stamp_offset, checksum_offset, behind_checksum}) {
        SpillStage stage;
        TestPages pages(1, page, 100);
        const auto extent = stage.write(pages);
        stage.files.rot(at);
        EXPECT_EQ(stage.read(*extent, pages).damaged.size(), 1U) << "byte " << at;
    }
}

TEST(SpillStoreTest, CallsASoundPageDamagedThatIsNotTheOneAskedFor) {
    SpillStage stage;
    TestPages pages(1, page, 100);
    const auto extent = stage.write(pages);
    TestPages other(1, page, 101);
    EXPECT_EQ(stage.read(*extent, other).damaged.size(), 1U);
}

TEST(SpillStoreTest, CallsAPageDamagedOfWhichHalfWasWritten) {
    SpillStage stage;
    stage.files.fault_kind = FakeFiles::write_;
    stage.files.fault_at = 1;
    stage.files.tear = FakeFiles::Tear::silently;
    TestPages pages(2, page, 100);
    const auto extent = stage.write(pages);
    ASSERT_TRUE(extent);
    EXPECT_EQ(stage.read(*extent, pages).damaged, std::vector<std::uint32_t>{1});
}

TEST(SpillStoreTest, WritesAgainWhatWasTornAndSaidSo) {
    for (const auto tear : {FakeFiles::Tear::with_error, FakeFiles::Tear::short_result}) {
        SpillStage stage;
        stage.files.fault_kind = FakeFiles::write_;
        stage.files.fault_at = 1;
        stage.files.tear = tear;
        TestPages pages(2, page, 100);
        const auto extent = stage.write(pages);
        ASSERT_TRUE(extent);
        pages.wipe();
        EXPECT_TRUE(stage.read(*extent, pages).damaged.empty());
        EXPECT_TRUE(pages.sound());
        EXPECT_EQ(stage.store.counts().retries, 1U);
    }
}

TEST(SpillStoreTest, SyncsWhatWentThroughThePageCache) {
    SpillStage stage;
    stage.files.has_direct = false;
    TestPages pages(2, page, 100);
    const auto extent = stage.write(pages);
    ASSERT_TRUE(extent);
    EXPECT_EQ(stage.files.done[FakeFiles::sync_], 1U);
    pages.wipe();
    stage.read(*extent, pages);
    EXPECT_TRUE(pages.sound());
}

TEST(SpillStoreTest, AFailedSyncIsAFailedWrite) {
    SpillStage stage(1ull << 40, false);
    stage.files.fault_kind = FakeFiles::sync_;
    stage.files.fault_at = 1;
    TestPages pages(2, page, 100);
    ASSERT_TRUE(stage.write(pages));
    EXPECT_EQ(stage.failures, 1U);
    EXPECT_TRUE(stage.seen[Trouble::disk_error]);
}

TEST(SpillStoreTest, ChecksumsAreComputedInSlices) {
    SpillStage stage;
    TestPages big(1, 512 * 1024, 100);
    ASSERT_TRUE(stage.until([&] { return stage.store.may_write(big.bytes()); }));
    ASSERT_TRUE(stage.store.write(big.pages(), 1));
    EXPECT_TRUE(stage.store.turn(64 * 1024));
    EXPECT_EQ(stage.files.done[FakeFiles::write_], 0U);
    int turns = 1;
    while (stage.store.turn(64 * 1024)) ++turns;
    EXPECT_EQ(turns, 7) << "beside the last one, which has nothing more to do";
    EXPECT_EQ(stage.files.done[FakeFiles::write_], 1U);
}

TEST(SpillStoreTest, SeveralWritesAreInFlightTogether) {
    SpillStage stage;
    TestPages pages(1, page, 100);
    ASSERT_TRUE(stage.until([&] { return stage.store.may_write(pages.bytes()); }));
    stage.files.delay_ns = ns_per_s;
    std::size_t accepted = 0;
    while (stage.store.write(pages.pages(), accepted + 1)) ++accepted;
    while (stage.store.turn(1 << 20)) {
    }
    EXPECT_EQ(accepted, SpillStore::flying_max);
    EXPECT_EQ(stage.files.done[FakeFiles::write_], SpillStore::flying_max);
}

TEST(SpillStoreTest, ASlowDiskIsSeen) {
    SpillStage stage;
    TestPages pages(1, page, 100);
    ASSERT_TRUE(stage.until([&] { return stage.store.may_write(pages.bytes()); }));
    stage.files.delay_ns = 10 * ns_per_s;
    ASSERT_TRUE(stage.store.write(pages.pages(), 1));
    stage.clock.advance_ns(3 * ns_per_s);
    EXPECT_EQ(stage.store.oldest_ns(), 3 * ns_per_s);
}

TEST(SpillStoreTest, AReadThatFailsForGoodSaysWhy) {
    SpillStage stage;
    TestPages pages(1, page, 100);
    const auto extent = stage.write(pages);
    stage.files.fault_kind = FakeFiles::read_;
    stage.files.fault_at = 1;
    stage.files.repeats = 100;
    EXPECT_EQ(stage.read(*extent, pages).error, EIO);
    EXPECT_EQ(stage.files.done[FakeFiles::read_], 4U);
}

// Writes, reads and releases; every page is in memory or on disk at every moment. True: all of it
// came back, and nothing is left.
void work_with_faults(SpillStage& stage, bool may_leave_a_file) {
    constexpr std::size_t groups = 12;
    std::vector<std::unique_ptr<TestPages>> pages;
    std::vector<Extent> extents;
    for (std::size_t group = 0; group < groups; ++group) {
        pages.push_back(
            std::make_unique<TestPages>(4, 2 * spill_unit, 1000 * group + 1, group % 2 == 0));
        const auto extent = stage.write(*pages.back());
        ASSERT_TRUE(extent) << "group " << group << " was never written";
        ASSERT_TRUE(pages.back()->sound()) << "writing changed its pages";
        extents.push_back(*extent);
        pages.back()->wipe();
    }
    for (std::size_t group = 0; group < groups; ++group) {
        const SpillOutcome outcome = stage.read(extents[group], *pages[group]);
        EXPECT_EQ(outcome.error, 0);
        EXPECT_TRUE(outcome.damaged.empty());
        EXPECT_TRUE(pages[group]->sound()) << "group " << group;
        stage.store.release(extents[group], pages[group]->bytes());
    }
    const auto& space = stage.store.space();
    EXPECT_TRUE(stage.until([&] {
        return space.files() == 0 && stage.store.in_flight() == 0 &&
               space.trouble() == Trouble::none;
    }));
    EXPECT_EQ(space.reserved(), 0U);
    EXPECT_LE(stage.files.names(), may_leave_a_file ? 1U : 0U);
    EXPECT_EQ(stage.files.allocated_bytes(), 0U);
}

// Every operation of the workload fails once, then twice in a row, with each errno.
TEST(SpillStoreTest, AnyOperationMayFailAndNothingIsLost) {
    const std::uint64_t small_files = 128 * 1024;
    SpillStage calm(1ull << 40, true, small_files);
    work_with_faults(calm, false);
    const std::uint64_t operations = calm.files.operations();
    ASSERT_GT(operations, 40U);
    for (const int error : {EIO, ENOSPC, ENOENT, EACCES, EMFILE, EINTR}) {
        for (std::uint64_t nth = 1; nth <= operations; ++nth) {
            SCOPED_TRACE(testing::Message() << "operation " << nth << ", errno " << error);
            SpillStage stage(1ull << 40, true, small_files);
            stage.files.fault_at = nth;
            stage.files.repeats = 1 + nth % 2;
            stage.files.fault_error = error;
            // A file that is said to be gone already is not looked for again.
            work_with_faults(stage, error == ENOENT);
            EXPECT_TRUE(stage.files.fault_struck);
            if (testing::Test::HasFailure()) return;
        }
    }
}

struct KindOfTrouble {
    FakeFiles::Kind kind;
    int error;
    Trouble trouble;
};

TEST(SpillStoreTest, EachFailureHasItsReason) {
    for (const KindOfTrouble& one : {
             KindOfTrouble{FakeFiles::create_, ENOENT, Trouble::gone},
             KindOfTrouble{FakeFiles::create_, EACCES, Trouble::denied},
             KindOfTrouble{FakeFiles::create_, EROFS, Trouble::denied},
             KindOfTrouble{FakeFiles::create_, EMFILE, Trouble::exhausted},
             KindOfTrouble{FakeFiles::create_, ENOSPC, Trouble::disk_full},
             KindOfTrouble{FakeFiles::allocate_, EIO, Trouble::disk_error},
             KindOfTrouble{FakeFiles::allocate_, EOPNOTSUPP, Trouble::unsupported},
             KindOfTrouble{FakeFiles::write_, EIO, Trouble::disk_error},
             KindOfTrouble{FakeFiles::write_, ENOSPC, Trouble::disk_full},
         }) {
        SpillStage stage;
        stage.files.fault_kind = one.kind;
        stage.files.fault_at = 1;
        stage.files.repeats = 6;
        stage.files.fault_error = one.error;
        TestPages pages(1, page, 100);
        EXPECT_TRUE(stage.write(pages)) << "it did not recover from errno " << one.error;
        EXPECT_TRUE(stage.seen[one.trouble]) << "kind " << one.kind << ", errno " << one.error;
        EXPECT_EQ(stage.seen.size(), 1U);
        EXPECT_EQ(stage.store.space().trouble(), Trouble::none);
    }
}

}  // namespace
}  // namespace weir::io
