// SPDX-License-Identifier: Apache-2.0
//
// The region is found by name, and a dead broker's is told from a living one's. No broker runs: its
// process is played by this test and by a child that has ended.
#include "core/inspect/region.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <iterator>

namespace weir::inspect {
namespace {

class Regions : public ::testing::Test {
protected:
    ~Regions() override { ControlRegion::remove(name); }

    void make(std::uint32_t pid, std::uint64_t start_time) {
        auto made = ControlRegion::create(name, limits_for(1 << 22, 16 << 20, 1 << 20));
        ASSERT_TRUE(made) << made.error().sentence;
        made->superblock().broker_pid = pid;
        made->superblock().broker_start_time = start_time;
        made->publish();
    }

    static std::uint64_t own_start_time() {
        std::ifstream file("/proc/self/stat");
        const std::string line((std::istreambuf_iterator<char>(file)), {});
        return start_time_of(line).value_or(0);
    }

    std::string name = "r" + std::to_string(getpid());
};

TEST_F(Regions, AreNotFoundWithoutABrokerAndTheErrorSaysHowToStartOne) {
    const auto missing = Region::open(name);
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error().code, InspectError::no_broker);
    EXPECT_THAT(missing.error().sentence, ::testing::HasSubstr("weir broker --name " + name));
}

TEST_F(Regions, ThatWereNeverFinishedAreUnreadable) {
    auto made = ControlRegion::create(name, limits_for(1 << 22, 16 << 20, 1 << 20));
    ASSERT_TRUE(made) << made.error().sentence;
    const auto unfinished = Region::open(name);
    ASSERT_FALSE(unfinished);
    EXPECT_EQ(unfinished.error().code, InspectError::unreadable);
}

TEST_F(Regions, KnowALivingBroker) {
    ASSERT_NE(own_start_time(), 0u);
    make(static_cast<std::uint32_t>(getpid()), own_start_time());
    EXPECT_TRUE(Region::open(name).value().broker_alive());
}

TEST_F(Regions, AreNotFooledByAPidThatAnotherProcessGot) {
    make(static_cast<std::uint32_t>(getpid()), own_start_time() + 1);
    EXPECT_FALSE(Region::open(name).value().broker_alive());
}

TEST_F(Regions, OutliveTheirBroker) {
    const pid_t child = fork();
    if (child == 0) _exit(0);
    ASSERT_GT(child, 0);
    ASSERT_EQ(waitpid(child, nullptr, 0), child);
    make(static_cast<std::uint32_t>(child), 1);
    const auto region = Region::open(name);
    ASSERT_TRUE(region) << region.error().sentence;
    EXPECT_FALSE(region->broker_alive());
    EXPECT_EQ(region->snapshot().broker.pid, static_cast<std::uint32_t>(child));
}

TEST(StartTime, IsFoundBehindANameWithBlanksAndParentheses) {
    const std::string fields = " 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20 21";
    EXPECT_EQ(start_time_of("12 (a) b) (c) S" + fields), 4711u);
    EXPECT_EQ(start_time_of("12 (weir) R" + fields), 4711u);
}

TEST(StartTime, OfAProcessThatEndedOrOfOtherTextIsNothing) {
    EXPECT_EQ(start_time_of("12 (weir) Z 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711"),
              std::nullopt);
    EXPECT_EQ(start_time_of(""), std::nullopt);
    EXPECT_EQ(start_time_of("12 (weir)"), std::nullopt);
    EXPECT_EQ(start_time_of("12 (weir) S 1 2 3"), std::nullopt);
}

}  // namespace
}  // namespace weir::inspect
