// SPDX-License-Identifier: Apache-2.0
//
// The lock on a name and what a killed broker left. L1 to L3 are those of leftovers.hpp. The rare
// states are built directly: a control region with a dead broker's number, a lock file that was
// replaced while somebody waited.
#include "core/broker/leftovers.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "core/broker/peer.hpp"
#include "shm/control_region.hpp"

namespace weir::broker {
namespace {

namespace fs = std::filesystem;

class LeftoversTest : public testing::Test {
protected:
    void SetUp() override {
        char pattern[] = "/tmp/weir-leftovers-XXXXXX";
        ASSERT_NE(mkdtemp(pattern), nullptr);
        base_ = pattern;
        name_ = "leftovers-" + std::to_string(::getpid());
        places_ = *places_below(base_, name_);
    }
    void TearDown() override {
        ControlRegion::remove(name_);
        fs::remove_all(base_);
    }

    // A published control region of a broker with this process number.
    ControlRegion make_control(std::uint32_t pid, std::uint64_t start_time) {
        auto made = ControlRegion::create(name_, limits_for(1 << 20, 16 << 20, 1 << 16));
        EXPECT_TRUE(made) << made.error().sentence;
        Superblock& super = made->superblock();
        super.epoch = 6;
        super.broker_pid = pid;
        super.broker_start_time = start_time;
        return std::move(*made);
    }

    std::string base_;
    std::string name_;
    Places places_;
};

TEST_F(LeftoversTest, TheSecondBrokerOfANameIsRefusedWithPidAndCure) {
    auto first = NameLock::take(name_, places_);
    ASSERT_TRUE(first) << first.error().sentence;
    auto second = NameLock::take(name_, places_);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, StartFailure::already_runs);
    const std::string& sentence = second.error().sentence;
    EXPECT_NE(sentence.find("pid " + std::to_string(::getpid())), std::string::npos) << sentence;
    EXPECT_NE(sentence.find("weir stop --name " + name_), std::string::npos) << sentence;
    first->release();
    EXPECT_TRUE(NameLock::take(name_, places_));
}

TEST_F(LeftoversTest, ReleasingRemovesLockSocketAndEmptyDirectory) {
    auto lock = NameLock::take(name_, places_);
    ASSERT_TRUE(lock);
    EXPECT_TRUE(fs::exists(places_.lock));
    std::ofstream(places_.socket) << "";
    lock->release();
    EXPECT_TRUE(fs::is_empty(base_));
}

TEST_F(LeftoversTest, AStartLockIsRemovedUnlessAClientHoldsIt) {
    auto lock = NameLock::take(name_, places_);
    ASSERT_TRUE(lock);
    Fd client(::open(places_.start_lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    ASSERT_EQ(::flock(client.get(), LOCK_EX), 0);
    lock->release();
    EXPECT_TRUE(fs::exists(places_.start_lock));
    client.reset();
    NameLock::take(name_, places_)->release();
    EXPECT_TRUE(fs::is_empty(base_));
}

TEST_F(LeftoversTest, ADirectoryThatOthersUseStays) {
    auto lock = NameLock::take(name_, places_);
    ASSERT_TRUE(lock);
    std::ofstream(places_.directory + "/other.lock") << "";
    lock->release();
    EXPECT_TRUE(fs::exists(places_.directory + "/other.lock"));
}

TEST_F(LeftoversTest, ALockOnAFileThatWasReplacedDoesNotCount) {
    auto first = NameLock::take(name_, places_);
    ASSERT_TRUE(first);
    // What a racing stop and start leave: the lock held is on a file that no longer has the path.
    fs::remove(places_.lock);
    auto second = NameLock::take(name_, places_);
    ASSERT_TRUE(second) << second.error().sentence;
    auto third = NameLock::take(name_, places_);
    ASSERT_FALSE(third) << "two hold the lock on the file that stands there";
}

// Taking and releasing race for the file that stands under the path (L1). A race shows in most
// runs, not in all of them.
TEST_F(LeftoversTest, OnlyOneOfManyHoldsANameHoweverOftenItIsReleased) {
    std::atomic<int> holders{0};
    std::atomic<int> taken{0};
    std::atomic<bool> two_at_once{false};
    const auto contend = [&] {
        // relaxed: read again after join. Long enough that somebody had it often, however the
        // threads are scheduled.
        const auto seldom = [&] { return taken.load(std::memory_order_relaxed) <= 30; };
        for (int turn = 0; turn < 300 || (seldom() && turn < 1'000'000); ++turn) {
            auto lock = NameLock::take(name_, places_);
            if (!lock) continue;
            // relaxed: the read-modify-write alone decides who was second.
            if (holders.fetch_add(1, std::memory_order_relaxed) != 0)
                two_at_once.store(true, std::memory_order_relaxed);  // relaxed: read after join
            taken.fetch_add(1, std::memory_order_relaxed);           // relaxed: read after join
            std::this_thread::yield();
            holders.fetch_sub(1, std::memory_order_relaxed);  // relaxed: as above
        }
    };
    std::thread one(contend);
    std::thread other(contend);
    std::thread third(contend);
    one.join();
    other.join();
    third.join();
    EXPECT_FALSE(two_at_once.load(std::memory_order_relaxed));  // relaxed: joined
    EXPECT_GT(taken.load(std::memory_order_relaxed), 30);       // relaxed: joined
    EXPECT_TRUE(fs::is_empty(base_));
}

TEST_F(LeftoversTest, AFileThatWasRemovedBetweenOpeningAndLockingIsNotTaken) {
    ASSERT_TRUE(make_directory(places_));
    const auto open_file = [&] {
        return Fd(::open(places_.lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    };
    const Fd early = open_file();
    fs::remove(places_.lock);
    EXPECT_EQ(lock_standing(early.get(), places_.lock), LockOutcome::replaced);
    const Fd late = open_file();
    EXPECT_EQ(lock_standing(early.get(), places_.lock), LockOutcome::replaced);
    EXPECT_EQ(lock_standing(late.get(), places_.lock), LockOutcome::taken);
    const Fd third = open_file();
    EXPECT_EQ(lock_standing(third.get(), places_.lock), LockOutcome::held);
}

TEST_F(LeftoversTest, TheLockDiesWithItsHolder) {
    const pid_t child = ::fork();
    if (child == 0) {
        auto lock = NameLock::take(name_, places_);
        ::kill(::getpid(), SIGKILL);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status));
    EXPECT_TRUE(fs::exists(places_.lock));
    EXPECT_TRUE(NameLock::take(name_, places_));
}

TEST_F(LeftoversTest, ALinkInTheLocksPlaceIsNotFollowed) {
    ASSERT_TRUE(make_directory(places_));
    const std::string target = base_ + "/target";
    std::ofstream(target) << "precious";
    fs::create_symlink(target, places_.lock);
    auto lock = NameLock::take(name_, places_);
    EXPECT_FALSE(lock);
    EXPECT_EQ(fs::file_size(target), 8u);
}

TEST_F(LeftoversTest, NothingLeftIsNothingFound) {
    auto left = clear_leftovers(name_, places_);
    ASSERT_TRUE(left) << left.error().sentence;
    EXPECT_FALSE(left->found);
    EXPECT_EQ(left->epoch, 0u);
    EXPECT_EQ(left->sentence(name_), "");
}

TEST_F(LeftoversTest, AKilledBrokersBooksAreCountedAndRemoved) {
    ASSERT_TRUE(make_directory(places_));
    std::ofstream(places_.socket) << "";
    {
        // A number that no process has: the largest the kernel can give, plus one.
        ControlRegion control = make_control(1u << 22, 1);
        for (std::uint32_t slot : {0u, 3u}) {
            DestinationSlot& destination = control.destination(slot);
            // relaxed: one thread builds and reads these bytes.
            destination.books.depth_messages.store(10 + slot, std::memory_order_relaxed);
            // relaxed: as above.
            destination.books.depth_bytes.store(1024, std::memory_order_relaxed);
            // relaxed: as above.
            destination.state.store(SlotState::live, std::memory_order_relaxed);
        }
        control.publish();
    }
    auto left = clear_leftovers(name_, places_);
    ASSERT_TRUE(left) << left.error().sentence;
    EXPECT_TRUE(left->found);
    EXPECT_EQ(left->epoch, 6u);
    EXPECT_EQ(left->destinations, 2u);
    EXPECT_EQ(left->messages, 23u);
    EXPECT_EQ(left->bytes, 2048u);
    const std::string sentence = left->sentence(name_);
    EXPECT_NE(sentence.find("23 messages (2 KiB) of 2 destinations"), std::string::npos)
        << sentence;
    EXPECT_NE(sentence.find("pid 4194304"), std::string::npos) << sentence;
    EXPECT_FALSE(fs::exists(places_.socket));
    EXPECT_FALSE(ControlRegion::open(name_));
}

TEST_F(LeftoversTest, AReusedProcessNumberIsNotTakenForTheBroker) {
    make_control(static_cast<std::uint32_t>(::getpid()), 1).publish();
    auto left = clear_leftovers(name_, places_);
    ASSERT_TRUE(left) << left.error().sentence;
    EXPECT_TRUE(left->found);
}

TEST_F(LeftoversTest, ABrokerWhoseRemainsNobodyCollectsIsDead) {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(0);
    siginfo_t info{};
    ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT), 0);
    make_control(static_cast<std::uint32_t>(child), start_time_of(child).value()).publish();
    auto left = clear_leftovers(name_, places_);
    ASSERT_TRUE(left) << left.error().sentence;
    EXPECT_TRUE(left->found);
    ::waitpid(child, nullptr, 0);
}

TEST_F(LeftoversTest, ALivingBrokersControlIsNeverRemoved) {
    make_control(static_cast<std::uint32_t>(::getpid()), start_time_of(::getpid()).value())
        .publish();
    auto left = clear_leftovers(name_, places_);
    ASSERT_FALSE(left);
    EXPECT_EQ(left.error().code, StartFailure::already_runs);
    EXPECT_TRUE(ControlRegion::open(name_));
}

TEST_F(LeftoversTest, AControlThatWasNeverFinishedIsRemovedAndSaid) {
    make_control(1, 1);  // not published: its maker was killed before
    auto left = clear_leftovers(name_, places_);
    ASSERT_TRUE(left) << left.error().sentence;
    EXPECT_TRUE(left->found);
    EXPECT_NE(left->sentence(name_).find("cannot be read"), std::string::npos);
    EXPECT_FALSE(fs::exists("/dev/shm/" + ControlRegion::object_name(name_)));
}

}  // namespace
}  // namespace weir::broker
