// SPDX-License-Identifier: Apache-2.0
//
// No wake-up is lost: parking and sending are raced, with sleeps that nothing bounds. A lost
// wake-up is a wait without end, which the test's time-out finds.
//
// What it does not prove: x86 hides most weakened orders, and two cores see few interleavings;
// sleep.hpp argues the rest. It does not show that a wake-up is prompt.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <random>
#include <thread>

#include "core/base/clock.hpp"
#include "core/client/cores.hpp"
#include "tests/support/client_stage.hpp"
#include "weir/weir.hpp"

namespace weir {
namespace {

using test::ClientStage;

constexpr std::uint64_t seed = 20260717;
constexpr std::uint64_t time_box_ns = 15 * ns_per_s;

class Parking : public testing::Test {
protected:
    void SetUp() override { detail::sleep_slice_ns.store(no_deadline); }
    void TearDown() override { detail::sleep_slice_ns.store(detail::sleep_slice_default_ns); }
};

// Lets the other side get somewhere between announcing and sleeping: nothing, a moment, or its
// core.
void jitter(std::mt19937_64& random) {
    const std::uint64_t draw = random() % 64;
    if (draw == 0) std::this_thread::yield();
    for (std::uint64_t turn = 0; turn < draw % 16; ++turn) detail::relax();
}

// Each message is sent when the one before it was received, so the consumer is about to park each
// time.
void race_singly(const char* destination, std::uint64_t messages) {
    ClientStage stage(destination, 1, 64 << 20);
    const auto session = stage.connect();
    auto producer = stage.producer(session);
    auto consumer = stage.consumer(session);
    std::atomic<std::uint64_t> received{0};
    const std::uint64_t end_ns = monotonic_ns() + time_box_ns;
    std::atomic<std::uint64_t> sent{0};
    std::thread sender([&] {
        std::mt19937_64 random(seed);
        for (std::uint64_t n = 0; n < messages && monotonic_ns() < end_ns; ++n) {
            while (received.load(std::memory_order_acquire) < n) detail::relax();
            jitter(random);
            ASSERT_TRUE(producer.send("12345678"));
            sent.store(n + 1, std::memory_order_release);
        }
        ASSERT_TRUE(producer.send("end"));
    });
    for (;;) {
        auto message = consumer.receive();
        ASSERT_TRUE(message);
        if (message->text() == "end") break;
        received.fetch_add(1, std::memory_order_release);
    }
    sender.join();
    EXPECT_EQ(received.load(), sent.load());
    std::printf("%s: %lu times, seed %lu\n", destination, received.load(), seed);
}

TEST_F(Parking, AConsumerOfAQueueIsWokenByEachMessage) { race_singly("queue://q", 500'000); }
TEST_F(Parking, AConsumerOfATopicIsWokenByEachMessage) { race_singly("topic://t", 500'000); }

// Two consumers of one queue, in rounds of two messages that become visible together, with one wake
// between them. Whoever took a message keeps handling it until the other one was taken too, so
// nobody but the other consumer can take that: the first one has to wake him.
TEST_F(Parking, WhoLeavesAMessageBehindWakesTheNext) {
    constexpr std::uint64_t rounds_max = 200'000;
    ClientStage stage("queue://q", 1, 64 << 20);
    const auto session = stage.connect();
    auto producer = stage.producer(session);
    std::vector<Consumer> consumers;
    for (int i = 0; i < 2; ++i) consumers.push_back(stage.consumer(session, {.prefetch = 1}));
    std::atomic<std::uint64_t> received{0};
    std::vector<std::thread> threads;
    for (auto& consumer : consumers)
        threads.emplace_back([&] {
            for (;;) {
                auto message = consumer.receive();
                ASSERT_TRUE(message);
                if (message->text() == "end") return;
                const std::uint64_t number = ++received;
                while (received < number + number % 2) std::this_thread::yield();
            }
        });
    const std::string text = "x";
    const std::vector<std::span<const std::byte>> two(2, std::as_bytes(std::span(text)));
    std::mt19937_64 random(seed);
    const std::uint64_t end_ns = monotonic_ns() + time_box_ns;
    std::uint64_t rounds = 0;
    for (; rounds < rounds_max && monotonic_ns() < end_ns; ++rounds) {
        while (received < 2 * rounds) std::this_thread::yield();
        jitter(random);
        ASSERT_EQ(producer.send(two).value(), 2u);
    }
    while (received < 2 * rounds) std::this_thread::yield();
    for (int i = 0; i < 2; ++i) ASSERT_TRUE(producer.send("end"));
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(received.load(), 2 * rounds);
    std::printf("queue of two: %lu rounds, seed %lu\n", rounds, seed);
}

// Three subscribers of a topic: one commit wakes all of them.
TEST_F(Parking, EachSubscriberIsWoken) {
    constexpr std::uint64_t most = 100'000;
    ClientStage stage("topic://t", 1, 64 << 20);
    const auto session = stage.connect();
    auto producer = stage.producer(session);
    std::vector<Consumer> consumers;
    for (int i = 0; i < 3; ++i) consumers.push_back(stage.consumer(session));
    std::array<std::atomic<std::uint64_t>, 3> received{};
    std::vector<std::thread> readers;
    for (std::size_t c = 0; c < 3; ++c)
        readers.emplace_back([&, c] {
            for (;;) {
                auto message = consumers[c].receive();
                ASSERT_TRUE(message);
                if (message->text() == "end") return;
                ++received[c];
            }
        });
    std::mt19937_64 random(seed);
    const std::uint64_t end_ns = monotonic_ns() + time_box_ns;
    std::uint64_t sent = 0;
    for (; sent < most && monotonic_ns() < end_ns; ++sent) {
        for (auto& count : received)
            while (count.load() < sent) std::this_thread::yield();
        jitter(random);
        ASSERT_TRUE(producer.send("x"));
    }
    ASSERT_TRUE(producer.send("end"));
    for (auto& reader : readers) reader.join();
    for (auto& count : received) EXPECT_EQ(count.load(), sent);
    std::printf("topic of three: %lu times, seed %lu\n", sent, seed);
}

}  // namespace
}  // namespace weir
