// SPDX-License-Identifier: Apache-2.0
//
// Which pages are mapped afterwards, by the kernel's own word (pagemap).
#include "core/client/first_touch.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "core/base/fd.hpp"
#include "shm/units.hpp"

namespace weir::detail {
namespace {

constexpr std::size_t pieces = 8;
constexpr std::size_t pages_of_piece = FirstTouch::piece / page_unit;
constexpr std::size_t bytes = pieces * FirstTouch::piece;

// Memory that is there and that this process has not touched.
class FirstTouchTest : public ::testing::Test {
protected:
    void SetUp() override {
        fd_ = ::memfd_create("first-touch", MFD_CLOEXEC);
        ASSERT_EQ(::posix_fallocate(fd_, 0, bytes), 0);
        void* const mapped = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0);
        ASSERT_NE(mapped, MAP_FAILED);
        first_ = static_cast<std::byte*>(mapped);
        // The last piece tells whether this kernel can (5.14).
        if (::madvise(first_ + bytes - FirstTouch::piece, FirstTouch::piece, 22) != 0)
            GTEST_SKIP() << "this kernel cannot map ahead";
        touch_ = FirstTouch({first_, bytes});
    }
    void TearDown() override {
        ::munmap(first_, bytes);
        ::close(fd_);
    }

    std::span<std::byte> part(std::size_t offset, std::size_t length) const {
        return {first_ + offset, length};
    }
    // How many of the 4 KiB pages of a piece are mapped here: the top bit of each one's entry.
    std::size_t mapped_in(std::size_t piece) const {
        const std::byte* const begin = first_ + piece * FirstTouch::piece;
        std::array<std::uint64_t, pages_of_piece> entries{};
        const auto at = reinterpret_cast<std::uintptr_t>(begin) /  // NOLINT: a number is wanted
                        page_unit * sizeof entries[0];
        const Fd pagemap(::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC));
        EXPECT_EQ(::pread(pagemap.get(), entries.data(), sizeof entries, static_cast<off_t>(at)),
                  static_cast<ssize_t>(sizeof entries));
        return static_cast<std::size_t>(std::count_if(
            entries.begin(), entries.end(), [](std::uint64_t entry) { return entry >> 63 != 0; }));
    }

    FirstTouch touch_;

private:
    int fd_ = -1;
    std::byte* first_ = nullptr;
};

TEST_F(FirstTouchTest, WritingAPreparedPartFaultsNoMore) {
    const std::span<std::byte> prepared = part(0, 4 * FirstTouch::piece);
    touch_.prepare(prepared);
    rusage before{};
    rusage after{};
    ::getrusage(RUSAGE_SELF, &before);
    std::memset(prepared.data(), 1, prepared.size());
    ::getrusage(RUSAGE_SELF, &after);
    // A sanitizer meets its own pages for the first time.
    EXPECT_LT(after.ru_minflt - before.ru_minflt, 32) << "of 64 pages";
}

TEST_F(FirstTouchTest, APreparedPartIsMappedAndTheRestIsNot) {
    touch_.prepare(part(FirstTouch::piece, 2 * FirstTouch::piece));
    EXPECT_EQ(mapped_in(0), 0u);
    EXPECT_EQ(mapped_in(1), pages_of_piece);
    EXPECT_EQ(mapped_in(2), pages_of_piece);
    EXPECT_EQ(mapped_in(3), 0u);
}

TEST_F(FirstTouchTest, PiecesThatThePartCoversOnlyInPartAreLeftAlone) {
    touch_.prepare(part(FirstTouch::piece - page_unit, FirstTouch::piece));
    EXPECT_EQ(mapped_in(0), 0u);
    EXPECT_EQ(mapped_in(1), 0u);
    touch_.prepare(part(3 * FirstTouch::piece, FirstTouch::piece - page_unit));
    EXPECT_EQ(mapped_in(3), 0u);
}

TEST_F(FirstTouchTest, AnEarlierPartInTheMiddleIsPassedOver) {
    touch_.prepare(part(2 * FirstTouch::piece, FirstTouch::piece));
    touch_.prepare(part(0, bytes));
    for (std::size_t piece = 0; piece < pieces; ++piece)
        EXPECT_EQ(mapped_in(piece), pages_of_piece) << piece;
}

TEST(FirstTouch, OfNothingDoesNothing) {
    FirstTouch none;
    none.prepare({});
}

}  // namespace
}  // namespace weir::detail
