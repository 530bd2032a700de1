// SPDX-License-Identifier: Apache-2.0
//
// What a page fault tells: memory that was mapped ahead meets none. Faults are counted, not timed.
#include "core/client/first_touch.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "shm/units.hpp"

namespace weir::detail {
namespace {

constexpr std::size_t pieces = 8;
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
        if (::madvise(first_ + bytes - FirstTouch::piece, FirstTouch::piece, 23) != 0)
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
    // Page faults of writing to each 4 KiB of a piece.
    long faults_in(std::size_t piece) const {
        const long before = faults();
        for (std::size_t at = 0; at < FirstTouch::piece; at += page_unit)
            *const_cast<volatile std::byte*>(first_ + piece * FirstTouch::piece + at) =
                std::byte{1};
        return faults() - before;
    }

    FirstTouch touch_;

private:
    static long faults() {
        rusage usage{};
        ::getrusage(RUSAGE_THREAD, &usage);
        return usage.ru_minflt;
    }

    int fd_ = -1;
    std::byte* first_ = nullptr;
};

TEST_F(FirstTouchTest, APreparedPartMeetsNoFaultsAndTheRestDoes) {
    touch_.prepare(part(FirstTouch::piece, 2 * FirstTouch::piece));
    EXPECT_EQ(faults_in(1), 0);
    EXPECT_EQ(faults_in(2), 0);
    EXPECT_GT(faults_in(0), 0);
    EXPECT_GT(faults_in(3), 0);
}

TEST_F(FirstTouchTest, PiecesThatThePartCoversOnlyInPartAreLeftAlone) {
    touch_.prepare(part(FirstTouch::piece - page_unit, FirstTouch::piece));
    EXPECT_GT(faults_in(0), 0);
    EXPECT_GT(faults_in(1), 0);
    touch_.prepare(part(3 * FirstTouch::piece, FirstTouch::piece - page_unit));
    EXPECT_GT(faults_in(3), 0);
}

TEST_F(FirstTouchTest, AnEarlierPartInTheMiddleIsPassedOver) {
    touch_.prepare(part(2 * FirstTouch::piece, FirstTouch::piece));
    touch_.prepare(part(0, bytes));
    for (std::size_t piece = 0; piece < pieces; ++piece) EXPECT_EQ(faults_in(piece), 0) << piece;
}

TEST(FirstTouch, OfNothingDoesNothing) {
    FirstTouch none;
    none.prepare({});
}

}  // namespace
}  // namespace weir::detail
