// SPDX-License-Identifier: Apache-2.0
//
// What a session is to others than its own process and thread.
#include "core/client/connection.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <vector>

#include "tests/support/client_stage.hpp"
#include "weir/weir.hpp"

namespace weir {
namespace {

using namespace std::chrono_literals;
using test::ClientStage;
using test::drain;
using test::mebibyte;

TEST(Connection, ChildOfAForkIsRefused) {
    ClientStage stage("queue://q", 1, mebibyte);
    const auto session = stage.connect();
    auto producer = stage.producer(session);
    auto consumer = stage.consumer(session);
    ASSERT_TRUE(producer.send("kept"));
    auto open = std::move(producer.claim(1).value());
    const pid_t child = ::fork();
    if (child == 0) {
        open.commit();  // does nothing: it belongs to the parent
        const bool refused = producer.send("x").error() == SendError::forked &&
                             producer.claim(1).error() == SendError::forked &&
                             consumer.poll().error() == ReceiveError::forked &&
                             consumer.receive(1s).error() == ReceiveError::forked &&
                             session->settle().error().code == OpenError::forked;
        { const auto gone = std::move(producer); }
        { const auto gone = std::move(consumer); }
        ::_exit(refused ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
    EXPECT_EQ(drain(consumer), std::vector<std::string>{"kept"});
    open.commit();
    open.commit();
    EXPECT_EQ(drain(consumer).size(), 1u) << "a second commit of one message is none";
}

}  // namespace
}  // namespace weir
