// SPDX-License-Identifier: Apache-2.0
//
// A producer that finds no room, over bytes laid out by hand.
#include "weir/producer.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <thread>

#include "core/base/clock.hpp"
#include "shm/futex.hpp"
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
    EXPECT_EQ(stage.cell().waiting.load(), ProducerWaiting::no);
    EXPECT_TRUE(producer.last_wait());
}

TEST(Producer, DoesWhatThePolicySaysUnlessItsCallerChose) {
    const auto outcome = [](ClientStage& stage, const ProducerOptions& options,
                            const SendOptions* once = nullptr) {
        const auto session = stage.connect();
        auto producer = stage.producer(session, options);
        // relaxed would do: one thread until the connection ends.
        while (producer.send("12345678", SendOptions{.on_full = OnFull::fail})) continue;
        const auto last =
            once != nullptr ? producer.send("12345678", *once) : producer.send("12345678");
        return last ? std::string("sent ") + std::to_string(producer.dropped())
                    : std::to_string(static_cast<int>(last.error()));
    };
    const auto error = [](SendError code) { return std::to_string(static_cast<int>(code)); };
    struct Row {
        Overflow policy;
        ProducerOptions options;
        std::string outcome;
    };
    const Row rows[] = {
        {Overflow::fail, {}, error(SendError::no_grant)},
        {Overflow::fail_after, {}, error(SendError::timed_out)},
        {Overflow::fail_after, {.on_full = OnFull::fail}, error(SendError::no_grant)},
        {Overflow::drop_newest, {}, "sent 1"},
        {Overflow::drop_newest, {.on_full = OnFull::fail}, error(SendError::no_grant)},
        {Overflow::drop_newest,
         {.on_full = OnFull::wait, .timeout = 5ms},
         error(SendError::timed_out)},
        {Overflow::block, {.timeout = 5ms}, error(SendError::timed_out)},
        {Overflow::block, {.on_full = OnFull::drop_newest}, "sent 1"},
        {Overflow::drop_oldest, {}, error(SendError::no_grant)},  // nobody here gives anything up
        {static_cast<Overflow>(77), {.timeout = 5ms}, error(SendError::timed_out)},
    };
    for (const Row& row : rows) {
        ClientStage stage("queue://q", 1, page_unit);
        PolicySlot& policy = stage.control().destination(0).policy;
        policy.overflow.store(row.policy);
        policy.fail_after_ns.store(5 * ns_per_ms);
        EXPECT_EQ(outcome(stage, row.options), row.outcome) << &row - rows;
    }
    ClientStage stage("queue://q", 1, page_unit);
    stage.control().destination(0).policy.overflow.store(Overflow::fail);
    const SendOptions once{.on_full = OnFull::drop_newest};
    EXPECT_EQ(outcome(stage, {.on_full = OnFull::fail}, &once), "sent 1") << "for one send";
}

TEST(Producer, ADroppedMessageIsCountedWhereTheBrokerSeesItAndAClaimSaysSo) {
    ClientStage stage("queue://q", 1, page_unit);
    const auto session = stage.connect();
    auto producer = stage.producer(session, {.on_full = OnFull::drop_newest});
    auto consumer = stage.consumer(session);
    std::size_t sent = 0;
    while (producer.dropped() == 0) {
        ASSERT_TRUE(producer.send("12345678"));
        ++sent;
    }
    EXPECT_EQ(producer.claim(8).error(), SendError::dropped);
    const std::string text = "in a batch";
    const std::span<const std::byte> batch[] = {test::bytes_of(text), test::bytes_of(text)};
    EXPECT_EQ(producer.send(batch).value(), 2u);
    EXPECT_EQ(producer.dropped(), 4u);
    EXPECT_EQ(stage.cell().dropped_newest.load(), 4u);
    EXPECT_EQ(test::drain(consumer).size(), sent - 1);
}

TEST(Producer, ARefusalIsBelievedForAMomentButNotPastAGrant) {
    ClientStage stage("queue://q", 2, page_unit);
    const auto session = stage.connect();
    auto producer = stage.producer(session, {.on_full = OnFull::fail});
    while (producer.send("12345678")) continue;
    auto& need = stage.signals().head().need[0];
    // Was the broker asked by one more send, that is refused?
    const auto asks = [&] {
        need.store(0);
        EXPECT_EQ(producer.send("12345678").error(), SendError::no_grant);
        return need.load() != 0;
    };
    // The moment may pass between any two sends.
    bool believed = false;
    for (int attempt = 0; attempt < 100 && !believed; ++attempt) believed = !asks();
    EXPECT_TRUE(believed);
    for (int attempt = 0; attempt < 5; ++attempt) {
        stage.lane(0).grants.fetch_add(1);
        EXPECT_TRUE(asks()) << "something was answered meanwhile";
    }
    const std::uint64_t until = monotonic_ns() + 10 * ns_per_s;
    bool asked = false;
    while (!asked && monotonic_ns() < until) asked = asks();
    EXPECT_TRUE(asked) << "the moment is over";
    stage.grant_to_first(1, 0, 1);
    EXPECT_TRUE(producer.send("12345678"));
}

TEST(Producer, AMeterHoldsItsMessagesAndItsPayloadExactly) {
    ClientStage stage("queue://q", 1, 16 * page_unit);
    const auto session = stage.connect();
    stage.lane(0).message_stop.store(6);
    auto producer = stage.producer(session, {.on_full = OnFull::fail});
    for (int number = 0; number < 3; ++number) ASSERT_TRUE(producer.send("12345678")) << number;
    for (int number = 3; number < 5; ++number) {
        auto open = producer.claim(8);
        ASSERT_TRUE(open) << number;
        open->commit();
    }
    EXPECT_EQ(producer.send("12345678").error(), SendError::no_grant);
    EXPECT_EQ(producer.claim(8).error(), SendError::no_grant);
    EXPECT_EQ(stage.cell().sent_messages.load(), 5u);
    EXPECT_EQ(stage.cell().sent_payload.load(), 40u);
    stage.lane(0).message_stop.store(0);
    stage.lane(0).payload_stop.store(51);
    stage.lane(0).grants.fetch_add(1);
    EXPECT_TRUE(producer.send("12345678"));
    EXPECT_EQ(producer.send("123").error(), SendError::no_grant);
    EXPECT_TRUE(producer.send("12"));
    stage.lane(0).payload_stop.store(0);
    stage.lane(0).grants.fetch_add(1);
    for (int number = 0; number < 100; ++number) ASSERT_TRUE(producer.send("12345678"));
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

// The broker serves those who have time a little later if that costs nobody anything.
TEST(Producer, SaysWhetherItHasTime) {
    for (const auto& [timeout, said] :
         {std::pair{5ms, Overflow::fail_after}, std::pair{40ms, Overflow::block}}) {
        ClientStage stage("queue://q", 1, page_unit);
        const auto session = stage.connect();
        auto producer = stage.producer(session, {.timeout = timeout});
        while (producer.send("12345678")) continue;
        EXPECT_EQ(stage.cell().on_full.load(), said) << timeout.count();
    }
}

TEST(Producer, WaitsAsLongAsThePolicySaysBeforeItFails) {
    ClientStage stage("queue://q", 1, page_unit);
    const auto session = stage.connect();
    PolicySlot& policy = stage.control().destination(0).policy;
    policy.overflow.store(Overflow::fail_after);
    policy.fail_after_ns.store(40 * ns_per_ms);
    auto producer = stage.producer(session);
    Result<void, SendError> last;
    while ((last = producer.send("12345678"))) continue;
    EXPECT_EQ(last.error(), SendError::timed_out);
    ASSERT_TRUE(producer.last_wait());
    EXPECT_GE(producer.last_wait()->waited_ns, 40 * ns_per_ms);
}

TEST(Producer, StaysInLineForTheSakeOfItsDescriptorAndLeavesItOtherwise) {
    for (const bool offers : {true, false}) {
        ClientStage stage("queue://q", 2, page_unit);
        const auto session = stage.connect();
        auto producer = stage.producer(session, {.on_full = OnFull::fail});
        if (offers) {
            ASSERT_NE(producer.wait_fd(), -1);
        }
        while (producer.send("12345678")) continue;
        EXPECT_EQ(stage.cell().waiting.load(),
                  offers ? ProducerWaiting::in_line : ProducerWaiting::no);
        stage.grant_to_first(1, 0, 1);
        EXPECT_TRUE(producer.send("12345678"));
        EXPECT_EQ(stage.cell().waiting.load(), ProducerWaiting::no);
    }
}

// Giving up messages makes no time.
TEST(Producer, ARingWaitsInLineForARate) {
    ClientStage stage("queue://q", 1, page_unit);
    const auto session = stage.connect();
    LaneSlot& lane = stage.lane(0);
    auto producer = stage.producer(session, {.on_full = OnFull::drop_oldest});
    lane.message_stop.store(1);  // none
    lane.reason.store(WaitReason::rate_limit);
    std::thread waiting([&] { EXPECT_TRUE(producer.send("1")); });
    const auto answer = [&] {
        lane.grants.fetch_add(1);
        futex_wake(lane.grants, 1);
    };
    // relaxed would do: only the last store of the other side is waited for.
    const auto await = [&](ProducerWaiting state) {
        const std::uint64_t until = monotonic_ns() + 10 * ns_per_s;
        while (stage.cell().waiting.load() != state && monotonic_ns() < until)
            std::this_thread::yield();
        EXPECT_EQ(stage.cell().waiting.load(), state);
    };
    await(ProducerWaiting::once);
    while (stage.signals().head().need[0].load() == 0) std::this_thread::yield();
    answer();
    await(ProducerWaiting::in_line);
    lane.message_stop.store(0);
    answer();
    waiting.join();
    EXPECT_EQ(stage.cell().dropped_newest.load(), 0U);
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
    while (stage.cell().waiting.load() == ProducerWaiting::no) std::this_thread::yield();
    EXPECT_EQ(stage.cell().wanted.load(), record_bytes(0, 4096));
    stage.grant_to_first(1, 0, 2);
    waiting.join();
    EXPECT_EQ(stage.cell().waiting.load(), ProducerWaiting::no);
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
    for (const bool in_place : {false, true}) {
        ClientStage stage("queue://q", 1, 16 * page_unit);
        const auto session = stage.connect();
        stage.lane(0).window_bytes.store(8 * page_unit);
        auto producer = stage.producer(session);
        const auto send = [&] {
            if (!in_place) return static_cast<bool>(producer.send(std::string(1000, 'x')));
            auto open = producer.claim(1000);
            if (open) open->commit();
            return static_cast<bool>(open);
        };
        stage.signals().head().broker_asleep.store(1);
        int sent = 0;
        while (stage.rings() == 0) {
            ASSERT_LT(++sent, 60) << in_place;
            ASSERT_TRUE(send());
        }
        EXPECT_EQ(stage.signals().head().need[0].load(), 1u);
        // Half of the window, 4 pages, is left of the 16.
        EXPECT_NEAR(sent * 1008, 12 * page_unit, page_unit);
        for (int i = 0; i < 5; ++i) ASSERT_TRUE(send());
        EXPECT_EQ(stage.rings(), 0u) << "once is enough";
    }
}

TEST(Producer, AMessageOfAPageThatWasLeftIsCountedThere) {
    ClientStage stage("queue://q", 2, 2 * page_unit);
    const auto session = stage.connect();
    auto producer = stage.producer(session);
    auto consumer = stage.consumer(session);
    stage.grant_to_first(1, 0, 2);
    auto open = std::move(producer.claim(8).value());
    ASSERT_TRUE(producer.send(std::string(page_unit, 'b')));
    ASSERT_TRUE(producer.send(std::string(page_unit, 'c'))) << "in the second page";
    const PageHeader& first = stage.pages().header(ref_of_unit(0));
    EXPECT_EQ(first.sealed.load(), 0u) << "a claim is open in it";
    std::memcpy(open.bytes().data(), "in place", 8);
    open.commit();
    EXPECT_EQ(first.sealed.load(), 2u + 1);
    EXPECT_EQ(first.payload_bytes.load(), 8 + page_unit);
    EXPECT_EQ(test::drain(consumer).size(), 3u);
}

}  // namespace
}  // namespace weir
