// SPDX-License-Identifier: Apache-2.0
//
// The loop over the real kernel: it runs in a thread, with a real socket in a directory of the
// test's, and a memory half that records. O1 to O4 are those of loop.hpp.
#include "core/broker/loop.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <optional>
#include <thread>

#include "core/broker/peer.hpp"
#include "core/broker/process.hpp"
#include "tests/unit/core/broker/fake_memory.hpp"

namespace weir::broker {
namespace {

std::size_t open_descriptors() {
    std::size_t count = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd"))
        ++count;
    return count;
}

// One client's socket, with just enough of the protocol.
class Client {
public:
    explicit Client(const std::string& path) : socket_(::socket(AF_UNIX, SOCK_SEQPACKET, 0)) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path.copy(address.sun_path, sizeof(address.sun_path) - 1);
        EXPECT_EQ(::connect(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)),
                  0);
    }

    template <class Answer, class Request>
    std::optional<Answer> ask(const Request& request, std::span<const int> fds = {}) {
        EXPECT_TRUE(protocol::send_message(socket_.get(), request, 1, fds));
        return read<Answer>();
    }
    template <class Answer>
    std::optional<Answer> read() {
        auto packet = protocol::receive_packet(socket_.get(), monotonic_ns() + 5 * ns_per_s);
        Answer answer{};
        if (!packet || !packet->read(answer)) return std::nullopt;
        descriptors = std::move(packet->fds);
        return answer;
    }
    bool hello() {
        protocol::Hello hello{};
        hello.version = protocol::version;
        hello.fingerprint = layout_fingerprint();
        hello.start_time = start_time_of(::getpid()).value();
        return ask<protocol::Welcome>(hello).has_value();
    }
    bool is_closed() {
        auto packet = protocol::receive_packet(socket_.get(), monotonic_ns() + 5 * ns_per_s);
        return !packet && packet.error() == protocol::ChannelError::closed;
    }
    int fd() const { return socket_.get(); }

    std::vector<Fd> descriptors;

private:
    Fd socket_;
};

// The real one, which a test may put forward.
class JumpingClock : public Clock {
public:
    std::uint64_t now_ns() const noexcept override { return monotonic_ns() + ahead_ns_.load(); }
    void jump(std::uint64_t by_ns) { ahead_ns_ += by_ns; }

private:
    std::atomic<std::uint64_t> ahead_ns_ = 0;
};

class LoopTest : public testing::Test {
protected:
    void SetUp() override {
        char pattern[] = "/tmp/weir-loop-XXXXXX";
        ASSERT_NE(mkdtemp(pattern), nullptr);
        folder_ = pattern;
        path_ = folder_ + "/socket";
    }
    void TearDown() override {
        if (thread_.joinable()) stop();
        std::filesystem::remove_all(folder_);
    }

    void start() {
        auto ring = io::Ring::create(64);
        if (!ring) GTEST_SKIP() << ring.error().sentence;
        listener_ = std::move(*listen_at(path_));
        inputs_.listener = listener_.get();
        inputs_.doorbell = doorbell_.get();
        rules_.own_uid = ::getuid();
        rules_.connections_max = 64;
        rules_.doorbell = doorbell_.get();
        thread_ = std::thread([this, taken = std::move(*ring)]() mutable {
            auto signals = StopSignals::catch_them();
            inputs_.signals = signals->fd();
            Sessions sessions(memory_, rules_, clock_);
            Loop loop(std::move(taken), memory_, sessions, inputs_, clock_);
            auto ended = loop.run();
            EXPECT_TRUE(ended);
            if (ended) discarded_ = *ended;
        });
    }
    std::optional<protocol::Stopped> stop(std::uint64_t drain_ns = 0) {
        Client client(path_);
        EXPECT_TRUE(client.hello());
        protocol::Stop request{};
        request.drain_ns = drain_ns;
        auto answer = client.ask<protocol::Stopped>(request);
        thread_.join();
        return answer;
    }
    // Waits for what the loop does on its own; a minute would be a failure, not a slow machine.
    template <class Condition>
    static bool eventually(Condition condition) {
        for (int look = 0; look < 5000; ++look) {
            if (condition()) return true;
            ::usleep(1000);
        }
        return false;
    }

    std::string folder_;
    std::string path_;
    FakeMemory memory_;
    JumpingClock clock_;
    SessionRules rules_;
    LoopInputs inputs_;
    Fd listener_;
    Fd doorbell_{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    std::thread thread_;
    Discarded discarded_;
};

TEST_F(LoopTest, ASessionLivesFromHelloToBye) {
    start();
    Client client(path_);
    ASSERT_TRUE(client.hello());
    EXPECT_EQ(client.descriptors.size(), 5u);
    protocol::OpenProducer open{};
    protocol::copy_text(open.destination, "queue://orders");
    EXPECT_TRUE(client.ask<protocol::ProducerOpened>(open));
    EXPECT_TRUE(client.ask<protocol::Done>(protocol::Bye{}));
    EXPECT_TRUE(client.is_closed());
    EXPECT_TRUE(stop());
    EXPECT_TRUE(memory_.was_called("left 0"));
}

TEST_F(LoopTest, AThousandConnectionsLeaveNoDescriptorBehind) {
    start();
    { Client(path_).hello(); }
    ASSERT_TRUE(eventually([&] { return memory_.was_called("suspend 0"); }));
    std::size_t before = 0;
    for (int turn = 0; turn < 1000; ++turn) {
        Client client(path_);
        ASSERT_TRUE(client.hello());
        ASSERT_TRUE(client.ask<protocol::Done>(protocol::Bye{}));
        ASSERT_TRUE(client.is_closed());
        if (turn == 10) before = open_descriptors();
    }
    // The last one may not be forgotten yet, and the one of turn 10 was perhaps still counted.
    EXPECT_TRUE(eventually([&] { return open_descriptors() <= before; }))
        << before << " descriptors have become " << open_descriptors();
}

TEST_F(LoopTest, OversizeAndGarbageEndTheirConnectionOnly) {
    start();
    Client good(path_);
    ASSERT_TRUE(good.hello());
    const std::array<std::byte, 4096> zeros{};
    for (const std::size_t length :
         {std::size_t{1}, std::size_t{16}, std::size_t{1025}, std::size_t{4096}}) {
        Client bad(path_);
        ASSERT_EQ(::send(bad.fd(), zeros.data(), length, 0), static_cast<ssize_t>(length));
        auto refused = bad.read<protocol::Refused>();
        ASSERT_TRUE(refused) << length;
        EXPECT_EQ(refused->code, protocol::Refusal::bad_request);
        EXPECT_TRUE(bad.is_closed());
    }
    EXPECT_TRUE(good.ask<protocol::Done>(protocol::Settle{}));
}

TEST_F(LoopTest, DescriptorsThatNobodyAskedForAreClosed) {
    start();
    Client client(path_);
    ASSERT_TRUE(client.hello());
    client.descriptors.clear();
    const std::size_t before = open_descriptors();
    const std::array<int, 4> unasked{client.fd(), client.fd(), client.fd(), client.fd()};
    for (int turn = 0; turn < 10; ++turn)
        EXPECT_TRUE(client.ask<protocol::Done>(protocol::Settle{}, unasked));
    EXPECT_EQ(open_descriptors(), before);
}

TEST_F(LoopTest, AKilledProcessIsNoticedAtOnce) {
    start();
    const pid_t child = ::fork();
    if (child == 0) {
        Client client(path_);
        if (!client.hello()) ::_exit(1);
        ::kill(::getpid(), SIGKILL);
    }
    ::waitpid(child, nullptr, 0);
    EXPECT_TRUE(eventually([&] { return memory_.was_called("died 0"); }));
}

TEST_F(LoopTest, AProcessIsDeadAlsoWhenItsChildHoldsTheSocket) {
    start();
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    Fd reader(ends[0]);
    Fd writer(ends[1]);
    const pid_t child = ::fork();
    if (child == 0) {
        Client client(path_);
        if (!client.hello()) ::_exit(1);
        if (::fork() == 0) {
            writer.reset();
            char byte = 0;
            const ssize_t test_is_over = ::read(reader.get(), &byte, 1);
            ::_exit(static_cast<int>(test_is_over));
        }
        ::kill(::getpid(), SIGKILL);
    }
    ::waitpid(child, nullptr, 0);
    EXPECT_TRUE(eventually([&] { return memory_.was_called("died 0"); }));
    EXPECT_FALSE(memory_.was_called("suspend 0"));
}

TEST_F(LoopTest, TheDoorbellEndsTheSleepEachTime) {
    start();
    ASSERT_TRUE(eventually([&] { return memory_.was_called("asleep"); }));
    // A turn after a ring proves nothing if the second's end may have caused it: then it is rung
    // anew.
    const auto wakes_the_loop = [&] {
        const std::size_t ticks = memory_.count("tick");
        const std::size_t turns = memory_.count("turn");
        EXPECT_EQ(::eventfd_write(doorbell_.get(), 1), 0);
        EXPECT_TRUE(eventually([&] { return memory_.count("turn") > turns; }));
        return memory_.count("tick") == ticks;
    };
    for (int ring = 0; ring < 3; ++ring)
        EXPECT_TRUE(wakes_the_loop() || wakes_the_loop() || wakes_the_loop());
}

TEST_F(LoopTest, WhatComesInWhileItFallsAsleepKeepsItAwake) {
    memory_.sleeps_refused = 100;
    start();
    // Were it to sleep each time, only the seconds would turn it.
    ASSERT_TRUE(eventually([&] { return memory_.count("turn") > 100; }));
    EXPECT_LT(memory_.count("tick"), 50u);
}

// Clients share the doorbell: one that empties it itself, or makes reading it wait, must not hold
// the loop (O4).
TEST_F(LoopTest, ADoorbellInHostileHandsNeitherBlocksNorSpinsTheLoop) {
    start();
    Client client(path_);
    ASSERT_TRUE(client.hello());
    ASSERT_EQ(client.descriptors.size(), 5u);
    const int shared = client.descriptors[3].get();
    ASSERT_EQ(::fcntl(shared, F_SETFL, 0), 0);  // reading waits from here on
    for (int turn = 0; turn < 2000; ++turn) {
        ASSERT_EQ(::eventfd_write(shared, 1), 0);
        eventfd_t taken = 0;
        ::fcntl(shared, F_SETFL, O_NONBLOCK);
        ::eventfd_read(shared, &taken);
        ::fcntl(shared, F_SETFL, 0);
    }
    EXPECT_TRUE(client.ask<protocol::Done>(protocol::Settle{}));
    ::usleep(50'000);
    const std::size_t before = memory_.count("turn");
    ::usleep(100'000);
    EXPECT_LE(memory_.count("turn"), before + 2) << "the loop spins";
}

TEST_F(LoopTest, ASecondPassesOnceASecond) {
    start();
    ASSERT_TRUE(eventually([&] { return memory_.was_called("tick"); }));
    ASSERT_TRUE(eventually([&] { return memory_.count("tick") >= 2; }));
    stop();
    EXPECT_LE(memory_.count("turn"), memory_.count("tick") + 10) << "the idle loop spins";
    EXPECT_EQ(memory_.count("asleep"), memory_.count("awake"));
}

// Who tells the loop that something has happened has a tick within a second, however long all has
// been at rest.
TEST_F(LoopTest, WhatHappensEndsTheRest) {
    memory_.rests = true;
    start();
    ASSERT_TRUE(eventually([&] { return memory_.was_called("asleep"); }));
    for (std::size_t second = 1; second <= 3 * Ticks::before_rest; ++second) {
        clock_.jump(ns_per_s);
        // The second turn from here began behind the jump, and with its tick.
        for (int ring = 0; ring < 2; ++ring) {
            const std::size_t turns = memory_.count("turn");
            ASSERT_EQ(::eventfd_write(doorbell_.get(), 1), 0);
            ASSERT_TRUE(eventually([&] { return memory_.count("turn") > turns; }));
        }
        EXPECT_GE(memory_.count("tick"), second);
    }
}

TEST_F(LoopTest, AStopIsAnsweredWithWhatItDiscards) {
    memory_.undelivered = 7;
    start();
    auto stopped = stop();
    ASSERT_TRUE(stopped);
    EXPECT_EQ(stopped->discarded_messages, 7u);
    EXPECT_EQ(stopped->discarded_bytes, 70u);
    EXPECT_EQ(discarded_.messages, 7u);
}

TEST_F(LoopTest, ADrainWaitsForConsumersAndEndsWithThem) {
    memory_.undelivered = 5;
    memory_.draining = true;
    start();
    auto stopped = stop(60 * ns_per_s);
    ASSERT_TRUE(stopped);
    EXPECT_EQ(stopped->discarded_messages, 0u);
}

TEST_F(LoopTest, ADrainEndsAtItsDeadlineWithWhatIsLeft) {
    memory_.undelivered = 5;
    start();
    const std::uint64_t began = monotonic_ns();
    auto stopped = stop(100 * ns_per_ms);
    ASSERT_TRUE(stopped);
    EXPECT_EQ(stopped->discarded_messages, 5u);
    EXPECT_GE(monotonic_ns() - began, 100 * ns_per_ms);
}

TEST_F(LoopTest, ASignalStopsItCleanly) {
    start();
    // Before its first sleep the signals are blocked in its thread.
    ASSERT_TRUE(eventually([&] { return memory_.was_called("asleep"); }));
    ::pthread_kill(thread_.native_handle(), SIGTERM);
    thread_.join();
    EXPECT_FALSE(memory_.was_called("ended twice"));
}

TEST_F(LoopTest, APrivateBrokerEndsWithItsLastSession) {
    inputs_.ends_with_last_session = true;
    start();
    {
        Client first(path_);
        ASSERT_TRUE(first.hello());
        Client second(path_);
        ASSERT_TRUE(second.hello());
        ASSERT_TRUE(first.ask<protocol::Done>(protocol::Bye{}));
        ASSERT_TRUE(second.ask<protocol::Done>(protocol::Settle{}));
        ASSERT_TRUE(second.ask<protocol::Done>(protocol::Bye{}));
    }
    thread_.join();
}

TEST_F(LoopTest, APrivateBrokerThatNobodyUsesEndsAfterItsGrace) {
    inputs_.ends_with_last_session = true;
    inputs_.first_session_ns = 10 * ns_per_ms;
    start();
    thread_.join();
}

TEST_F(LoopTest, RunningOutOfDescriptorsDelaysNewcomersAndLosesNobody) {
    start();
    Client early(path_);
    ASSERT_TRUE(early.hello());
    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
    Client late(path_);  // its socket is made before the limit, accepting it comes after or before
    rlimit none = before;
    none.rlim_cur = 3;
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
    const bool served = early.ask<protocol::Done>(protocol::Settle{}).has_value();
    ::usleep(50'000);
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
    EXPECT_TRUE(served);
    EXPECT_TRUE(late.hello());
}

}  // namespace
}  // namespace weir::broker
