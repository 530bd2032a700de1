// SPDX-License-Identifier: Apache-2.0
//
// The life word over the real kernel: broker and sleepers are processes.
#include "shm/life.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <new>
#include <thread>
#include <vector>

#include "core/base/clock.hpp"
#include "shm/sleep.hpp"

namespace weir {
namespace {

// What processes share in these tests.
struct Shared {
    LifeWord life{0};
    std::atomic<std::uint32_t> sleep{0};
    std::atomic<int> ready{0};
};

class LifeTest : public testing::Test {
protected:
    void SetUp() override {
        if (!futex_waits_on_several()) GTEST_SKIP() << "the kernel waits on one word only";
    }
    ~LifeTest() override {
        for (const pid_t child : children_) {
            ::kill(child, SIGKILL);
            ::waitpid(child, nullptr, 0);
        }
        ::munmap(shared_, sizeof(Shared));
    }

    // A process that has begun its life and pauses.
    pid_t broker() {
        const pid_t child = ::fork();
        if (child == 0) {
            const Life life(shared_->life);
            ++shared_->ready;
            for (;;) ::pause();
        }
        children_.push_back(child);
        while (shared_->ready == 0) ::usleep(100);
        return child;
    }
    // A process that sleeps, without an end of its own; its exit code is 0 if it found the end of
    // the life, 1 if it was woken.
    pid_t sleeper() {
        const pid_t child = ::fork();
        if (child == 0) {
            const std::uint32_t ticket = announce_sleep(shared_->sleep);
            ++shared_->ready;
            ::_exit(sleep_on(shared_->sleep, ticket, no_deadline, shared_->life) ? 1 : 0);
        }
        children_.push_back(child);
        return child;
    }
    void wait_for_sleepers(int count) {
        while (sleepers_of(shared_->sleep.load()) < static_cast<std::uint32_t>(count))
            ::usleep(100);
        ::usleep(10'000);  // most likely they are in the kernel then; if not, they sleep no more
    }
    int result_of(pid_t child) {
        int status = 0;
        ::waitpid(child, &status, 0);
        std::erase(children_, child);
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    }
    void kill(pid_t child) {
        ::kill(child, SIGKILL);
        EXPECT_EQ(result_of(child), -1);
    }

    Shared* shared_ =
        new (::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE,  // NOLINT: unmapped above
                    MAP_SHARED | MAP_ANONYMOUS, -1, 0)) Shared;
    std::vector<pid_t> children_;
};

TEST_F(LifeTest, IsLookedAfterWhileItLasts) {
    EXPECT_FALSE(is_looked_after(shared_->life));
    EXPECT_FALSE(has_ended(shared_->life));
    {
        const Life life(shared_->life);
        EXPECT_TRUE(is_looked_after(shared_->life));
        EXPECT_FALSE(has_ended(shared_->life));
    }
    EXPECT_TRUE(has_ended(shared_->life));
    EXPECT_FALSE(is_looked_after(shared_->life));
}

TEST_F(LifeTest, AKilledBrokerWakesAllWhoSleep) {
    const pid_t killed = broker();
    std::vector<pid_t> sleepers;
    for (int count = 0; count < 5; ++count) sleepers.push_back(sleeper());
    wait_for_sleepers(5);
    kill(killed);
    for (const pid_t one : sleepers) EXPECT_EQ(result_of(one), 0);
    EXPECT_TRUE(has_ended(shared_->life));
    EXPECT_FALSE(anyone_sleeps(shared_->sleep)) << "they have taken their announcements back";
}

TEST_F(LifeTest, AThreadThatReturnsWithoutEndingItsLifeHasEndedIt) {
    alignas(Life) static std::byte room[sizeof(Life)];
    const pid_t one = [&] {
        std::thread([&] { new (room) Life(shared_->life); }).join();
        return sleeper();
    }();
    EXPECT_EQ(result_of(one), 0);
}

TEST_F(LifeTest, AnOrderlyEndWakesAllWhoSleep) {
    auto life = std::make_unique<Life>(shared_->life);
    const pid_t first = sleeper();
    const pid_t second = sleeper();
    wait_for_sleepers(2);
    life.reset();
    EXPECT_EQ(result_of(first), 0);
    EXPECT_EQ(result_of(second), 0);
}

TEST_F(LifeTest, AWakeIsAWakeWhileItLasts) {
    const Life life(shared_->life);
    const pid_t one = sleeper();
    wait_for_sleepers(1);
    EXPECT_TRUE(wake_one(shared_->sleep));
    EXPECT_EQ(result_of(one), 1);
}

TEST_F(LifeTest, AWakeThatCameBeforeCountsMoreThanTheEnd) {
    const std::uint32_t ticket = announce_sleep(shared_->sleep);
    shared_->life = FUTEX_OWNER_DIED;
    ASSERT_TRUE(wake_one(shared_->sleep));
    EXPECT_TRUE(sleep_on(shared_->sleep, ticket, no_deadline, shared_->life));
}

TEST_F(LifeTest, AnEndOfTheTimeTakesTheAnnouncementBack) {
    const Life life(shared_->life);
    const std::uint32_t ticket = announce_sleep(shared_->sleep);
    EXPECT_FALSE(sleep_on(shared_->sleep, ticket, monotonic_ns() + ns_per_ms, shared_->life));
    EXPECT_FALSE(anyone_sleeps(shared_->sleep));
}

}  // namespace
}  // namespace weir
