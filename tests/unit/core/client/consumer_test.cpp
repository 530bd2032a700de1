// SPDX-License-Identifier: Apache-2.0
//
// What both kinds of consumers do, over bytes laid out by hand: no broker takes part.
#include "weir/consumer.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "core/base/clock.hpp"
#include "core/client/cores.hpp"
#include "tests/support/client_stage.hpp"
#include "tests/support/refuse_system_call.hpp"
#include "weir/weir.hpp"

namespace weir {
namespace {

using namespace std::chrono_literals;
using test::bytes_of;
using test::ClientStage;
using test::drain;
using test::mebibyte;

class EachKind : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Lane, EachKind, testing::Values("queue://q", "topic://t"),
                         [](const auto& kind) { return std::string(kind.param, 5); });

TEST_P(EachKind, ASignalWhileItAsksWhetherTheBrokerLivesIsNotTheBrokersEnd) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        ClientStage stage(GetParam(), 1, mebibyte);
        const auto session = stage.connect();
        auto consumer = stage.consumer(session);
        if (!refuse_system_call(SYS_poll, EINTR)) ::_exit(2);
        for (int look = 0; look < 4096; ++look)
            if (consumer.poll().error() != ReceiveError::timed_out) ::_exit(1);
        ::_exit(0);
    }
    int status = -1;
    ::waitpid(child, &status, 0);
    EXPECT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 0);
}

// Of two cores or one, which others may need: there it yields (ConsumerCore::wait).
TEST_P(EachKind, WhoWaitsBurnsNoPauseBehindABurst) {
    ClientStage stage(GetParam(), 1, mebibyte);
    const auto session = stage.connect();
    auto producer = stage.producer(session);
    const auto name = parse_destination(GetParam()).value();
    for (const Waiting waiting : {Waiting::balanced, Waiting::spin}) {
        const auto core =
            detail::open_consumer(session, name, {.prefetch = 1000, .waiting = waiting}).value();
        const auto read_a_burst = [&] {
            for (int i = 0; i < 100; ++i) ASSERT_TRUE(producer.send("a message"));
            for (int i = 0; i < 100; ++i) ASSERT_TRUE(core->poll()) << i;
            ASSERT_FALSE(core->poll());
            ASSERT_TRUE(core->behind_burst());
        };
        read_a_burst();
        EXPECT_FALSE(core->poll());
        EXPECT_FALSE(core->behind_burst()) << "who does not wait pauses before it looks";
        read_a_burst();
        EXPECT_FALSE(core->poll(true));
        EXPECT_EQ(core->behind_burst(), core->gives_way());
        EXPECT_EQ(core->gives_way(), waiting == Waiting::balanced && !detail::may_spin());
        ASSERT_TRUE(producer.send("another"));
        EXPECT_TRUE(core->wait(no_deadline));
    }
}

// It would wait without looking, and what is in hand would never be given.
TEST(Queue, WhoMayHoldNoMoreLooksBehindABurst) {
    ClientStage stage("queue://q", 1, mebibyte);
    const auto session = stage.connect();
    auto producer = stage.producer(session);
    const auto name = parse_destination("queue://q").value();
    const auto core = detail::open_consumer(
                          session, name, {.prefetch = 64, .acknowledge = Acknowledge::cumulative})
                          .value();
    for (int i = 0; i < 100; ++i) ASSERT_TRUE(producer.send("a message"));
    for (int i = 0; i < 64; ++i) ASSERT_TRUE(core->poll()) << i;
    ASSERT_FALSE(core->poll());
    ASSERT_TRUE(core->behind_burst());
    ASSERT_FALSE(core->may_hold_more());
    EXPECT_FALSE(core->poll(true));
    EXPECT_FALSE(core->behind_burst()) << "it paused, and looked";
}

TEST_P(EachKind, GivesWhatWasSentInOrder) {
    ClientStage stage(GetParam(), 1, mebibyte);
    const auto session = stage.connect();
    auto producer = stage.producer(session);
    auto consumer = stage.consumer(session);
    EXPECT_EQ(consumer.poll().error(), ReceiveError::timed_out);
    std::vector<std::string> sent;
    for (std::size_t size = 0; size < 300; ++size) {
        sent.emplace_back(size, static_cast<char>('a' + size % 26));
        ASSERT_TRUE(producer.send(sent.back())) << size;
    }
    EXPECT_EQ(drain(consumer), sent);
    EXPECT_EQ(consumer.counts().received, 300u);
}

TEST_P(EachKind, ShowsClaimsInTheOrderTheyWereMade) {
    ClientStage stage(GetParam(), 1, mebibyte);
    const auto session = stage.connect();
    auto producer = stage.producer(session);
    auto consumer = stage.consumer(session);
    auto first = std::move(producer.claim(3).value());
    auto second = std::move(producer.claim(100).value());
    auto third = std::move(producer.claim(5).value());
    auto fourth = std::move(producer.claim(5).value());
    std::memcpy(third.bytes().data(), "third", 5);
    third.commit();
    std::memcpy(second.bytes().data(), "second", 6);
    second.commit(6);
    EXPECT_TRUE(drain(consumer).empty());
    fourth.abandon();
    std::memcpy(first.bytes().data(), "one", 3);
    first.commit();
    ASSERT_TRUE(producer.send("fifth"));
    EXPECT_EQ(drain(consumer), (std::vector<std::string>{"one", "second", "third", "fifth"}));
}

TEST_P(EachKind, AbandonsAClaimThatIsDropped) {
    ClientStage stage(GetParam(), 1, mebibyte);
    const auto session = stage.connect();
    auto producer = stage.producer(session);
    auto consumer = stage.consumer(session);
    { auto dropped = producer.claim(1000); }
    ASSERT_TRUE(producer.send("next"));
    EXPECT_EQ(drain(consumer), std::vector<std::string>{"next"});
    EXPECT_EQ(stage.cell().announced.load() & announcement_stays, 0u) << "a claim stays open";
}

TEST_P(EachKind, AlignsPayloadsAsAsked) {
    ClientStage stage(GetParam(), 1, mebibyte);
    const auto session = stage.connect();
    auto producer = stage.producer(session);
    auto consumer = stage.consumer(session);
    Envelope envelope;
    envelope.correlation_id = "abc";
    for (const std::size_t alignment : {1u, 2u, 8u, 16u, 32u, 64u}) {
        for (int i = 0; i < 9; ++i) {
            auto open = producer.claim(9, {.alignment = alignment, .envelope = &envelope});
            ASSERT_TRUE(open);
            const auto address = reinterpret_cast<std::uintptr_t>(open->bytes().data());
            EXPECT_EQ(address % alignment, 0u) << alignment << " " << i;
            std::memcpy(open->bytes().data(), "123456789", 9);
            open->commit();
            auto message = consumer.poll();
            ASSERT_TRUE(message);
            EXPECT_EQ(message->text(), "123456789");
            EXPECT_EQ(reinterpret_cast<std::uintptr_t>(message->bytes().data()) % alignment, 0u);
            EXPECT_EQ(message->envelope().correlation_id, "abc");
        }
    }
}

TEST_P(EachKind, ShowsABatchAtOnce) {
    ClientStage stage(GetParam(), 1, 64 * mebibyte);
    const auto session = stage.connect();
    auto producer = stage.producer(session);
    auto consumer = stage.consumer(session, {.dense_pause = 0ns});
    std::vector<std::string> texts;
    std::vector<std::span<const std::byte>> payloads;
    for (int i = 0; i < 1000; ++i) texts.push_back(std::to_string(i));
    for (const auto& text : texts) payloads.push_back(bytes_of(text));
    for (int round = 0; round < 50; ++round) {
        std::thread sender([&] { EXPECT_EQ(producer.send(payloads).value(), 1000u); });
        Result<Message, ReceiveError> message = consumer.poll();
        while (!message) message = consumer.poll();
        // Whoever sees the first one sees all of them.
        for (const auto& text : texts) {
            EXPECT_TRUE(message) << round << " " << text;
            if (!message) break;
            EXPECT_EQ(message->text(), text);
            message = consumer.poll();
        }
        EXPECT_FALSE(message);
        sender.join();
        while (consumer.poll()) continue;
    }
    EXPECT_EQ(stage.cell().announced.load() & announcement_stays, 0u) << "a claim stays open";
}

TEST_P(EachKind, CarriesEnvelopes) {
    ClientStage stage(GetParam(), 1, mebibyte);
    const auto session = stage.connect();
    auto producer = stage.producer(session, {.timestamps = true});
    auto consumer = stage.consumer(session);
    Envelope envelope;
    envelope.expiry_ns = realtime_ns() + 3600 * ns_per_s;
    envelope.correlation_id = "id";
    envelope.reply_to = "queue://answers";
    envelope.content_type = "text/plain";
    envelope.properties = {{"name", "a/b.h"}, {"", "empty key"}, {"k", ""}};
    const std::uint64_t before = realtime_ns();
    ASSERT_TRUE(producer.send(bytes_of("x"), envelope));
    ASSERT_TRUE(producer.send("only a timestamp"));
    auto message = consumer.poll();
    ASSERT_TRUE(message);
    const Envelope got = message->envelope();
    EXPECT_GE(got.timestamp_ns.value(), before);
    EXPECT_EQ(got.expiry_ns, envelope.expiry_ns);
    EXPECT_EQ(got.correlation_id, "id");
    EXPECT_EQ(got.reply_to, "queue://answers");
    EXPECT_EQ(got.content_type, "text/plain");
    EXPECT_EQ(got.properties, envelope.properties);
    EXPECT_EQ(got.property("name"), "a/b.h");
    message = consumer.poll();
    ASSERT_TRUE(message);
    EXPECT_EQ(message->text(), "only a timestamp");
    EXPECT_TRUE(message->envelope().timestamp_ns);
}

TEST_P(EachKind, PassesOverExpiredMessages) {
    ClientStage stage(GetParam(), 1, mebibyte);
    const auto session = stage.connect();
    auto producer = stage.producer(session);
    auto consumer = stage.consumer(session, {.acknowledge = Acknowledge::cumulative});
    Envelope past;
    past.expiry_ns = 1;
    ASSERT_TRUE(producer.send("one"));
    ASSERT_TRUE(producer.send(bytes_of("late"), past));
    ASSERT_TRUE(producer.send("two"));
    ASSERT_TRUE(producer.send(bytes_of("late"), past));
    EXPECT_EQ(drain(consumer), (std::vector<std::string>{"one", "two"}));
    EXPECT_EQ(consumer.counts().expired, 2u);
    EXPECT_EQ(consumer.counts().received, 2u);
    EXPECT_EQ(stage.piece().cell().expired.load(), 2u);
    consumer.acknowledge();
    ASSERT_TRUE(producer.send("three"));
    EXPECT_EQ(drain(consumer), std::vector<std::string>{"three"});
}

TEST_P(EachKind, RefusesWhatIsTooLarge) {
    ClientStage stage(GetParam(), 1, mebibyte);  // largest message: half of the page
    const auto session = stage.connect();
    auto producer = stage.producer(session);
    EXPECT_EQ(producer.send(std::string(mebibyte, 'x')).error(), SendError::too_large);
    EXPECT_EQ(producer.claim(mebibyte).error(), SendError::too_large);
    EXPECT_EQ(producer.claim(~std::size_t{0}).error(), SendError::too_large);
    Envelope huge;
    huge.properties = {{"k", std::string(600 * 1024, 'v')}};
    EXPECT_EQ(producer.send(bytes_of("x"), huge).error(), SendError::bad_envelope);
    huge.properties = {{std::string(70000, 'k'), "v"}};
    EXPECT_EQ(producer.send(bytes_of("x"), huge).error(), SendError::bad_envelope);
    EXPECT_TRUE(producer.send("small"));
}

TEST_P(EachKind, RefusesAClosedHandle) {
    ClientStage stage(GetParam(), 1, mebibyte);
    const auto session = stage.connect();
    auto producer = stage.producer(session);
    auto consumer = stage.consumer(session);
    auto open = std::move(producer.claim(10).value());
    producer.close();
    producer.close();
    consumer.close();
    open.commit();  // does nothing: the bytes are not ours any more
    EXPECT_EQ(producer.send("x").error(), SendError::closed);
    EXPECT_EQ(producer.claim(1).error(), SendError::closed);
    EXPECT_EQ(consumer.poll().error(), ReceiveError::closed);
    EXPECT_EQ(consumer.receive(1s).error(), ReceiveError::closed);
    EXPECT_EQ(producer.wait_fd(), -1);
    EXPECT_EQ(consumer.wait_fd(), -1);
}

TEST_P(EachKind, ReadsSeveralLanesInTurn) {
    ClientStage stage(GetParam(), 3, mebibyte);
    const auto session = stage.connect();
    std::vector<Producer> producers;
    for (int i = 0; i < 3; ++i) producers.push_back(stage.producer(session));
    auto consumer = stage.consumer(session);
    for (int n = 0; n < 2000; ++n)
        for (std::size_t p = 0; p < 3; ++p)
            ASSERT_TRUE(producers[p].send(std::to_string(p) + std::to_string(n)));
    std::vector<int> next(3);
    std::size_t count = 0;
    std::set<char> among_first;
    while (auto message = consumer.poll()) {
        const auto text = std::string(message->text());
        const auto lane = static_cast<std::size_t>(text[0] - '0');
        ASSERT_EQ(std::stoi(text.substr(1)), next[lane]++);
        if (++count <= 1000) among_first.insert(text[0]);
    }
    EXPECT_EQ(count, 6000u);
    EXPECT_EQ(among_first.size(), 3u) << "a lane had to wait until another one was empty";
}

TEST_P(EachKind, SkipsNonsenseAndCountsIt) {
    ClientStage stage(GetParam(), 2, mebibyte);
    const auto session = stage.connect();
    auto good = stage.producer(session);
    auto bad = stage.producer(session);
    auto consumer = stage.consumer(session);
    auto open = std::move(bad.claim(16).value());
    word_at(open.bytes().data() - commit_word_bytes)
        .store(commit_word(RecordKind::message, 0xffff, payload_bytes_max));
    stage.signals().head().ready[1].store(1);
    ASSERT_TRUE(good.send("good"));
    EXPECT_EQ(drain(consumer), std::vector<std::string>{"good"});
    EXPECT_EQ(drain(consumer).size(), 0u);
    EXPECT_EQ(consumer.counts().damaged, 1u);
    EXPECT_EQ(stage.piece().cell().damaged.load(), 1u);
    ASSERT_TRUE(good.send("again"));
    EXPECT_EQ(drain(consumer), std::vector<std::string>{"again"});
}

TEST_P(EachKind, WaitsUntilItsDeadline) {
    ClientStage stage(GetParam(), 1, mebibyte);
    const auto session = stage.connect();
    auto consumer = stage.consumer(session);
    const std::uint64_t before = monotonic_ns();
    EXPECT_EQ(consumer.receive(30ms).error(), ReceiveError::timed_out);
    EXPECT_GE(monotonic_ns() - before, 30 * ns_per_ms);
    EXPECT_EQ(sleepers_of(stage.signals().destination(0).word.load()), 0u);
}

TEST_P(EachKind, IsWokenByAMessage) {
    ClientStage stage(GetParam(), 1, mebibyte);
    const auto session = stage.connect();
    auto producer = stage.producer(session);
    auto consumer = stage.consumer(session);
    std::thread sender([&] {
        while (sleepers_of(stage.signals().destination(0).word.load()) == 0)
            std::this_thread::yield();
        ASSERT_TRUE(producer.send("wake"));
    });
    auto message = consumer.receive();
    sender.join();
    ASSERT_TRUE(message);
    EXPECT_EQ(message->text(), "wake");
}

TEST_P(EachKind, TellsAboutPagesThatItPassed) {
    ClientStage stage(GetParam(), 2, page_unit);
    const auto session = stage.connect();
    auto producer = stage.producer(session);
    auto consumer = stage.consumer(session);
    stage.grant_to_first(1, 0, 1);
    stage.signals().head().broker_asleep.store(1);
    const std::string text(1000, 'x');
    for (int i = 0; i < 6; ++i) ASSERT_TRUE(producer.send(text));  // four in the first page
    stage.rings();
    for (int i = 0; i < 4; ++i) ASSERT_TRUE(consumer.poll());
    EXPECT_EQ(stage.signals().head().passed[0].load(), 0u);
    ASSERT_TRUE(consumer.poll());
    EXPECT_EQ(stage.signals().head().passed[0].load(), 1u);
    EXPECT_EQ(stage.rings(), 0u) << "nobody is hungry";
    stage.signals().head().passed[0].store(0);
    ASSERT_TRUE(consumer.poll());
    EXPECT_EQ(stage.signals().head().passed[0].load(), 0u);
}

TEST_P(EachKind, TheFirstMessageBehindAGapSaysHowManyAreMissingThere) {
    for (const Acknowledge how : {Acknowledge::automatic, Acknowledge::cumulative}) {
        ClientStage stage(GetParam(), 2, 2 * page_unit);
        const auto session = stage.connect();
        auto producer = stage.producer(session);
        auto consumer = stage.consumer(session, {.acknowledge = how});
        stage.grant_to_first(1, 0, 1);
        stage.grant_to_first(1, 1, 1);
        stage.control().page(ref_of_unit(2)).lost.store(70);
        stage.control().page(ref_of_unit(3)).lost.store(5);
        const std::string text(1000, 'x');
        for (int i = 0; i < 8; ++i) ASSERT_TRUE(producer.send(text));  // eight in the first page
        // An expired message is not given out: the next one says what is missing.
        Envelope expired;
        expired.expiry_ns = 1;
        ASSERT_TRUE(producer.send(bytes_of(text), expired));
        for (int i = 0; i < 5; ++i) ASSERT_TRUE(producer.send(text));
        std::vector<std::uint64_t> lost;
        std::vector<Message> held;
        while (auto message = consumer.poll()) {
            lost.push_back(message->lost_before());
            held.push_back(*message);
        }
        const std::vector<std::uint64_t> marks{0, 0, 0, 0, 0, 0, 0, 0, 70, 0, 5, 0, 0};
        EXPECT_EQ(lost, marks);
        if (how == Acknowledge::automatic) continue;
        EXPECT_EQ(held[8].lost_before(), 70u) << "as long as it is held";
        EXPECT_EQ(held[10].lost_before(), 5u);
    }
}

TEST_P(EachKind, RingsWhenSomebodyWaitsForThePagesThatItPassed) {
    ClientStage stage(GetParam(), 2, page_unit);
    const auto session = stage.connect();
    auto producer = stage.producer(session);
    auto consumer = stage.consumer(session, {.acknowledge = Acknowledge::cumulative});
    stage.grant_to_first(1, 0, 1);
    const std::string text(1000, 'x');
    for (int i = 0; i < 5; ++i) ASSERT_TRUE(producer.send(text));
    stage.signals().head().broker_asleep.store(1);
    stage.signals().head().hungry.store(1);
    stage.rings();
    for (int i = 0; i < 5; ++i) ASSERT_TRUE(consumer.poll());
    stage.signals().head().passed[0].store(0);
    stage.rings();
    consumer.acknowledge();
    EXPECT_EQ(stage.signals().head().passed[0].load(), 1u)
        << "the first page's messages are let go";
    EXPECT_GE(stage.rings(), 1u);
}

}  // namespace
}  // namespace weir
