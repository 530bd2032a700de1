// SPDX-License-Identifier: Apache-2.0
//
// A whole broker in a thread of this process, with its real segment and real sockets, and one in
// the background as the command starts it. D1 and D2 are those of daemon.hpp.
#include "core/broker/daemon.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <future>
#include <optional>
#include <thread>

#include "core/base/clock.hpp"
#include "core/broker/background.hpp"
#include "core/broker/peer.hpp"
#include "core/broker/policy_request.hpp"
#include "core/broker/stop_request.hpp"
#include "core/protocol/channel.hpp"
#include "shm/control_region.hpp"

namespace weir::broker {
namespace {

namespace fs = std::filesystem;

class DaemonTest : public testing::Test {
protected:
    void SetUp() override {
        char pattern[] = "/tmp/weir-daemon-XXXXXX";
        ASSERT_NE(mkdtemp(pattern), nullptr);
        base_ = pattern;
        config_.name = "daemon-" + std::to_string(::getpid());
        config_.direct_bytes = 4 << 20;
        config_.heap_bytes = 16 << 20;
        config_.largest_message = 1 << 20;
        config_.places = *places_below(base_, config_.name);
    }
    void TearDown() override {
        if (thread_.joinable()) {
            EXPECT_TRUE(stop_broker(config_.name, config_.places, 0));
            thread_.join();
        }
        fs::remove_all(base_);
    }

    // Runs a broker until it is ready; its outcome comes through `ended_`.
    Ready start() {
        std::promise<Ready> promise;
        auto news = promise.get_future();
        auto ended = std::make_shared<std::promise<std::string>>();
        ended_ = ended->get_future();
        thread_ = std::thread([this, ended, promise = std::move(promise)]() mutable {
            auto outcome =
                run_broker(config_, [&](const Ready& ready) { promise.set_value(ready); });
            ended->set_value(outcome ? "" : outcome.error().sentence);
        });
        return news.get();
    }
    bool leaves_nothing() const { return fs::is_empty(base_) && !fs::exists(control_path()); }
    std::string control_path() const {
        return "/dev/shm/" + ControlRegion::object_name(config_.name);
    }

    std::string base_;
    BrokerConfig config_;
    std::thread thread_;
    std::future<std::string> ended_;
};

TEST_F(DaemonTest, AClientConnectsAsSoonAsItIsReadyAndACleanStopLeavesNothing) {
    const Ready news = start();
    EXPECT_EQ(news.socket, config_.places.socket);
    EXPECT_EQ(news.pid, ::getpid());
    EXPECT_TRUE(news.notices.empty());
    EXPECT_EQ(fs::status(news.socket).permissions(),
              fs::perms::owner_read | fs::perms::owner_write);
    auto control = ControlRegion::open(config_.name);
    ASSERT_TRUE(control) << control.error().sentence;
    EXPECT_EQ(control->superblock().epoch, 1u);

    auto discarded = stop_broker(config_.name, config_.places, 0);
    ASSERT_TRUE(discarded) << discarded.error().sentence;
    EXPECT_EQ(discarded->messages, 0u);
    thread_.join();
    EXPECT_EQ(ended_.get(), "");
    EXPECT_TRUE(leaves_nothing());
}

TEST_F(DaemonTest, AWelcomeHandsOverRegionsThatCanBeMapped) {
    start();
    Fd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    config_.places.socket.copy(address.sun_path, sizeof(address.sun_path) - 1);
    ASSERT_EQ(::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    protocol::Hello hello{};
    hello.version = protocol::version;
    hello.fingerprint = layout_fingerprint();
    hello.start_time = start_time_of(::getpid()).value();
    ASSERT_TRUE(protocol::send_message(socket.get(), hello, 1));
    auto packet = protocol::receive_packet(socket.get(), monotonic_ns() + 5 * ns_per_s);
    ASSERT_TRUE(packet);
    protocol::Welcome welcome{};
    ASSERT_TRUE(packet->read(welcome));
    ASSERT_EQ(packet->fds.size(), 5u);
    EXPECT_TRUE(Mapping::map(packet->fds[0].get(), welcome.control_bytes, Access::read_only));
    EXPECT_FALSE(Mapping::map(packet->fds[0].get(), welcome.control_bytes, Access::read_write));
    EXPECT_TRUE(Mapping::map(packet->fds[1].get(), welcome.signals_bytes, Access::read_write));
    EXPECT_TRUE(Mapping::map(packet->fds[2].get(), welcome.direct_bytes, Access::read_only));
    EXPECT_FALSE(Mapping::map(packet->fds[2].get(), welcome.direct_bytes, Access::read_write));
    EXPECT_TRUE(Mapping::map(packet->fds[4].get(), welcome.claims_bytes, Access::read_write));
}

TEST_F(DaemonTest, ASecondBrokerOfTheNameIsRefusedAndTheFirstGoesOn) {
    start();
    auto second = run_broker(config_, [](const Ready&) { ADD_FAILURE() << "it is not ready"; });
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, StartFailure::already_runs);
    EXPECT_TRUE(fs::exists(config_.places.socket));
    EXPECT_TRUE(ControlRegion::open(config_.name));
}

TEST_F(DaemonTest, AStartThatFailsLateLeavesNothingEither) {
    // The socket cannot be made: a directory stands in its place.
    ASSERT_TRUE(make_directory(config_.places));
    fs::create_directory(config_.places.socket);
    auto failed = run_broker(config_, [](const Ready&) { ADD_FAILURE() << "it is not ready"; });
    ASSERT_FALSE(failed);
    EXPECT_NE(failed.error().sentence.find(config_.places.socket), std::string::npos);
    EXPECT_FALSE(fs::exists(control_path()));
    EXPECT_FALSE(fs::exists(config_.places.lock));
}

TEST_F(DaemonTest, StoppingWhatDoesNotRunSaysSo) {
    auto stopped = stop_broker(config_.name, config_.places, 0);
    ASSERT_FALSE(stopped);
    EXPECT_EQ(stopped.error().code, RequestFailure::no_broker);
}

TEST_F(DaemonTest, InTheBackgroundItReportsAndStopsOnSigterm) {
    auto news = run_in_background(config_);
    ASSERT_TRUE(news) << news.error().sentence;
    EXPECT_NE(news->pid, ::getpid());
    EXPECT_EQ(::getsid(news->pid), news->pid) << "it would end with its terminal";
    ASSERT_EQ(::kill(news->pid, SIGHUP), 0);
    ASSERT_EQ(::kill(news->pid, SIGTERM), 0);
    int status = -1;
    ASSERT_EQ(::waitpid(news->pid, &status, 0), news->pid);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
    EXPECT_TRUE(leaves_nothing());
}

TEST_F(DaemonTest, OnSighupItReadsItsPoliciesAgainAllOrNone) {
    config_.config_file = base_ + "/weir.toml";
    const auto write = [&](const std::string& text) { std::ofstream(config_.config_file) << text; };
    const auto limit = [&] {
        auto report = show_policy(config_.name, config_.places, "queue://a");
        return report ? report->lines.at(0).value : report.error().sentence;
    };
    auto news = run_in_background(config_);
    ASSERT_TRUE(news) << news.error().sentence;
    EXPECT_EQ(limit(), "none");
    write("[[policy]]\nmatch = \"queue://>\"\nlimit = \"1MiB\"\n");
    ASSERT_EQ(::kill(news->pid, SIGHUP), 0);
    // The signal is taken in the loop's own time.
    for (int look = 0; look < 5000 && limit() != "1MiB"; ++look) ::usleep(1000);
    EXPECT_EQ(limit(), "1MiB");
    write("[[policy]]\nmatch = \"queue://>\"\nlimit = \"2MiB\"\nreserve = \"3MiB\"\n");
    ASSERT_EQ(::kill(news->pid, SIGHUP), 0);
    const auto refused = read_policies(config_.name, config_.places);
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().sentence.find("weir.toml:4: "), std::string::npos)
        << refused.error().sentence;
    EXPECT_EQ(limit(), "1MiB");
    EXPECT_TRUE(set_policy(config_.name, config_.places, "queue://a", {"limit=2MiB"}));
    EXPECT_EQ(limit(), "2MiB");
    const auto bad = set_policy(config_.name, config_.places, "queue://a", {"limit=2MiBs"});
    ASSERT_FALSE(bad);
    EXPECT_EQ(bad.error().code, RequestFailure::usage) << bad.error().sentence;
    const auto longer =
        set_policy(config_.name, config_.places, "queue://a", {std::string(800, 'x')});
    ASSERT_FALSE(longer);
    EXPECT_EQ(longer.error().code, RequestFailure::usage);
    ASSERT_TRUE(stop_broker(config_.name, config_.places, 0));
    ::waitpid(news->pid, nullptr, 0);
    const auto nobody = show_policy(config_.name, config_.places, "queue://a");
    ASSERT_FALSE(nobody);
    EXPECT_EQ(nobody.error().code, RequestFailure::no_broker);
}

TEST_F(DaemonTest, InTheBackgroundAFailureIsReportedWithItsSentence) {
    start();
    auto second = run_in_background(config_);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, StartFailure::already_runs);
    EXPECT_NE(second.error().sentence.find("already runs"), std::string::npos);
}

TEST_F(DaemonTest, WhatAKilledBrokerLeftIsClearedByTheNextWhichSaysSo) {
    auto killed = run_in_background(config_);
    ASSERT_TRUE(killed) << killed.error().sentence;
    ASSERT_EQ(::kill(killed->pid, SIGKILL), 0);
    ::waitpid(killed->pid, nullptr, 0);
    EXPECT_TRUE(fs::exists(control_path()));
    auto nobody = stop_broker(config_.name, config_.places, 0);
    ASSERT_FALSE(nobody);
    EXPECT_EQ(nobody.error().code, RequestFailure::no_broker) << nobody.error().sentence;

    const Ready news = start();
    ASSERT_EQ(news.notices.size(), 1u);
    EXPECT_NE(news.notices[0].find("pid " + std::to_string(killed->pid)), std::string::npos)
        << news.notices[0];
    auto control = ControlRegion::open(config_.name);
    ASSERT_TRUE(control);
    EXPECT_EQ(control->superblock().epoch, 2u);
}

TEST_F(DaemonTest, APrivateBrokerEndsWithItsOnlySession) {
    config_.ends_with_last_session = true;
    start();
    // A stop is a session too; one that is refused nothing and leaves would end it as well.
    ASSERT_TRUE(stop_broker(config_.name, config_.places, 0));
    thread_.join();
    EXPECT_TRUE(leaves_nothing());
}

}  // namespace
}  // namespace weir::broker
