// SPDX-License-Identifier: Apache-2.0
//
// What a program meets when there is no room, against a real broker in a thread of this process.
#include <gtest/gtest.h>
#include <sys/epoll.h>

#include <chrono>
#include <random>
#include <set>
#include <string>

#include "tests/support/broker_stage.hpp"
#include "weir/weir.hpp"

namespace weir {
namespace {

using namespace std::chrono_literals;
using test::BrokerStage;

constexpr std::uint64_t direct_bytes = 1 << 20;

std::string numbered(std::size_t number, std::size_t bytes = 1000) {
    std::string text = std::to_string(number);
    return text + std::string(bytes - text.size(), '.');
}
std::size_t number_of(const Message& message) { return std::stoul(std::string(message.text())); }

// FACTS 5: with one connection for all, a producer that waits stops acknowledgements and consumers
// too. Here one thread does everything, and only the throttled destination stands still.
TEST(Throttling, AProducerWithoutRoomWaitsAloneWhileItsThreadGoesOn) {
    BrokerStage stage(direct_bytes, 64 << 10);
    auto session = stage.connect();
    auto full = session.producer("queue://full", {.on_full = OnFull::fail}).value();
    auto reader =
        session.consumer("queue://full", {.prefetch = 1000, .acknowledge = Acknowledge::cumulative})
            .value();
    auto other = session.producer("queue://other").value();
    auto other_reader = session.consumer("queue://other").value();
    auto news = session.producer("topic://news").value();
    auto subscriber = session.consumer("topic://news").value();
    const int fd = full.wait_fd();
    ASSERT_GE(fd, 0);
    const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
    epoll_event wanted{.events = EPOLLIN, .data = {}};
    ASSERT_EQ(::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &wanted), 0);

    std::size_t sent = 0;
    std::size_t acknowledged = 0;
    for (int round = 0; round < 5; ++round) {
        while (full.send(numbered(sent))) ++sent;
        EXPECT_EQ(full.send(numbered(sent)).error(), SendError::no_grant);
        ASSERT_TRUE(full.last_wait());
        EXPECT_EQ(full.last_wait()->reason, WaitReason::direct_full);
        // Other destinations of this thread go on: both send and receive.
        for (int number = 0; number < 200; ++number) {
            ASSERT_TRUE(other.send(numbered(static_cast<std::size_t>(number), 500)));
            auto message = other_reader.receive(10s);
            ASSERT_TRUE(message);
            ASSERT_EQ(number_of(*message), static_cast<std::size_t>(number));
            ASSERT_TRUE(news.send("news"));
            ASSERT_TRUE(subscriber.receive(10s));
        }
        // Consumers and acknowledgements of the throttled destination go on, and make its room.
        std::size_t got = 0;
        for (; got < 300; ++got) {
            auto message = reader.receive(10s);
            ASSERT_TRUE(message);
            ASSERT_EQ(number_of(*message), acknowledged + got);
        }
        reader.acknowledge();
        acknowledged += got;
        // The next look passes the pages that were read.
        epoll_event event{};
        ASSERT_EQ(::epoll_wait(epoll, &event, 1, 10'000), 1);
    }
    ::close(epoll);
}

TEST(Throttling, ARingOfAQueueNeverWaitsAndLosesTheOldest) {
    BrokerStage stage(direct_bytes, 64 << 10);
    auto session = stage.connect();
    auto ring = session.producer("queue://ring?producer.onFull=dropOldest").value();
    auto consumer = session.consumer("queue://ring").value();
    constexpr std::size_t count = 20'000;
    for (std::size_t number = 0; number < count; ++number)
        ASSERT_TRUE(ring.send(numbered(number))) << number;
    std::vector<std::size_t> got;
    while (auto message = consumer.receive(100ms)) got.push_back(number_of(*message));
    EXPECT_GT(got.size(), 500u);
    for (std::size_t at = 1; at < got.size(); ++at) ASSERT_LT(got[at - 1], got[at]);
    EXPECT_EQ(got.back(), count - 1);
    EXPECT_EQ(consumer.counts().dropped + got.size(), count);
}

// Random reading, in both ways of acknowledging, over several lanes.
class RingOfATopic : public ::testing::TestWithParam<Acknowledge> {};

TEST_P(RingOfATopic, ASubscriberSeesAllOrAnHonestGap) {
    BrokerStage stage(direct_bytes, 64 << 10);
    auto session = stage.connect();
    const unsigned seed = std::random_device{}();
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    std::vector<Producer> producers;
    for (int made = 0; made < 3; ++made)
        producers.push_back(
            session.producer("topic://ring", {.on_full = OnFull::drop_oldest}).value());
    auto consumer = session.consumer("topic://ring", {.acknowledge = GetParam()}).value();
    std::vector<std::size_t> next(producers.size());
    std::vector<std::size_t> seen(producers.size());
    std::size_t sent = 0;
    std::size_t got = 0;
    const auto check = [&](const Message& message) {
        const std::size_t number = number_of(message);
        const std::size_t from = number % 3;
        ASSERT_GE(number / 3, seen[from]) << "in order, none twice";
        ASSERT_EQ(std::string(message.text()), numbered(number)) << "and whole";
        seen[from] = number / 3 + 1;
        ++got;
    };
    for (int step = 0; step < 500; ++step) {
        const std::size_t from = random() % 3;
        for (std::size_t burst = random() % 30; burst > 0; --burst, ++sent)
            ASSERT_TRUE(producers[from].send(numbered(next[from]++ * 3 + from)));
        if (random() % 4 != 0) continue;
        std::vector<Message> held;
        for (std::size_t most = random() % 40; most > 0; --most) {
            auto message = consumer.poll();
            if (!message) break;
            check(*message);
            held.push_back(*message);
        }
        if (GetParam() == Acknowledge::automatic || held.empty()) continue;
        // While they are held, others may come and go.
        const std::size_t to = random() % 3;
        for (std::size_t burst = random() % 2000; burst > 0; --burst, ++sent)
            ASSERT_TRUE(producers[to].send(numbered(next[to]++ * 3 + to)));
        for (const Message& message : held) {
            const std::string text(message.text());
            ASSERT_EQ(text, numbered(std::stoul(text))) << "what is held is not given up";
        }
        held[random() % held.size()].acknowledge();
        if (random() % 2 == 0) consumer.acknowledge();
    }
    while (auto message = consumer.receive(200ms)) check(*message);
    EXPECT_EQ(got + consumer.counts().dropped, sent);
    EXPECT_GT(consumer.counts().dropped, 0u);
}

INSTANTIATE_TEST_SUITE_P(Both, RingOfATopic,
                         ::testing::Values(Acknowledge::automatic, Acknowledge::cumulative));

TEST(Throttling, DroppingTheNewestKeepsTheOldest) {
    BrokerStage stage(direct_bytes, 64 << 10);
    auto session = stage.connect();
    auto producer = session.producer("queue://old?producer.onFull=dropNewest").value();
    auto consumer = session.consumer("queue://old").value();
    for (std::size_t number = 0; number < 5000; ++number)
        ASSERT_TRUE(producer.send(numbered(number))) << number;
    EXPECT_GT(producer.dropped(), 3000u);
    std::size_t got = 0;
    while (auto message = consumer.receive(100ms)) ASSERT_EQ(number_of(*message), got++);
    EXPECT_EQ(got + producer.dropped(), 5000u);
}

}  // namespace
}  // namespace weir
