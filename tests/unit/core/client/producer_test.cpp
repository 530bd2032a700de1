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
    // Does what the broker does: the second lane's page becomes the next page of the first lane.
    const PageRef next = ref_of_unit(2);
    PageSlot& page = stage.control().page(next);
    page.lane.store(0);
    page.start.store(position_first + 2 * page_unit);
    stage.control().page(ref_of_unit(0)).next.store(next);
    stage.lane(0).stop_and_revocations.store(stop_word(position_first + 4 * page_unit, 0));
    stage.lane(0).grants.fetch_add(1);
    futex_wake(stage.lane(0).grants, 1);
    waiting.join();
    EXPECT_EQ(stage.cell().waiting.load(), 0u);
    EXPECT_EQ(stage.cell().wanted.load(), 0u);
}

}  // namespace
}  // namespace weir
