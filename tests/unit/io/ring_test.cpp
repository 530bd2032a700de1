// SPDX-License-Identifier: Apache-2.0
//
// Ring over the real kernel: every operation the broker's loop uses, the bound of drain(), a queue
// that is full, and the end of a ring with operations in flight. R1 to R3 are those of io/ring.hpp.
#include "io/ring.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstring>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/base/clock.hpp"
#include "core/base/fd.hpp"
#include "tests/support/refuse_system_call.hpp"

namespace weir::io {
namespace {

class RingTest : public testing::Test {
protected:
    void SetUp() override {
        auto created = Ring::create(8);
        // A machine that refuses io_uring cannot run a broker either; say which test is missing.
        if (!created) GTEST_SKIP() << created.error().sentence;
        ring_.emplace(std::move(*created));
    }

    Ring& ring() { return *ring_; }

    // Waits for the next completion; a second is far more than anything here needs.
    Completion next() {
        for (int turn = 0; turn < 10; ++turn) {
            auto completions = ring().drain(1);
            if (!completions.empty()) return completions[0];
            auto woken = ring().wait(ns_per_s);
            EXPECT_TRUE(woken) << woken.error().sentence;
        }
        ADD_FAILURE() << "no completion came";
        return {};
    }

    std::optional<Ring> ring_;
};

Fd event() { return Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)); }

void signal_event(const Fd& fd) {
    std::uint64_t one = 1;
    ASSERT_EQ(::write(fd.get(), &one, sizeof one), static_cast<ssize_t>(sizeof one));
}

TEST_F(RingTest, TimesOutWhenNothingCompletes) {
    auto woken = ring().wait(ns_per_ms);
    ASSERT_TRUE(woken);
    EXPECT_EQ(*woken, Wake::timeout);
    EXPECT_TRUE(ring().drain(8).empty());
}

TEST_F(RingTest, ReadsAnEvent) {
    Fd doorbell = event();
    std::array<std::byte, 8> buffer{};
    ring().read(doorbell.get(), buffer, 7);
    EXPECT_EQ(*ring().wait(ns_per_ms), Wake::timeout);
    signal_event(doorbell);
    Completion completion = next();
    EXPECT_EQ(completion.token, 7U);
    EXPECT_EQ(completion.result, 8);
    EXPECT_FALSE(completion.more());
    EXPECT_EQ(std::to_integer<int>(buffer[0]), 1);
}

TEST_F(RingTest, AcceptsSeveralConnectionsWithOneOperation) {
    Fd listener(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;  // only the family: the kernel chooses an abstract name
    ASSERT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof(sa_family_t)),
              0);
    ASSERT_EQ(::listen(listener.get(), 4), 0);
    socklen_t length = sizeof address;
    ASSERT_EQ(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &length), 0);

    ring().accept(listener.get(), 3);
    for (int connection = 0; connection < 3; ++connection) {
        Fd client(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
        EXPECT_EQ(*ring().wait(1), Wake::timeout);  // hands the operation over
        ASSERT_EQ(::connect(client.get(), reinterpret_cast<sockaddr*>(&address), length), 0);
        Completion completion = next();
        EXPECT_EQ(completion.token, 3U);
        ASSERT_GE(completion.result, 0) << std::strerror(-completion.result);
        EXPECT_TRUE(completion.more());
        Fd session(completion.result);
        EXPECT_NE(::fcntl(session.get(), F_GETFL) & O_NONBLOCK, 0);
    }
}

TEST_F(RingTest, ReceivesAMessageAndItsDescriptor) {
    std::array<int, 2> pair{};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.data()), 0);
    Fd here(pair[0]);
    Fd there(pair[1]);
    std::array<char, 16> text{};
    iovec span{text.data(), text.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    msghdr message{};
    message.msg_iov = &span;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    ring().receive(here.get(), message, 0, 4);

    iovec out_span{const_cast<char*>("attach"), 6};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> out_control{};
    msghdr out{};
    out.msg_iov = &out_span;
    out.msg_iovlen = 1;
    out.msg_control = out_control.data();
    out.msg_controllen = out_control.size();
    cmsghdr* header = CMSG_FIRSTHDR(&out);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    int sent = there.get();
    std::memcpy(CMSG_DATA(header), &sent, sizeof sent);
    ASSERT_EQ(::sendmsg(there.get(), &out, 0), 6);

    Completion completion = next();
    EXPECT_EQ(completion.token, 4U);
    EXPECT_EQ(completion.result, 6);
    EXPECT_EQ(std::string(text.data()), "attach");
    header = CMSG_FIRSTHDR(&message);
    ASSERT_NE(header, nullptr);
    int number = -1;
    std::memcpy(&number, CMSG_DATA(header), sizeof number);
    EXPECT_EQ(::fcntl(number, F_GETFD), FD_CLOEXEC);
    Fd received(number);
}

TEST_F(RingTest, ReportsTheDeathOfAProcess) {
    pid_t child = ::fork();
    if (child == 0) {
        for (;;) ::pause();
    }
    Fd watch(static_cast<int>(::syscall(SYS_pidfd_open, child, 0)));
    ASSERT_TRUE(watch) << std::strerror(errno);
    ring().poll(watch.get(), POLLIN, 5);
    EXPECT_EQ(*ring().wait(ns_per_ms), Wake::timeout);
    ::kill(child, SIGKILL);
    Completion completion = next();
    EXPECT_EQ(completion.token, 5U);
    EXPECT_NE(completion.result & POLLIN, 0);
    EXPECT_FALSE(completion.more());
    ::waitpid(child, nullptr, 0);
}

TEST_F(RingTest, CancelsAnOperation) {
    Fd quiet = event();
    ring().poll(quiet.get(), POLLIN, 8);
    ring().cancel(8, 9);
    std::set<std::pair<Token, int>> outcomes;
    for (int turn = 0; turn < 2; ++turn) {
        Completion completion = next();
        outcomes.emplace(completion.token, completion.result);
    }
    EXPECT_EQ(outcomes, (std::set<std::pair<Token, int>>{{8, -ECANCELED}, {9, 0}}));
}

TEST_F(RingTest, TellsThatThereIsNothingToCancel) {
    ring().cancel(1234, 9);
    Completion completion = next();
    EXPECT_EQ(completion.token, 9U);
    EXPECT_EQ(completion.result, -ENOENT);
}

TEST_F(RingTest, CompletesAFailedOperationWithItsReason) {
    std::array<std::byte, 8> buffer{};
    ring().read(-1, buffer, 11);
    Fd bell = event();
    signal_event(bell);
    ring().read(bell.get(), buffer, 12);
    std::set<std::pair<Token, int>> outcomes;
    for (int turn = 0; turn < 2; ++turn) {
        Completion completion = next();
        outcomes.emplace(completion.token, completion.result);
    }
    EXPECT_EQ(outcomes, (std::set<std::pair<Token, int>>{{11, -EBADF}, {12, 8}}));
}

TEST_F(RingTest, HandsOverWhatStandsBehindAMalformedOperation) {
    Fd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    std::vector<iovec> spans(IOV_MAX + 1);
    msghdr malformed{};
    malformed.msg_iov = spans.data();
    malformed.msg_iovlen = spans.size();
    Fd bell = event();
    signal_event(bell);
    ring().receive(socket.get(), malformed, 0, 1);
    ring().poll(bell.get(), POLLIN, 2);
    EXPECT_EQ(*ring().wait(ns_per_s), Wake::ready);
    auto completions = ring().drain(8);
    ASSERT_EQ(completions.size(), 2U);
    EXPECT_EQ(completions[0].result, -EMSGSIZE);
    EXPECT_EQ(completions[1].result, POLLIN);
}

TEST_F(RingTest, CompletesEvenWhatTheKernelDoesNotTake) {
    Fd bell = event();
    signal_event(bell);
    pid_t child = ::fork();
    if (child == 0) {
        auto own = Ring::create(4);
        if (!own || !refuse_system_call(SYS_io_uring_enter, EPERM)) ::_exit(2);
        for (Token token = 0; token < 7; ++token) own->poll(bell.get(), POLLIN, token);
        Token refused = 4;  // the first four wait in the queue, the others found no place
        for (const Completion& completion : own->drain(8)) {
            if (completion.token != refused || completion.result != -EPERM) ::_exit(1);
            ++refused;
        }
        ::_exit(refused == 7 ? 0 : 3);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "status " << status;
}

TEST_F(RingTest, HandsOutAtMostWhatWasAskedForAndEachOnce) {
    Fd bell = event();
    signal_event(bell);
    for (Token token = 1; token <= 6; ++token) ring().poll(bell.get(), POLLIN, token);
    std::vector<Token> seen;
    while (seen.size() < 6) {
        ASSERT_EQ(*ring().wait(ns_per_s), Wake::ready) << "after " << seen.size();
        auto completions = ring().drain(4);
        ASSERT_LE(completions.size(), 4U);
        for (const Completion& completion : completions) seen.push_back(completion.token);
    }
    EXPECT_EQ(seen, (std::vector<Token>{1, 2, 3, 4, 5, 6}));
    EXPECT_TRUE(ring().drain(4).empty());
}

TEST_F(RingTest, TakesManyTimesMoreOperationsThanItsQueuesHold) {
    Fd bell = event();
    signal_event(bell);
    constexpr Token operations = 1000;  // 8 entries, 32 completions
    for (Token token = 1; token <= operations; ++token) ring().poll(bell.get(), POLLIN, token);
    std::set<Token> seen;
    while (seen.size() < operations) {
        ASSERT_EQ(*ring().wait(ns_per_s), Wake::ready) << "after " << seen.size();
        for (const Completion& completion : ring().drain(50)) {
            EXPECT_EQ(completion.result, POLLIN) << completion.token;
            EXPECT_TRUE(seen.insert(completion.token).second) << completion.token << " twice";
        }
    }
    EXPECT_EQ(*ring().wait(ns_per_ms), Wake::timeout);
}

TEST_F(RingTest, KeepsAFullQueueOfUncompletedOperations) {
    std::vector<Fd> bells;
    for (Token token = 0; token < 100; ++token) {
        bells.push_back(event());
        ring().poll(bells.back().get(), POLLIN, token);
    }
    for (Token token = 0; token < 100; ++token) {
        signal_event(bells[token]);
        EXPECT_EQ(next().token, token);
    }
}

TEST_F(RingTest, LeavesBuffersAloneAfterItsEnd) {
    for (int turn = 0; turn < 200; ++turn) {
        std::array<int, 2> pair{};
        ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.data()), 0);
        Fd here(pair[0]);
        Fd there(pair[1]);
        std::array<std::byte, 16> buffer{};
        {
            Ring short_lived = std::move(*Ring::create(8));
            short_lived.read(here.get(), buffer, 1);
            ASSERT_EQ(*short_lived.wait(1), Wake::timeout);
        }
        ASSERT_EQ(::write(there.get(), "late", 4), 4);
        // The message is still there for others, so the operation did not take it.
        std::array<char, 16> text{};
        ASSERT_EQ(::recv(here.get(), text.data(), text.size(), MSG_DONTWAIT), 4);
        ASSERT_EQ(buffer, (std::array<std::byte, 16>{}));
    }
}

TEST_F(RingTest, IsWokenByASignalWithoutLosingAnything) {
    struct sigaction action {};
    struct sigaction before {};
    action.sa_handler = [](int) {};
    ASSERT_EQ(::sigaction(SIGALRM, &action, &before), 0);
    Fd bell = event();
    ring().poll(bell.get(), POLLIN, 2);
    itimerval timer{};
    timer.it_value.tv_usec = 20'000;
    ASSERT_EQ(::setitimer(ITIMER_REAL, &timer, nullptr), 0);
    EXPECT_EQ(*ring().wait(10 * ns_per_s), Wake::interrupted);
    signal_event(bell);
    EXPECT_EQ(next().token, 2U);
    ::sigaction(SIGALRM, &before, nullptr);
}

}  // namespace
}  // namespace weir::io
