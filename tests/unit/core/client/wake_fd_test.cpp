// SPDX-License-Identifier: Apache-2.0
//
// Both ways of waiting on a word through a descriptor: io_uring and the thread.
#include "core/client/wake_fd.hpp"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <thread>

#include "core/base/clock.hpp"
#include "shm/futex.hpp"

namespace weir::detail {
namespace {

struct Way {
    const char* name;
    std::unique_ptr<WakeFd> (*make)();
};

class EachWay : public testing::TestWithParam<Way> {
protected:
    void SetUp() override {
        wake_fd_ = GetParam().make();
        if (wake_fd_ == nullptr) GTEST_SKIP() << GetParam().name << " is not offered here";
    }
    // 1: readable, 0: not within that time.
    int readable(int timeout_ms) const {
        pollfd asked{wake_fd_->fd(), POLLIN, 0};
        int result = -1;
        while (result < 0) result = ::poll(&asked, 1, timeout_ms);  // EINTR
        return result;
    }

    // Arms it for the present word. The kernel may signal the end of an earlier wait late: then
    // once more.
    bool arms() {
        for (int tries = 0; tries < 5; ++tries) {
            wake_fd_->arm(waited(word_, word_.load()), {});
            if (readable(0) == 0) return true;
            wake_fd_->disarm();
        }
        return false;
    }

    std::unique_ptr<WakeFd> wake_fd_;
    std::atomic<std::uint32_t> word_{7};
};

INSTANTIATE_TEST_SUITE_P(WakeFd, EachWay,
                         testing::Values(Way{"ring", make_wake_fd_ring},
                                         Way{"thread", make_wake_fd_thread}),
                         [](const auto& way) { return std::string(way.param.name); });

TEST_P(EachWay, IsReadableBeforeItIsArmed) { EXPECT_EQ(readable(0), 1); }

TEST_P(EachWay, IsReadableOnceTheWordIsWoken) {
    for (int round = 0; round < 100; ++round) {
        ASSERT_TRUE(arms()) << round;
        std::thread waker([&] {
            word_.fetch_add(1);
            futex_wake(word_, 1);
        });
        EXPECT_EQ(readable(900), 1) << round;
        waker.join();
        wake_fd_->disarm();
        EXPECT_EQ(readable(0), 1) << round;
    }
}

TEST_P(EachWay, IsReadableAtOnceIfTheWordDiffers) {
    wake_fd_->arm(waited(word_, 6), {});
    EXPECT_EQ(readable(900), 1);
    wake_fd_->disarm();
}

TEST_P(EachWay, LeavesNoWaiterBehind) {
    for (int round = 0; round < 100; ++round) {
        wake_fd_->arm(waited(word_, word_.load()), {});
        wake_fd_->disarm();
        wake_fd_->disarm();
        ASSERT_EQ(futex_wake(word_, 100), 0) << round;
        ASSERT_EQ(readable(0), 1) << round;
    }
}

TEST_P(EachWay, EndsOnItsOwn) {
    const std::uint64_t before = monotonic_ns();
    wake_fd_->arm(waited(word_, word_.load()), {});
    EXPECT_EQ(readable(5000), 1);
    EXPECT_GE(monotonic_ns() - before, wake_fd_period_ns * 9 / 10);
    wake_fd_->disarm();
}

// A broker as its descriptors see it: its life, and the other end of the socket.
struct FakeBroker {
    FakeBroker() { EXPECT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends.data()), 0); }
    ~FakeBroker() {
        if (life) end();
        ::close(ends[0]);
    }
    void end() {
        life.reset();
        ::close(ends[1]);
    }
    BrokerSigns signs() const { return {&word, ends[0]}; }

    std::array<int, 2> ends{};
    LifeWord word{0};
    std::unique_ptr<Life> life = std::make_unique<Life>(word);
};

TEST_P(EachWay, IsReadableOnceTheBrokerHasEnded) {
    FakeBroker broker;
    wake_fd_->arm(waited(word_, word_.load()), broker.signs());
    EXPECT_EQ(readable(20), 0);  // most likely a thread waits by then; if not, it finds the end
    broker.end();
    EXPECT_EQ(readable(900), 1);
    wake_fd_->disarm();
    EXPECT_EQ(futex_wake(word_, 100), 0);
}

TEST_P(EachWay, WithABrokerThatLivesItIsAsWithoutOne) {
    FakeBroker broker;
    for (int round = 0; round < 100; ++round) {
        wake_fd_->arm(waited(word_, word_.load()), broker.signs());
        std::thread waker([&] {
            word_.fetch_add(1);
            futex_wake(word_, 1);
        });
        ASSERT_EQ(readable(900), 1) << round;
        waker.join();
        wake_fd_->disarm();
        wake_fd_->arm(waited(word_, word_.load()), broker.signs());
        wake_fd_->disarm();
        ASSERT_EQ(futex_wake(word_, 100), 0) << round;
        ASSERT_EQ(futex_wake(broker.word, 100), 0) << round;
    }
}

// The kernel gives one wake for a broker's death, and a ring's process may be busy.
TEST(WakeFdRing, DoesNotWaitOnTheLifeWord) {
    const auto ring = make_wake_fd_ring();
    if (!ring) GTEST_SKIP() << "io_uring does not wait on words here";
    FakeBroker broker;
    const std::atomic<std::uint32_t> word{7};
    ring->arm(waited(word, 7), broker.signs());
    EXPECT_EQ(futex_wake(broker.word, 1), 0);
    ring->disarm();
}

TEST(BrokerSigns, SleepersThatAreLookedAfterSleepForLonger) {
    LifeWord word{0};
    EXPECT_EQ(BrokerSigns{}.period_ns(), wake_fd_period_ns);
    EXPECT_EQ((BrokerSigns{&word, -1}).period_ns(), wake_fd_period_ns) << "an older broker";
    const Life life(word);
    EXPECT_EQ((BrokerSigns{&word, -1}).period_ns(), wake_fd_period_looked_after_ns);
}

TEST_P(EachWay, MayMoveToAnotherThread) {
    wake_fd_->arm(waited(word_, word_.load()), {});
    std::thread other([&] {
        wake_fd_->disarm();
        EXPECT_TRUE(arms());
        word_.fetch_add(1);
        futex_wake(word_, 100);
        EXPECT_EQ(readable(900), 1);
        wake_fd_->disarm();
    });
    other.join();
}

}  // namespace
}  // namespace weir::detail
