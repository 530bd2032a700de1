// SPDX-License-Identifier: Apache-2.0
//
// The public API against a real broker in a thread of this process.
#include "weir/session.hpp"

#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <numeric>
#include <random>
#include <set>
#include <string>
#include <thread>

#include "core/base/clock.hpp"
#include "tests/support/broker_stage.hpp"

namespace weir {
namespace {

using namespace std::chrono_literals;
using test::BrokerStage;

std::string pattern(std::size_t bytes) {
    std::string text(bytes, '\0');
    std::uint32_t state = static_cast<std::uint32_t>(bytes) + 1;
    for (char& byte : text) {
        state = state * 1664525 + 1013904223;
        byte = static_cast<char>(state >> 24);
    }
    return text;
}

std::vector<std::string> drain(Consumer& consumer) {
    std::vector<std::string> texts;
    while (auto message = consumer.poll()) texts.emplace_back(message->text());
    return texts;
}

Producer open_producer(Session& session, const std::string& name,
                       const ProducerOptions& options = {}) {
    auto producer = session.producer(name, options);
    if (!producer) ADD_FAILURE() << producer.error().sentence;
    return std::move(*producer);
}
Consumer open_consumer(Session& session, const std::string& name,
                       const ConsumerOptions& options = {}) {
    auto consumer = session.consumer(name, options);
    if (!consumer) ADD_FAILURE() << consumer.error().sentence;
    return std::move(*consumer);
}

TEST(Connect, SaysHowToStartABrokerWhenNoneRuns) {
    auto session = connect("nobody-here");
    ASSERT_FALSE(session);
    EXPECT_EQ(session.error().code, ConnectError::no_broker);
    EXPECT_EQ(session.error().sentence,
              "no broker named \"nobody-here\" runs here: start one with "
              "\"weir broker --name nobody-here\" or add --start");
}

TEST(Connect, RefusesABadName) {
    EXPECT_EQ(connect("Not A Name").error().code, ConnectError::bad_name);
    EXPECT_EQ(connect(std::string(300, 'a')).error().code, ConnectError::bad_name);
}

TEST(Connect, TellsAboutTheBroker) {
    BrokerStage stage(16 << 20, 1 << 20);
    auto session = stage.connect();
    EXPECT_EQ(session.broker().name, stage.name);
    EXPECT_EQ(session.broker().pid, static_cast<std::uint32_t>(::getpid()));
    EXPECT_EQ(session.broker().direct_bytes, 16u << 20);
    EXPECT_EQ(session.broker().largest_message, 1u << 20);
    EXPECT_TRUE(session.broker_alive());
}

TEST(Connect, RefusesBadNamesOfDestinations) {
    BrokerStage stage;
    auto session = stage.connect();
    for (const std::string name :
         {"ftp://x", "queue://", "queue://a..b", "queue://a b", "queue://*"})
        EXPECT_EQ(session.producer(name).error().code, OpenError::bad_name) << name;
    EXPECT_EQ(session.producer("queue://" + std::string(300, 'a')).error().code,
              OpenError::bad_name);
    EXPECT_EQ(session.consumer("topic://" + std::string(300, 'a')).error().code,
              OpenError::bad_name);
    EXPECT_EQ(session.producer("queue://a?producer.onFull=maybe").error().code,
              OpenError::bad_name);
    EXPECT_EQ(session.consumer("queue://a?consumer.prefetch=1").error().code, OpenError::bad_name);
    EXPECT_TRUE(session.producer("queue://a?producer.onFull=fail&consumer.prefetchSize=1"));
}

TEST(Sizes, FromNothingTo64MiBGoThroughOneLane) {
    BrokerStage stage(256 << 20, 64 << 20);
    auto session = stage.connect();
    for (const std::string name : {"queue://sizes", "topic://sizes"}) {
        auto consumer = open_consumer(session, name);
        auto producer = open_producer(session, name, {.timeout = 10s});
        for (int round = 0; round < 2; ++round)
            for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{8} << 10,
                                           std::size_t{1} << 20, std::size_t{64} << 20}) {
                const std::string sent = pattern(size);
                auto result = producer.send(sent);
                ASSERT_TRUE(result) << name << " " << size << " " << sentence(result.error())
                                    << (producer.last_wait() ? producer.last_wait()->sentence : "");
                auto got = consumer.receive(5s);
                ASSERT_TRUE(got) << name << " " << size;
                ASSERT_EQ(got->bytes().size(), size);
                EXPECT_TRUE(got->text() == sent) << name << " " << size;
            }
        EXPECT_EQ(producer.send(pattern((64 << 20) + 1)).error(), SendError::too_large);
    }
}

TEST(Queue, GivesEachMessageToOneOfTwoConsumers) {
    BrokerStage stage;
    auto session = stage.connect();
    auto first = open_consumer(session, "queue://work", {.prefetch = 10});
    auto second = open_consumer(session, "queue://work", {.prefetch = 10});
    auto producer = open_producer(session, "queue://work");
    std::vector<int> got(20000);
    std::atomic<int> received{0};
    const auto take = [&](Consumer& consumer) {
        while (received < 20000)
            if (auto message = consumer.receive(20ms)) {
                ++got[static_cast<std::size_t>(std::stoi(std::string(message->text())))];
                ++received;
            }
    };
    std::thread other([&] { take(second); });
    std::thread sender([&] {
        for (int i = 0; i < 20000; ++i) ASSERT_TRUE(producer.send(std::to_string(i)));
    });
    take(first);
    other.join();
    sender.join();
    EXPECT_EQ(got, std::vector<int>(20000, 1));
    EXPECT_GT(first.counts().received, 0u);
}

TEST(Topic, GivesEverythingToEachOfThreeSubscribers) {
    BrokerStage stage;
    auto session = stage.connect();
    auto early = open_producer(session, "topic://news");
    ASSERT_TRUE(early.send("before anybody subscribed"));
    std::vector<Consumer> consumers;
    for (int i = 0; i < 3; ++i) consumers.push_back(open_consumer(session, "topic://news"));
    auto late = open_producer(session, "topic://news");
    std::thread sender([&] {
        for (int i = 0; i < 30000; ++i) {
            ASSERT_TRUE(early.send("e" + std::to_string(i)));
            ASSERT_TRUE(late.send("l" + std::to_string(i)));
        }
    });
    std::vector<std::thread> readers;
    for (auto& consumer : consumers)
        readers.emplace_back([&consumer] {
            std::map<char, int> next;
            for (int n = 0; n < 60000; ++n) {
                auto message = consumer.receive(5s);
                ASSERT_TRUE(message) << n;
                ASSERT_EQ(std::stoi(std::string(message->text().substr(1))),
                          next[message->text()[0]]++);
            }
            EXPECT_FALSE(consumer.poll());
        });
    for (auto& reader : readers) reader.join();
    sender.join();
}

TEST(Redelivery, GivesWhatWasNotAcknowledgedToAnotherInOrderAndFlagged) {
    BrokerStage stage;
    auto session = stage.connect();
    auto producer = open_producer(session, "queue://work");
    for (int i = 0; i < 20; ++i) ASSERT_TRUE(producer.send(std::to_string(i)));
    {
        auto leaving = open_consumer(session, "queue://work",
                                     {.prefetch = 8, .acknowledge = Acknowledge::cumulative});
        std::vector<Message> messages;
        for (int i = 0; i < 5; ++i) messages.push_back(leaving.poll().value());
        messages[1].acknowledge();
    }
    auto staying = open_consumer(session, "queue://work", {.acknowledge = Acknowledge::cumulative});
    std::vector<std::string> got;
    std::vector<bool> flags;
    while (got.size() < 18) {
        auto message = staying.receive(2s);
        ASSERT_TRUE(message) << got.size();
        got.emplace_back(message->text());
        flags.push_back(message->redelivered());
    }
    for (std::size_t i = 0; i < 18; ++i) {
        EXPECT_EQ(got[i], std::to_string(i + 2));
        EXPECT_EQ(flags[i], i < 3) << i;  // 2, 3 and 4 had been handed out
    }
    staying.acknowledge();
    EXPECT_FALSE(staying.poll());
    ASSERT_TRUE(session.settle());
    EXPECT_EQ(stage.stop().discarded_messages, 0u);
}

// More ranges than who stays has places for, and new messages behind them.
TEST(Redelivery, GivesWhatAnotherLeftBehindBeforeAnythingNew) {
    for (const std::uint32_t prefetch : {1u, 10u, 1000u}) {
        BrokerStage stage;
        auto session = stage.connect();
        auto producer = open_producer(session, "queue://work");
        auto staying = open_consumer(session, "queue://work", {.prefetch = prefetch});
        {
            auto leaving =
                open_consumer(session, "queue://work",
                              {.prefetch = 1000, .acknowledge = Acknowledge::cumulative});
            for (int i = 0; i < 1500; ++i) ASSERT_TRUE(producer.send(std::to_string(i)));
            for (int i = 0; i < 1000; ++i) ASSERT_TRUE(leaving.poll());
        }
        for (int i = 0; i < 1500; ++i) {
            const auto message = staying.receive(2s);
            ASSERT_TRUE(message) << i;
            ASSERT_EQ(message->text(), std::to_string(i)) << prefetch;
            EXPECT_EQ(message->redelivered(), i < 1000);
        }
    }
}

TEST(Pattern, FollowsTopicsThatComeLater) {
    BrokerStage stage;
    auto session = stage.connect();
    auto consumer = open_consumer(session, "topic://orders.*");
    auto all = open_consumer(session, "topic://orders.>");
    auto eu = open_producer(session, "topic://orders.eu");
    auto deep = open_producer(session, "topic://orders.eu.north");
    auto other = open_producer(session, "topic://bills.eu");
    ASSERT_TRUE(eu.send("1"));
    ASSERT_TRUE(deep.send("2"));
    ASSERT_TRUE(other.send("3"));
    auto us = open_producer(session, "topic://orders.us");
    ASSERT_TRUE(us.send("4"));
    std::map<std::string, std::string> got;
    while (auto message = consumer.poll())
        got[std::string(message->destination())] = message->text();
    EXPECT_EQ(got, (std::map<std::string, std::string>{{"topic://orders.eu", "1"},
                                                       {"topic://orders.us", "4"}}));
    EXPECT_EQ(drain(all).size(), 3u);
}

TEST(Pattern, FollowsQueuesThatComeLater) {
    BrokerStage stage;
    auto session = stage.connect();
    auto eu = open_producer(session, "queue://orders.eu");
    ASSERT_TRUE(eu.send("1"));
    auto consumer = open_consumer(session, "queue://orders.*");
    auto us = open_producer(session, "queue://orders.us");
    std::thread sender([&] {
        std::this_thread::sleep_for(20ms);
        ASSERT_TRUE(us.send("2"));
    });
    std::map<std::string, std::string> got;
    for (int i = 0; i < 2; ++i) {
        auto message = consumer.receive(5s);
        ASSERT_TRUE(message);
        got[std::string(message->destination())] = message->text();
    }
    sender.join();
    EXPECT_EQ(got, (std::map<std::string, std::string>{{"queue://orders.eu", "1"},
                                                       {"queue://orders.us", "2"}}));
}

TEST(Senders, OneAfterTheOtherArriveInOrder) {
    BrokerStage stage;
    auto session = stage.connect();
    auto consumer = open_consumer(session, "queue://one-shot");
    for (int i = 0; i < 2000; ++i) {
        auto producer = open_producer(session, "queue://one-shot");
        ASSERT_TRUE(producer.send(std::to_string(i)));
    }
    for (int i = 0; i < 2000; ++i) {
        auto message = consumer.receive(1s);
        ASSERT_TRUE(message) << i;
        ASSERT_EQ(message->text(), std::to_string(i));
    }
}

TEST(Memory, AProducerThatWaitsGoesOnWhenAConsumerReads) {
    BrokerStage stage(1 << 20, 128 << 10);
    auto session = stage.connect();
    auto producer = open_producer(session, "queue://tight", {.timeout = 20s});
    auto consumer = open_consumer(session, "queue://tight");
    std::thread sender([&] {
        for (int i = 0; i < 2000; ++i) {
            auto sent = producer.send(std::string(static_cast<std::size_t>(i % 7 * 5000), 'x'));
            ASSERT_TRUE(sent) << i << " " << producer.last_wait()->sentence;
        }
    });
    std::this_thread::sleep_for(50ms);  // let it fill
    for (int i = 0; i < 2000; ++i) {
        auto message = consumer.receive(10s);
        ASSERT_TRUE(message) << i;
        ASSERT_EQ(message->bytes().size(), static_cast<std::size_t>(i % 7 * 5000)) << i;
    }
    sender.join();
    EXPECT_TRUE(producer.last_wait());
}

TEST(Memory, AFullBrokerFailsASendAsItWasTold) {
    BrokerStage stage(1 << 20, 128 << 10);
    auto session = stage.connect();
    auto at_once = open_producer(session, "queue://full", {.on_full = OnFull::fail});
    auto patient = open_producer(session, "queue://full", {.timeout = 50ms});
    Result<void, SendError> last;
    while ((last = at_once.send(std::string(20000, 'x')))) continue;
    EXPECT_EQ(last.error(), SendError::no_grant);
    while ((last = patient.send(std::string(20000, 'x')))) continue;
    EXPECT_EQ(last.error(), SendError::timed_out);
    ASSERT_TRUE(patient.last_wait());
    EXPECT_EQ(patient.last_wait()->reason, WaitReason::direct_full);
    EXPECT_GE(patient.last_wait()->waited_ns, 50 * ns_per_ms);
}

TEST(Memory, AMessageThatFitsIntoNoLimitFailsAtOnceAlsoForOneThatWouldWait) {
    broker::LimitOptions limits;
    limits.session.direct_bytes = 64 << 10;
    BrokerStage stage(1 << 20, 128 << 10, limits);
    auto session = stage.connect();
    auto producer = open_producer(session, "queue://small");  // would wait for ever
    EXPECT_EQ(producer.send(std::string(100'000, 'x')).error(), SendError::never_fits);
    ASSERT_TRUE(producer.last_wait());
    EXPECT_EQ(producer.last_wait()->reason, WaitReason::never_fits);
    EXPECT_EQ(producer.last_wait()->level, LimitLevel::session);
    EXPECT_EQ(producer.last_wait()->capacity, 64u << 10);
    EXPECT_TRUE(producer.send(std::string(20'000, 'x')));
}

TEST(Memory, AWaitSaysWhichLimitWasMetWhoHoldsItAndThatOnlyItsOwnProcessCouldFreeIt) {
    BrokerStage stage(1 << 20, 128 << 10);
    auto session = stage.connect();
    auto producer = open_producer(session, "queue://own", {.timeout = 50ms});
    const auto fill = [&] {
        Result<void, SendError> last;
        while ((last = producer.send(std::string(20000, 'x')))) continue;
        EXPECT_EQ(last.error(), SendError::timed_out);
        return producer.last_wait().value();
    };
    const WaitInfo alone = fill();
    EXPECT_EQ(alone.level, LimitLevel::broker);
    EXPECT_EQ(alone.capacity, 1u << 20);
    EXPECT_GT(alone.used, (1u << 20) - (128 << 10));
    EXPECT_NE(alone.since_ns, 0u);
    ASSERT_EQ(alone.holders.size(), 1u);
    EXPECT_EQ(alone.holders[0].destination, "queue://own");
    EXPECT_EQ(alone.holders[0].pid, static_cast<std::uint32_t>(::getpid()));
    EXPECT_FALSE(alone.holders[0].name.empty());
    EXPECT_EQ(alone.freeable, Freeable::by_nobody);
    EXPECT_NE(alone.sentence.find("nobody consumes"), std::string::npos) << alone.sentence;

    auto consumer = open_consumer(session, "queue://own");
    std::this_thread::sleep_for(150ms);  // until it is looked up anew
    const WaitInfo own = fill();
    EXPECT_TRUE(own.only_this_process);
    EXPECT_NE(own.sentence.find("only this process"), std::string::npos) << own.sentence;
    EXPECT_NE(own.sentence.find("queue://own of " + own.holders.at(0).name), std::string::npos);
}

int wait_readable(int epoll, int timeout_ms) {
    epoll_event event{};
    int result = -1;
    while (result < 0) result = ::epoll_wait(epoll, &event, 1, timeout_ms);  // EINTR
    return result;
}

// Polls until the descriptor stays unreadable. A late signal of an earlier wait may make it
// readable without a message, a few times at most.
bool becomes_unreadable(Consumer& consumer, int epoll) {
    for (int tries = 0; tries < 5; ++tries) {
        if (consumer.poll()) return false;
        if (wait_readable(epoll, 0) == 0) return true;
    }
    return false;
}

TEST(WaitFd, OfAConsumerWorksWithEpoll) {
    BrokerStage stage;
    auto session = stage.connect();
    for (const std::string name : {"queue://polled", "topic://polled", "topic://polled.*"}) {
        auto consumer = open_consumer(session, name);
        auto producer = open_producer(session, name.back() == '*' ? "topic://polled.a" : name);
        const int fd = consumer.wait_fd();
        ASSERT_GE(fd, 0);
        const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
        epoll_event wanted{.events = EPOLLIN, .data = {}};
        ASSERT_EQ(::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &wanted), 0);
        EXPECT_TRUE(becomes_unreadable(consumer, epoll)) << name;
        for (int i = 0; i < 100; ++i) {
            ASSERT_TRUE(producer.send(std::to_string(i)));
            ASSERT_EQ(wait_readable(epoll, 5000), 1) << name << " " << i;
            auto message = consumer.poll();
            ASSERT_TRUE(message) << name << " " << i;
            EXPECT_EQ(message->text(), std::to_string(i));
            EXPECT_TRUE(becomes_unreadable(consumer, epoll)) << name << " " << i;
        }
        ::close(epoll);
    }
}

TEST(WaitFd, OfAProducerBecomesReadableWhenMemoryIsFree) {
    BrokerStage stage(1 << 20, 128 << 10);
    auto session = stage.connect();
    auto producer = open_producer(session, "queue://full", {.on_full = OnFull::fail});
    auto consumer = open_consumer(session, "queue://full");
    const int fd = producer.wait_fd();
    const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
    epoll_event wanted{.events = EPOLLIN, .data = {}};
    ASSERT_EQ(::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &wanted), 0);
    int sent = 0;
    while (producer.send(std::string(20000, 'x'))) ++sent;
    ASSERT_GT(sent, 10);
    while (wait_readable(epoll, 0) != 0) ASSERT_FALSE(producer.send(std::string(20000, 'x')));
    for (int i = 0; i < sent; ++i) ASSERT_TRUE(consumer.poll()) << i;
    static_cast<void>(consumer.poll());
    ASSERT_EQ(wait_readable(epoll, 5000), 1);
    EXPECT_TRUE(producer.send(std::string(20000, 'x')));
    ::close(epoll);
}

TEST(BrokerDown, IsToldAfterWhatWasGrantedIsRead) {
    BrokerStage stage;
    auto session = stage.connect();
    auto producer = open_producer(session, "queue://left", {.timeout = 10s});
    auto consumer = open_consumer(session, "queue://left");
    ASSERT_TRUE(producer.send("granted before"));
    stage.stop();
    EXPECT_FALSE(session.broker_alive());
    auto message = consumer.receive(5s);
    ASSERT_TRUE(message);
    EXPECT_EQ(message->text(), "granted before");
    EXPECT_EQ(consumer.receive(5s).error(), ReceiveError::broker_down);
    Result<void, SendError> last;
    while ((last = producer.send(std::string(1000, 'x')))) continue;
    EXPECT_EQ(last.error(), SendError::broker_down);
    EXPECT_EQ(session.producer("queue://new").error().code, OpenError::broker_down);
}

TEST(Session, ClosesWhatItOpened) {
    BrokerStage stage;
    auto session = stage.connect();
    auto producer = open_producer(session, "queue://closed");
    auto consumer = open_consumer(session, "queue://closed");
    auto second = stage.connect();
    ASSERT_TRUE(producer.send("stays"));
    session.close();
    session.close();
    EXPECT_EQ(producer.send("x").error(), SendError::closed);
    EXPECT_EQ(consumer.poll().error(), ReceiveError::closed);
    auto other = open_consumer(second, "queue://closed");
    EXPECT_EQ(drain(other), std::vector<std::string>{"stays"});
}

TEST(Session, LivesAsLongAsItsProducers) {
    BrokerStage stage;
    auto consumer_session = stage.connect();
    auto consumer = open_consumer(consumer_session, "queue://a");
    std::optional<Producer> producer;
    {
        auto session = stage.connect();
        producer = open_producer(session, "queue://a");
    }
    ASSERT_TRUE(producer->send("x"));
    EXPECT_EQ(drain(consumer).size(), 1u);
}

TEST(Session, IsUsedByManyThreads) {
    BrokerStage stage;
    auto session = stage.connect();
    std::vector<std::thread> threads;
    for (int t = 0; t < 8; ++t)
        threads.emplace_back([&session, t] {
            for (int i = 0; i < 20; ++i) {
                auto producer = session.producer("queue://t" + std::to_string(t));
                ASSERT_TRUE(producer) << producer.error().sentence;
                ASSERT_TRUE(producer->send("x"));
                auto consumer = session.consumer("queue://t" + std::to_string(t));
                ASSERT_TRUE(consumer) << consumer.error().sentence;
                ASSERT_TRUE(consumer->receive(1s));
            }
        });
    for (auto& thread : threads) thread.join();
}

}  // namespace
}  // namespace weir
