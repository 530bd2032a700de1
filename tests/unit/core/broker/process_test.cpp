// SPDX-License-Identifier: Apache-2.0
//
// What a broker asks of its own process. Each case that changes the process runs in a child.
#include "core/broker/process.hpp"

#include <gtest/gtest.h>
#include <linux/membarrier.h>
#include <poll.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <functional>

#include "tests/support/refuse_system_call.hpp"

namespace weir::broker {
namespace {

bool in_child(const std::function<bool()>& passes) {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(passes() ? 0 : 1);
    int status = -1;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

TEST(Process, SignalsOfABrokerAreReadAndNoneEndsIt) {
    EXPECT_TRUE(in_child([] {
        auto signals = StopSignals::catch_them();
        if (!signals) return false;
        for (const int number : {SIGHUP, SIGPIPE, SIGTERM, SIGINT})
            ::pthread_kill(::pthread_self(), number);
        pollfd readable{signals->fd(), POLLIN, 0};
        return ::poll(&readable, 1, 1000) == 1;
        // Its end takes those that were not read: the child must not die of them.
    }));
}

TEST(Process, AfterwardsSignalsAreWhatTheyWere) {
    EXPECT_TRUE(in_child([] {
        ::signal(SIGPIPE, SIG_DFL);  // whoever runs the tests may have ignored it
        sigset_t before;
        ::pthread_sigmask(SIG_SETMASK, nullptr, &before);
        { auto signals = StopSignals::catch_them(); }
        sigset_t after;
        ::pthread_sigmask(SIG_SETMASK, nullptr, &after);
        struct sigaction pipe {};
        ::sigaction(SIGPIPE, nullptr, &pipe);
        return ::sigismember(&before, SIGTERM) == ::sigismember(&after, SIGTERM) &&
               ::sigismember(&before, SIGHUP) == ::sigismember(&after, SIGHUP) &&
               pipe.sa_handler == SIG_DFL;
    }));
}

TEST(Process, OnlyTheOwnerMayConnect) {
    char pattern[] = "/tmp/weir-process-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern), nullptr);
    const std::string path = std::string(pattern) + "/socket";
    ::umask(0);  // nothing to lean on
    auto listener = listen_at(path);
    ASSERT_TRUE(listener) << listener.error().sentence;
    struct stat status {};
    ASSERT_EQ(::stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600u);
    auto second = listen_at(path);
    ASSERT_FALSE(second);
    EXPECT_NE(second.error().sentence.find("EADDRINUSE"), std::string::npos);
    ::unlink(path.c_str());
    ::rmdir(pattern);
}

TEST(Process, TheDescriptorLimitIsRaisedAndAHardOneIsTold) {
    EXPECT_TRUE(in_child([] {
        rlimit limit{64, 512};
        if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) return false;
        const bool enough = raise_descriptor_limit(10);
        ::getrlimit(RLIMIT_NOFILE, &limit);
        return enough && limit.rlim_cur == 512 && !raise_descriptor_limit(1000);
    }));
}

TEST(Process, ARefusedMembarrierIsToldWithTheCure) {
    EXPECT_TRUE(in_child([] {
        if (!refuse_system_call(SYS_membarrier, EPERM)) return false;
        auto joined = join_barrier();
        return !joined && joined.error().code == StartFailure::refused &&
               joined.error().sentence.find("seccomp") != std::string::npos;
    }));
}

TEST(Process, AShortSliceIsAskedForAndARefusalIsNoFailure) {
    EXPECT_TRUE(in_child([] {
        ask_for_short_slice();
        if (!refuse_system_call(SYS_sched_setattr, EINVAL)) return false;
        ask_for_short_slice();
        return true;
    }));
}

}  // namespace
}  // namespace weir::broker
