// SPDX-License-Identifier: Apache-2.0
//
// A spill store on a real disk: the kernel's answers through RingFiles.
//
// What another file system than that of the temporary directory would answer it does not show.
#include "io/files.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "io/spill_directory.hpp"
#include "tests/unit/io/spill_stage.hpp"

namespace weir::io {
namespace {

namespace fs = std::filesystem;

constexpr Token prefix = Token{9} << 56;
constexpr std::size_t page = 64 * 1024;

class FilesTest : public testing::Test {
protected:
    void SetUp() override {
        auto created = Ring::create(32);
        if (!created) GTEST_SKIP() << created.error().sentence;
        ring_.emplace(std::move(*created));
        files_.emplace(*ring_, prefix);
        std::string pattern = (fs::temp_directory_path() / "weir-files-XXXXXX").string();
        ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
        root_ = pattern;
        SpillOptions options = SpillStage::options(1 << 30, true);
        options.directory = root_.string();
        options.file_bytes = 8 << 20;
        store_.emplace(*files_, options, clock_);
    }
    void TearDown() override {
        if (!store_) return;
        store_->abandon();
        EXPECT_TRUE(until([&] { return store_->space().files() == 0; }));
        EXPECT_TRUE(fs::is_empty(root_)) << "a spill file was left";
        fs::remove_all(root_);
    }
    template <class Done>
    bool until(Done done) {
        for (int turn = 0; turn < 10'000 && !done(); ++turn) {
            EXPECT_TRUE(ring_->wait(ns_per_ms));
            for (const Completion& completion : ring_->drain(64)) {
                EXPECT_EQ(completion.token & prefix, prefix);
                store_->completed(completion.token & ~prefix, completion.result);
            }
            store_->turn(1 << 20);
            while (auto outcome = store_->take_outcome()) outcomes_[outcome->owner] = *outcome;
        }
        return done();
    }
    Extent write(const TestPages& pages, std::uint64_t owner) {
        std::optional<Extent> extent;
        EXPECT_TRUE(
            until([&] { return extent || (extent = store_->write(pages.pages(), owner)); }));
        EXPECT_TRUE(until([&] { return outcomes_.count(owner) != 0; }));
        EXPECT_EQ(outcomes_[owner].error, 0);
        return *extent;
    }
    std::uint64_t blocks() const {
        std::uint64_t sum = 0;
        for (const auto& entry : fs::directory_iterator(root_)) {
            struct stat file {};
            ::stat(entry.path().c_str(), &file);
            sum += static_cast<std::uint64_t>(file.st_blocks) * 512;
        }
        return sum;
    }

    MonotonicClock clock_;
    std::optional<Ring> ring_;
    std::optional<RingFiles> files_;
    std::optional<SpillStore> store_;
    std::map<std::uint64_t, SpillOutcome> outcomes_;
    fs::path root_;
};

TEST_F(FilesTest, PagesGoToDiskAndBack) {
    TestPages pages(16, page, 1, true);
    const Extent extent = write(pages, 1);
    pages.wipe();
    ASSERT_TRUE(store_->read(extent, pages.pages(), 2));
    ASSERT_TRUE(until([&] { return outcomes_.count(2) != 0; }));
    EXPECT_EQ(outcomes_[2].error, 0);
    EXPECT_TRUE(outcomes_[2].damaged.empty());
    EXPECT_TRUE(pages.sound());
}

TEST_F(FilesTest, FilesArePrivateReservedAndPunched) {
    TestPages pages(16, page, 1);
    const Extent extent = write(pages, 1);
    const fs::path file = root_ / "test.0.1.spill";
    EXPECT_EQ(fs::status(file).permissions(), fs::perms::owner_read | fs::perms::owner_write);
    EXPECT_GE(blocks(), std::uint64_t{8} << 20);
    const std::uint64_t before = blocks();
    store_->release(extent, pages.bytes() / 2);
    ASSERT_TRUE(until([&] { return blocks() < before; }));
    EXPECT_EQ(before - blocks(), pages.bytes() / 2);
}

TEST_F(FilesTest, RegisteredMemoryGoesTheSameWay) {
    void* const memory =
        ::mmap(nullptr, 2 << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(memory, MAP_FAILED);
    const std::span<std::byte> region(static_cast<std::byte*>(memory), 2 << 20);
    ASSERT_EQ(ring_->make_buffer_places(2), 0);
    // An ordinary user's limit may be smaller; then the rest of this test shows the other way.
    ring_->register_buffer(0, region.first(1 << 20));
    ring_->register_buffer(1, region.last(1 << 20));
    const std::vector<SpillPage> pages{{region.subspan(512 * 1024, page), 5, 0},
                                       {region.subspan(1536 * 1024, page), 6, 0}};
    std::fill(region.begin(), region.end(), std::byte{7});
    std::optional<Extent> extent;
    ASSERT_TRUE(
        until([&] { return extent || (extent = store_->write(std::span(pages).first(1), 1)); }));
    ASSERT_TRUE(until([&] { return outcomes_.count(1) != 0; }));
    std::memset(pages[0].bytes.data(), 0, page);
    ASSERT_TRUE(store_->read(*extent, std::span(pages).first(1), 2));
    ASSERT_TRUE(until([&] { return outcomes_.count(2) != 0; }));
    EXPECT_TRUE(outcomes_[2].damaged.empty());
    EXPECT_EQ(pages[0].bytes[page - 1], std::byte{7});
    ::munmap(memory, 2 << 20);
}

TEST_F(FilesTest, ADirectoryThatIsRemovedMeanwhileIsMadeAgain) {
    fs::remove_all(root_);
    TestPages pages(1, page, 1);
    write(pages, 1);
    EXPECT_TRUE(fs::exists(root_ / "test.0.2.spill"));
}

}  // namespace
}  // namespace weir::io
