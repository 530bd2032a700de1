// SPDX-License-Identifier: Apache-2.0
//
// The arithmetic of the sleep word. That no wake-up is lost under real races is the business of the
// stress test "parking".
#include "shm/sleep.hpp"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "core/base/clock.hpp"

namespace weir {
namespace {

using Word = std::atomic<std::uint32_t>;

TEST(Sleep, AnAnnouncementIsSeenAndTakenBack) {
    Word word{0};
    const std::uint32_t ticket = announce_sleep(word);
    EXPECT_TRUE(anyone_sleeps(word));
    stop_sleeping(word, ticket);
    EXPECT_FALSE(anyone_sleeps(word));
}

TEST(Sleep, NobodyIsWokenWhereNobodySleeps) {
    Word word{0};
    EXPECT_FALSE(wake_one(word));
    EXPECT_FALSE(wake_all(word));
    EXPECT_EQ(word.load(), 0u);
}

TEST(Sleep, WhoIsAboutToSleepSeesAWakeThatCameBefore) {
    Word word{0};
    const std::uint32_t ticket = announce_sleep(word);
    ASSERT_TRUE(wake_one(word));
    EXPECT_TRUE(sleep_on(word, ticket, no_deadline)) << "would hang if the wake were lost";
    EXPECT_FALSE(anyone_sleeps(word));
}

TEST(Sleep, ATimeOutTakesTheAnnouncementBack) {
    Word word{0};
    const std::uint32_t ticket = announce_sleep(word);
    EXPECT_FALSE(sleep_on(word, ticket, monotonic_ns() + ns_per_ms));
    EXPECT_FALSE(anyone_sleeps(word));
}

TEST(Sleep, TakingBackBehindAWakeLeavesTheCountOfOthersAlone) {
    Word word{0};
    const std::uint32_t early = announce_sleep(word);
    ASSERT_TRUE(wake_one(word));  // uses up the early one's announcement
    announce_sleep(word);         // somebody else
    stop_sleeping(word, early);   // must not take his
    EXPECT_EQ(sleepers_of(word.load()), 1u);
}

TEST(Sleep, ALeftOverCountEndsWithTheFirstUselessWake) {
    Word word{3};  // three announcements of processes that died
    EXPECT_TRUE(wake_one(word));
    EXPECT_EQ(sleepers_of(word.load()), 0u);
}

TEST(Sleep, AFullCountStaysFull) {
    Word word{sleepers_mask};
    announce_sleep(word);
    EXPECT_EQ(word.load(), sleepers_mask) << "it must not run over into the wakes";
}

TEST(Sleep, WakingAllLetsEverySleeperGo) {
    Word word{0};
    std::vector<std::thread> sleepers;
    std::atomic<int> gone{0};
    for (int i = 0; i < 4; ++i) {
        sleepers.emplace_back([&] {
            const std::uint32_t ticket = announce_sleep(word);
            gone += sleep_on(word, ticket, no_deadline) ? 1 : 0;
        });
    }
    while (sleepers_of(word.load()) != 4) std::this_thread::yield();
    EXPECT_TRUE(wake_all(word));
    for (std::thread& sleeper : sleepers) sleeper.join();
    EXPECT_EQ(gone.load(), 4);
}

TEST(Sleep, WakingOneByOneLetsEverySleeperGo) {
    Word word{0};
    std::vector<std::thread> sleepers;
    for (int i = 0; i < 3; ++i) {
        sleepers.emplace_back(
            [&] { EXPECT_TRUE(sleep_on(word, announce_sleep(word), no_deadline)); });
    }
    while (sleepers_of(word.load()) != 3) std::this_thread::yield();
    int wakes = 0;
    while (wakes < 3) wakes += wake_one(word) ? 1 : 0;
    for (std::thread& sleeper : sleepers) sleeper.join();
}

TEST(Sleep, TheWakesWrapWithoutTouchingTheCount) {
    Word word{0xfffff000u + 1};
    const std::uint32_t ticket = 0xfffff000u + 1;
    EXPECT_TRUE(wake_one(word));
    EXPECT_EQ(wakes_of(word.load()), 0u);
    EXPECT_TRUE(sleep_on(word, ticket, no_deadline));
}

}  // namespace
}  // namespace weir
