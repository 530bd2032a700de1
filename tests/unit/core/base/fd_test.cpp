// SPDX-License-Identifier: Apache-2.0
//
// Fd: one owner, closed once, never inherited.
#include "core/base/fd.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

namespace weir {
namespace {

int open_null() { return ::open("/dev/null", O_RDONLY | O_CLOEXEC); }

bool is_open(int fd) { return ::fcntl(fd, F_GETFD) != -1; }

TEST(Fd, ClosesWhatItHolds) {
    int number = open_null();
    {
        Fd fd(number);
        EXPECT_TRUE(fd);
        EXPECT_EQ(fd.get(), number);
        EXPECT_TRUE(is_open(number));
    }
    EXPECT_FALSE(is_open(number));
}

TEST(Fd, IsEmptyForWhatAFailedCallReturns) {
    Fd fd(::open("/does/not/exist", O_RDONLY | O_CLOEXEC));
    EXPECT_FALSE(fd);
    EXPECT_EQ(fd.get(), -1);
}

TEST(Fd, HasOneOwnerAfterAMove) {
    Fd first(open_null());
    int number = first.get();
    Fd second(std::move(first));
    EXPECT_EQ(second.get(), number);
    Fd third(open_null());
    int replaced = third.get();
    third = std::move(second);
    EXPECT_EQ(third.get(), number);
    EXPECT_TRUE(is_open(number));
    EXPECT_FALSE(is_open(replaced));
}

TEST(Fd, GivesItsDescriptorAway) {
    Fd fd(open_null());
    int number = fd.release();
    EXPECT_FALSE(fd);
    EXPECT_TRUE(is_open(number));
    ::close(number);
}

TEST(Fd, ClosesTheOldOneOnReset) {
    Fd fd(open_null());
    int old = fd.get();
    int fresh = ::fcntl(old, F_DUPFD_CLOEXEC, old + 1);
    fd.reset(fresh);
    EXPECT_EQ(fd.get(), fresh);
    EXPECT_FALSE(is_open(old));
    fd.reset();
    EXPECT_FALSE(fd);
    EXPECT_FALSE(is_open(fresh));
}

TEST(Fd, IsNeverInheritedByExec) {
    std::array<int, 2> ends{};
    ASSERT_EQ(::pipe(ends.data()), 0);  // on purpose without O_CLOEXEC
    Fd reading(ends[0]);
    Fd writing(ends[1]);
    EXPECT_EQ(::fcntl(reading.get(), F_GETFD), FD_CLOEXEC);
    EXPECT_EQ(::fcntl(writing.get(), F_GETFD), FD_CLOEXEC);
}

TEST(Fd, KeepsErrnoWhenItCloses) {
    errno = ENOSPC;
    { Fd fd(open_null()); }
    EXPECT_EQ(errno, ENOSPC);
}

TEST(FdDeathTest, EndsAProcessWhoseDescriptorWasClosedBySomebodyElse) {
    EXPECT_DEATH(
        {
            Fd fd(open_null());
            ::close(fd.get());
        },
        "check failed");
}

TEST(FdDeathTest, RefusesADescriptorThatIsNotOpen) { EXPECT_DEATH(Fd fd(1 << 20), "check failed"); }

}  // namespace
}  // namespace weir
