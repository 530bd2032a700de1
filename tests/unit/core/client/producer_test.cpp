// SPDX-License-Identifier: Apache-2.0
//
// A producer that finds no room, over bytes laid out by hand.
#include "weir/producer.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <thread>

#include "core/base/clock.hpp"
#include "tests/support/client_stage.hpp"
#include "weir/weir.hpp"

namespace weir {
namespace {

using namespace std::chrono_literals;
using test::ClientStage;

TEST(Producer, FailsAtOnceWhenItShouldNotWait) {
    ClientStage stage("queue://q", 1, page_unit);
    const auto session = stage.connect();
    auto producer = stage.producer(session, {.on_full = OnFull::fail});
    std::size_t sent = 0;
    Result<void, SendError> last;
    while ((last = producer.send("12345678"))) ++sent;
    EXPECT_EQ(sent, (page_unit - page_header_bytes) / 16);
    EXPECT_EQ(last.error(), SendError::no_grant);
    EXPECT_EQ(stage.cell().waiting.load(), 0u);
    EXPECT_TRUE(producer.last_wait());
}

TEST(Producer, GivesUpAtItsDeadlineAndSaysWhy) {
    ClientStage stage("queue://q", 1, page_unit);
    const auto session = stage.connect();
    auto producer = stage.producer(session, {.timeout = 40ms});
    auto consumer = stage.consumer(session);
    stage.lane(0).reason.store(WaitReason::direct_full);
    stage.signals().head().broker_asleep.store(1);
    stage.rings();
    const std::uint64_t before = monotonic_ns();
    Result<void, SendError> last;
    while ((last = producer.send("12345678"))) continue;
    EXPECT_EQ(last.error(), SendError::timed_out);
    EXPECT_GE(monotonic_ns() - before, 40 * ns_per_ms);
    EXPECT_GE(stage.rings(), 1u) << "a broker that sleeps is rung";
    EXPECT_EQ(stage.signals().head().need[0].load() & 1, 1u);
    ASSERT_TRUE(producer.last_wait());
    EXPECT_EQ(producer.last_wait()->reason, WaitReason::direct_full);
    EXPECT_GE(producer.last_wait()->waited_ns, 40 * ns_per_ms);
    EXPECT_NE(producer.last_wait()->sentence.find("direct memory is full"), std::string::npos);
    EXPECT_NE(producer.last_wait()->sentence.find("this process consumes"), std::string::npos);
}

TEST(Producer, SaysHowMuchItWantsWhileItWaits) {
    ClientStage stage("queue://q", 2, 2 * page_unit);
    const auto session = stage.connect();
    auto producer = stage.producer(session);
    ASSERT_TRUE(producer.send(std::string(3000, 'x')));
    std::thread waiting([&] {
        EXPECT_TRUE(producer.send(std::string(3000, 'a')));
        EXPECT_TRUE(producer.send(std::string(4096, 'b')));
    });
    while (stage.cell().waiting.load() == 0) std::this_thread::yield();
    EXPECT_EQ(stage.cell().wanted.load(), record_bytes(0, 4096));
    stage.grant_to_first(1, 0, 2);
    waiting.join();
    EXPECT_EQ(stage.cell().waiting.load(), 0u);
    EXPECT_EQ(stage.cell().wanted.load(), 0u);
}

TEST(Producer, PassesPagesThatAreTooSmallForItsMessage) {
    ClientStage stage("queue://q", 2, 8 * page_unit);
    const auto session = stage.connect();
    auto producer = stage.producer(session);
    auto consumer = stage.consumer(session);
    stage.grant_to_first(1, 0, 1);
    stage.grant_to_first(1, 1, 1);
    stage.grant_to_first(1, 2, 4);
    ASSERT_TRUE(producer.send(std::string(7 * page_unit / 2, 'a')));
    ASSERT_TRUE(producer.send(std::string(7 * page_unit / 2, 'b')));
    ASSERT_TRUE(producer.send(std::string(7 * page_unit / 2, 'c')));
    EXPECT_FALSE(producer.last_wait()) << "there was a page with room, two pages further on";
    std::string got;
    for (const auto& text : test::drain(consumer)) got += text[0];
    EXPECT_EQ(got, "abc");
}

TEST(Producer, AsksForMoreBeforeItsWindowEnds) {
    ClientStage stage("queue://q", 1, 16 * page_unit);
    const auto session = stage.connect();
    stage.lane(0).window_bytes.store(8 * page_unit);
    auto producer = stage.producer(session);
    stage.signals().head().broker_asleep.store(1);
    int sent = 0;
    while (stage.rings() == 0) {
        ASSERT_LT(++sent, 60);
        ASSERT_TRUE(producer.send(std::string(1000, 'x')));
    }
    EXPECT_EQ(stage.signals().head().need[0].load(), 1u);
    // Half of the window, 4 pages, is left of the 16.
    EXPECT_NEAR(sent * 1008, 12 * page_unit, page_unit);
    for (int i = 0; i < 5; ++i) ASSERT_TRUE(producer.send(std::string(1000, 'x')));
    EXPECT_EQ(stage.rings(), 0u) << "once is enough";
}

}  // namespace
}  // namespace weir
