// SPDX-License-Identifier: Apache-2.0
//
// Limits of destinations, of the broker, of sessions and users: none is passed, by nobody, and
// whoever does not meet one goes on. Memory in use is counted by walking the pages that can be
// reached from lanes, not by reading the books.
#include "core/broker/limits.hpp"

#include <gtest/gtest.h>

#include "tests/support/segment_stage.hpp"

namespace weir::test {
namespace {

using broker::SegmentOptions;
using protocol::Refusal;

const std::string kilobyte(1000, 'k');

SegmentOptions sized(std::uint64_t direct, std::uint64_t heap) {
    SegmentOptions options;
    options.direct_bytes = direct;
    options.heap_bytes = heap;
    return options;
}

bool waits(const TestProducer& producer) { return producer.slot().waiting_since_ns.load() != 0; }

std::uint64_t walked(const SegmentStage& stage, LaneId lane) { return stage.granted_to(lane); }
std::uint64_t reachable(const SegmentStage& stage) { return stage.granted_to_all(); }
std::uint64_t reachable(const SegmentStage& stage, std::uint32_t destination) {
    return stage.granted_to_all(destination);
}

// A worker with few notes reads and acknowledges everything.
std::size_t drain(SegmentStage& stage, TestWorker& worker) {
    std::size_t read = 0;
    for (Texts texts = worker.take_all(); !texts.empty(); texts = worker.take_all()) {
        read += texts.size();
        worker.acknowledge_all();
        stage.segment->turn();
    }
    return read;
}

const DestinationSlot& shown(const SegmentStage& stage, const TestProducer& producer) {
    return stage.shared.control.destination(producer.destination);
}

TEST(Limits, AThousandProducersCannotBringADestinationOverItsLimitByAByte) {
    constexpr std::uint64_t limit = 2 << 20;
    SegmentOptions options = sized(16 << 20, 64 << 20);
    // Without a mark below it at which time, which stands still here, would slow them down.
    options.policies =
        policies_of(options.direct_bytes, {{"queue://limited", "limit=2MiB\nhigh-water=2MiB"}});
    SegmentStage stage(options);
    const std::uint32_t session = stage.session();
    std::vector<TestProducer> producers;
    for (int number = 0; number < 1000; ++number)
        producers.push_back(stage.producer(session, "queue://limited"));
    const std::uint32_t destination = producers.front().destination;
    TestWorker worker = stage.worker(stage.session(), "queue://limited", 16);
    TestProducer other = stage.producer(session, "queue://free");
    std::uint64_t highest = 0;
    for (int round = 0; round < 2; ++round) {
        for (std::size_t at = 0; at < producers.size(); ++at) {
            producers[at].fill(std::string(1 + at % 3 * 4000, 'x'), 2);
            if (at % 50 != 0) continue;
            highest = std::max(highest, reachable(stage, destination));
            ASSERT_LE(highest, limit) << round << ' ' << at;
            ASSERT_LE(shown(stage, producers[0]).direct.used.load(), limit);
        }
        EXPECT_TRUE(waits(producers.back()));
        EXPECT_EQ(producers.back().slot().reason.load(), WaitReason::destination_limit);
        EXPECT_TRUE(other.send(kilobyte)) << "nobody else is stopped";
        EXPECT_GT(drain(stage, worker), 0u);
    }
    EXPECT_GT(highest, limit - 64 * 1024) << "else the limit was not met";
    EXPECT_EQ(shown(stage, producers[0]).direct.limit.load(), limit);
    EXPECT_LE(shown(stage, producers[0]).direct.peak.load(), limit);
}

TEST(Limits, ManyDestinationsCannotBringTheBrokerOverItsMemory) {
    SegmentStage stage(sized(4 << 20, 64 << 20));
    const std::uint32_t session = stage.session();
    std::vector<TestProducer> producers;
    for (int number = 0; number < 500; ++number) {
        const std::string name = "queue://a" + std::to_string(number % 100);
        producers.push_back(stage.producer(session, name));
    }
    for (std::size_t at = 0; at < producers.size(); ++at) {
        producers[at].fill(std::string(1 + at % 4 * 5000, 'x'), 50);
        if (at % 20 != 0) continue;
        ASSERT_LE(reachable(stage), 4u << 20);
    }
    EXPECT_EQ(reachable(stage), stage.direct_used());
    EXPECT_EQ(producers.back().slot().reason.load(), WaitReason::direct_full);
}

TEST(Limits, AReserveIsThereWhateverAnIdleQueueHasFilled) {
    SegmentOptions options = sized(4 << 20, 16 << 20);
    options.policies = policies_of(options.direct_bytes, {{"queue://promised", "reserve=512KiB"}});
    SegmentStage stage(options);
    TestProducer promised = stage.producer(stage.session(), "queue://promised");
    TestProducer idle = stage.producer(stage.session(), "queue://idle");
    idle.fill(kilobyte);
    ASSERT_TRUE(waits(idle));
    EXPECT_GE(promised.fill(std::string(3000, 'p'), 160), 120u) << "of 512 KiB, in whole pages";
    TestWorker worker = stage.worker(stage.session(), "queue://promised", 1024);
    for (int round = 0; round < 20; ++round) {
        worker.take_all();
        worker.acknowledge_all();
        stage.segment->turn();
        ASSERT_GT(promised.fill(std::string(3000, 'p'), 50), 40u) << round;
    }
}

TEST(Limits, AnEmptyDestinationIsAlwaysGrantedAPageAlsoWithTheLeastReserve) {
    SegmentOptions options = sized(2 << 20, 16 << 20);
    options.policies = policies_of(options.direct_bytes, {{"queue://poor", "reserve=0"}});
    SegmentStage stage(options);
    const std::uint32_t session = stage.session();
    TestProducer poor = stage.producer(session, "queue://poor");
    TestProducer idle = stage.producer(session, "queue://idle");
    TestWorker worker = stage.worker(session, "queue://poor");
    idle.fill(kilobyte);
    ASSERT_TRUE(waits(idle));
    EXPECT_TRUE(poor.send("one"));
    EXPECT_EQ(worker.take_all(), Texts{"one"});
}

// FACTS 1 and 3: memory that nobody uses any more stops nobody.
TEST(Limits, TwoThousandProducersThatSentOnceAndSleepDoNotStopANewOne) {
    for (const bool by_destination : {true, false}) {
        SegmentOptions options = sized(4 << 20, 128 << 20);
        if (by_destination)
            options.policies = policies_of(options.direct_bytes, {{"queue://quiet", "limit=2MiB"}});
        SegmentStage stage(options);
        const std::uint32_t session = stage.session();
        TestWorker worker = stage.worker(stage.session(), "queue://quiet", 1);
        const auto consume = [&](const TestProducer& from) {
            const Texts texts = worker.take(from.lane);
            worker.piece.note(0).from.store(0, std::memory_order_release);
            set_lane_bit(stage.shared.signals.head().passed, from.lane);
            stage.segment->turn();
            return texts;
        };
        std::vector<TestProducer> sleepers;
        for (int number = 0; number < 2000; ++number) {
            sleepers.push_back(stage.producer(session, "queue://quiet"));
            ASSERT_TRUE(sleepers.back().send(std::to_string(number))) << number;
            ASSERT_EQ(consume(sleepers.back()), Texts{std::to_string(number)});
        }
        TestProducer fresh = stage.producer(stage.session(), "queue://quiet");
        ASSERT_TRUE(fresh.send("new")) << by_destination;
        EXPECT_EQ(consume(fresh), Texts{"new"});
        ASSERT_TRUE(sleepers.front().send("again"));
        EXPECT_EQ(consume(sleepers.front()), Texts{"again"});
    }
}

TEST(Limits, OneLoweredBelowItsUseTakesNothingAndGrantsNothingUntilEnoughIsRead) {
    SegmentStage stage(sized(8 << 20, 16 << 20));
    TestProducer producer = stage.producer(stage.session(), "queue://a");
    TestWorker worker = stage.worker(stage.session(), "queue://a", 1024);
    ASSERT_EQ(producer.fill(kilobyte, 2000), 2000u);
    producer.stop_asking();
    const std::uint64_t before = shown(stage, producer).direct.used.load();
    auto change = stage.segment->set_policy("queue://a", "limit=1MiB");
    ASSERT_TRUE(change);
    EXPECT_EQ(change->over_limit, 1u);
    EXPECT_EQ(shown(stage, producer).policy.limit.load(), 1u << 20);
    EXPECT_EQ(shown(stage, producer).direct.used.load(), before);
    producer.fill(kilobyte);
    EXPECT_LE(shown(stage, producer).direct.used.load(), before) << "what was granted may be used";
    EXPECT_TRUE(waits(producer));
    EXPECT_EQ(producer.slot().reason.load(), WaitReason::destination_limit);
    EXPECT_GE(worker.take_all().size(), 2000u);
    worker.acknowledge_all();
    stage.settle_turns();
    EXPECT_TRUE(producer.send(kilobyte));
    EXPECT_LE(shown(stage, producer).direct.used.load(), 1u << 20);
}

TEST(Limits, ProducersAndConsumersOfADestinationAreCounted) {
    SegmentOptions options = sized(2 << 20, 16 << 20);
    options.policies = policies_of(
        options.direct_bytes,
        {{"queue://few", "max-producers=2\nmax-consumers=1"}, {"topic://few", "max-consumers=1"}});
    SegmentStage stage(options);
    const std::uint32_t session = stage.session();
    TestProducer first = stage.producer(session, "queue://few");
    TestProducer second = stage.producer(session, "queue://few");
    auto third = stage.segment->open_producer(session, "queue://few");
    ASSERT_FALSE(third);
    EXPECT_EQ(third.error().code, Refusal::limit_reached);
    EXPECT_NE(third.error().sentence.find("max-producers"), std::string::npos);
    ASSERT_TRUE(stage.segment->close_producer(session, first.lane));
    EXPECT_TRUE(stage.segment->open_producer(session, "queue://few"));
    for (const char* name : {"queue://few", "topic://few"}) {
        auto consumer = stage.segment->open_consumer(session, name, 1, 1);
        ASSERT_TRUE(consumer);
        auto another = stage.segment->open_consumer(session, name, 1, 1);
        ASSERT_FALSE(another) << name;
        EXPECT_NE(another.error().sentence.find("max-consumers"), std::string::npos);
        ASSERT_TRUE(stage.segment->close_consumer(session, consumer->fields.subscription));
        EXPECT_TRUE(stage.segment->open_consumer(session, name, 1, 1)) << name;
    }
}

TEST(Limits, AMessageThatCanNeverFitIsRefusedAtOnceAndDoesNotWait) {
    SegmentOptions options = sized(8 << 20, 16 << 20);
    options.policies = policies_of(options.direct_bytes, {{"queue://small", "limit=64KiB"},
                                                          {"queue://short", "max-message=1000"}});
    SegmentStage stage(options);
    TestProducer small = stage.producer(stage.session(), "queue://small");
    TestProducer strict = stage.producer(stage.session(), "queue://short");
    for (TestProducer* const producer : {&small, &strict}) {
        EXPECT_FALSE(producer->send(std::string(100'000, 'L')));
        EXPECT_EQ(producer->slot().reason.load(), WaitReason::never_fits);
        EXPECT_FALSE(waits(*producer)) << "it would wait for ever";
        producer->stop_asking();
        EXPECT_TRUE(producer->send("short"));
    }
    EXPECT_TRUE(small.send(std::string(50'000, 'L')));
}

TEST(Limits, PagesHaveTheSizeThatThePolicySays) {
    SegmentOptions options = sized(8 << 20, 16 << 20);
    options.policies = policies_of(options.direct_bytes, {{"queue://pages", "page-size=64KiB"}});
    SegmentStage stage(options);
    TestProducer producer = stage.producer(stage.session(), "queue://pages");
    ASSERT_EQ(producer.fill(kilobyte, 300), 300u);
    const LaneSlot& lane = producer.slot();
    PageRef page = stage.shared.pages.slot(lane.first_page.load()).next.load();
    ASSERT_NE(page, 0u);
    for (; page != 0; page = stage.shared.pages.slot(page).next.load())
        EXPECT_EQ(stage.shared.pages.length(page), 64u << 10);
}

TEST(Limits, ASessionAndAUserHoldNoMoreDirectMemoryThanTheyMay) {
    SegmentOptions options = sized(8 << 20, 16 << 20);
    options.limits.session.direct_bytes = 1 << 20;
    options.limits.user.direct_bytes = 3 << 19;
    SegmentStage stage(options);
    const auto session_of = [&](std::uint32_t uid) {
        return stage.segment->open_session({.pid = 7, .uid = uid, .start_time = 1, .name = "s"})
            .value();
    };
    const std::uint32_t mine = session_of(1000);
    const std::uint32_t twin = session_of(1000);
    const std::uint32_t theirs = session_of(1001);
    TestProducer first = stage.producer(mine, "queue://a");
    TestProducer second = stage.producer(mine, "queue://b");
    TestProducer of_twin = stage.producer(twin, "queue://c");
    TestProducer of_another = stage.producer(theirs, "queue://a");
    first.fill(kilobyte, 500);
    second.fill(kilobyte);
    EXPECT_EQ(second.slot().reason.load(), WaitReason::session_limit);
    EXPECT_LE(walked(stage, first.lane) + walked(stage, second.lane), 1u << 20);
    EXPECT_EQ(stage.shared.control.session(mine).direct.used.load(),
              walked(stage, first.lane) + walked(stage, second.lane));
    of_twin.fill(kilobyte);
    EXPECT_EQ(of_twin.slot().reason.load(), WaitReason::user_limit);
    const std::uint32_t user = stage.shared.control.session(mine).user;
    EXPECT_LE(stage.shared.control.user(user).direct.used.load(), 3u << 19);
    EXPECT_GT(of_another.fill(kilobyte, 1000), 900u) << "another user goes on";

    // Connecting again is no way around the user's limit: what was left is still the user's.
    const std::uint64_t left = stage.shared.control.user(user).direct.used.load();
    stage.segment->end_session(mine, broker::Ending::left);
    EXPECT_GE(stage.shared.control.user(user).direct.used.load(), left - (256 << 10));
    const std::uint32_t again = session_of(1000);
    EXPECT_EQ(stage.shared.control.session(again).direct.used.load(), 0u);
    TestProducer late = stage.producer(again, "queue://d");
    late.fill(kilobyte, 1000);
    EXPECT_LE(stage.shared.control.user(user).direct.used.load(), 3u << 19);
}

TEST(Limits, SessionsLanesAndConsumersOfOneHolderAreCounted) {
    SegmentOptions options = sized(2 << 20, 16 << 20);
    options.limits.session.lanes = 3;
    options.limits.session.subscriptions = 2;
    options.limits.user.sessions = 2;
    options.limits.user.lanes = 4;
    SegmentStage stage(options);
    const std::uint32_t first = stage.session();
    const std::uint32_t second = stage.session();
    auto third = stage.segment->open_session({.pid = 1, .uid = 0, .start_time = 1, .name = ""});
    ASSERT_FALSE(third);
    EXPECT_EQ(third.error().code, Refusal::limit_reached);
    EXPECT_TRUE(stage.segment->open_session({.pid = 1, .uid = 5, .start_time = 1, .name = ""}));
    for (int lane = 0; lane < 3; ++lane) stage.producer(first, "queue://a");
    auto fourth = stage.segment->open_producer(first, "queue://a");
    ASSERT_FALSE(fourth);
    EXPECT_NE(fourth.error().sentence.find("session"), std::string::npos);
    stage.producer(second, "queue://a");
    auto fifth = stage.segment->open_producer(second, "queue://a");
    ASSERT_FALSE(fifth);
    EXPECT_NE(fifth.error().sentence.find("user"), std::string::npos);
    stage.worker(first, "queue://a");
    stage.subscriber(first, "topic://>");
    EXPECT_FALSE(stage.segment->open_consumer(first, "queue://a", 1, 1));
    EXPECT_TRUE(stage.segment->open_consumer(second, "queue://a", 1, 1));
}

TEST(Limits, AFullHeapRefusesNewcomersOfEachKindBeforeTheLastIsGoneAndTheRestGoesOn) {
    SegmentStage stage(sized(2 << 20, 2 << 20));
    const std::uint32_t mine = stage.session();
    TestProducer producer = stage.producer(mine, "queue://kept");
    TestWorker worker = stage.worker(mine, "queue://kept");
    const std::uint64_t capacity = stage.shared.control.limits.heap_bytes;
    bool sessions = false;
    bool lanes = false;
    bool consumers = false;
    const auto is_full = [](const auto& opened) {
        if (opened) return false;
        EXPECT_EQ(opened.error().code, Refusal::heap_full) << opened.error().sentence;
        return true;
    };
    for (int number = 0; number < 120 && !(sessions && lanes && consumers); ++number) {
        auto session =
            stage.segment->open_session({.pid = 1, .uid = 1, .start_time = 1, .name = ""});
        sessions = is_full(session) || sessions;
        const std::uint32_t in = session ? *session : mine;
        const std::string name = "queue://n" + std::to_string(number % 4);
        lanes = is_full(stage.segment->open_producer(in, name)) || lanes;
        consumers = is_full(stage.segment->open_consumer(in, name, 64, 1)) || consumers;
        ASSERT_LE(stage.heap_used(), capacity - capacity / 64);
    }
    EXPECT_TRUE(sessions && lanes && consumers) << sessions << lanes << consumers;
    for (int number = 0; number < 2000; ++number) {
        ASSERT_TRUE(producer.send(kilobyte)) << number;
        ASSERT_EQ(worker.take_all().size(), 1u);
        worker.acknowledge_all();
        stage.segment->turn();
    }
}

// A1 over what is shown: every byte belongs to one account, and the accounts add up.
TEST(Limits, TheAccountsThatAreShownAddUpToTheBrokers) {
    SegmentStage stage;
    const std::uint32_t session = stage.session();
    const std::uint32_t other = stage.session();
    TestProducer first = stage.producer(session, "queue://a");
    TestProducer second = stage.producer(other, "queue://a");
    TestProducer news = stage.producer(other, "topic://news");
    TestWorker worker = stage.worker(session, "queue://a");
    TestSubscriber subscriber = stage.subscriber(other, "topic://>");
    first.fill(kilobyte, 50);
    second.fill(kilobyte, 500);
    news.fill(kilobyte, 20);
    worker.take(first.lane, 10);
    stage.segment->end_session(session, broker::Ending::died);
    const auto check = [&] {
        const Superblock& super = stage.shared.control.superblock();
        std::uint64_t direct = 0;
        std::uint64_t heap = super.heap_tables.used.load() + super.heap_sessions.used.load();
        std::uint64_t parts = 0;
        for (std::uint32_t slot = 0; slot < stage.shared.control.limits.destinations; ++slot) {
            const DestinationSlot& destination = stage.shared.control.destination(slot);
            if (destination.state.load() == SlotState::free) continue;
            direct += destination.direct.used.load();
            parts += destination.direct_parts.producer.used.load() +
                     destination.direct_parts.consumer.used.load();
            heap += destination.heap.used.load();
        }
        EXPECT_EQ(direct, super.direct.used.load());
        EXPECT_EQ(parts, direct);
        EXPECT_EQ(heap, super.heap.used.load());
        EXPECT_EQ(reachable(stage), direct);
        std::uint64_t held = 0;
        for (std::uint32_t slot = 0; slot < stage.shared.control.limits.users; ++slot)
            if (stage.shared.control.user(slot).state.load() == SlotState::live)
                held += stage.shared.control.user(slot).direct.used.load();
        EXPECT_EQ(held, direct) << "every page is some user's";
    };
    check();
    stage.segment->end_session(other, broker::Ending::died);
    check();
}

TEST(Shortages, SayWhichLimitHowFullWhoHoldsItAndWhoCouldFreeIt) {
    SegmentOptions options = sized(8 << 20, 16 << 20);
    options.policies = policies_of(options.direct_bytes, {{"queue://full", "limit=1MiB"}});
    SegmentStage stage(options);
    const auto session_of = [&](std::uint32_t pid, const char* name) {
        return stage.segment->open_session({.pid = pid, .uid = 0, .start_time = 1, .name = name})
            .value();
    };
    const std::uint32_t large = session_of(41, "large");
    const std::uint32_t little = session_of(42, "little");
    TestProducer most = stage.producer(large, "queue://full");
    TestProducer least = stage.producer(little, "queue://full");
    least.fill(kilobyte, 3);
    most.fill(kilobyte);
    ASSERT_TRUE(waits(most));
    const Shortage& shortage = shown(stage, most).shortage;
    EXPECT_EQ(shortage.generation.load() % 2, 0u);
    EXPECT_EQ(shortage.reason.load(), WaitReason::destination_limit);
    EXPECT_EQ(shortage.level.load(), LimitLevel::destination);
    EXPECT_EQ(shortage.capacity.load(), 1u << 20);
    EXPECT_GT(shortage.used.load(), (1u << 20) - (64 << 10));
    EXPECT_EQ(shortage.since_ns.load(), stage.clock.now_ns());
    EXPECT_EQ(shortage.holders[0].pid.load(), 41u);
    EXPECT_EQ(shortage.holders[0].destination.load(), most.destination);
    EXPECT_EQ(shortage.holders[1].pid.load(), 42u);
    EXPECT_EQ(shortage.holders[1].bytes.load(), walked(stage, least.lane));
    EXPECT_EQ(shortage.holders[2].bytes.load(), 0u);
    EXPECT_EQ(shortage.freeable.load(), Freeable::by_nobody);

    // A consumer of the process that waits is the only one who could free it; then another comes.
    TestWorker own = stage.worker(session_of(41, "large too"), "queue://full", 1024);
    stage.clock.advance_ns(ns_per_s);
    most.ask(kilobyte.size());
    stage.segment->turn();
    EXPECT_EQ(shortage.freeable.load(), Freeable::by_one);
    EXPECT_EQ(shortage.only_pid.load(), 41u);
    stage.worker(session_of(43, "helper"), "queue://full");
    stage.clock.advance_ns(ns_per_s);
    most.ask(kilobyte.size());
    stage.segment->turn();
    EXPECT_EQ(shortage.freeable.load(), Freeable::by_several);
    EXPECT_EQ(shortage.since_ns.load(), stage.clock.now_ns() - 2 * ns_per_s);

    own.take_all();
    own.acknowledge_all();
    stage.settle_turns();
    stage.segment->tick();
    EXPECT_EQ(shortage.reason.load(), WaitReason::none);
    EXPECT_EQ(shortage.holders[0].bytes.load(), 0u);
}

TEST(Shortages, StandInTheLogOnceInThirtySecondsForEachDestination) {
    SegmentOptions options = sized(8 << 20, 16 << 20);
    options.policies = policies_of(options.direct_bytes, {{"queue://>", "limit=1MiB"}});
    SegmentStage stage(options);
    TestProducer one = stage.producer(stage.session("one"), "queue://one");
    TestProducer other = stage.producer(stage.session("other"), "queue://other");
    const auto said_of = [&](std::string_view destination) {
        const std::string log = testing::internal::GetCapturedStderr();
        testing::internal::CaptureStderr();
        const std::string line = std::string(destination) + ": producers wait";
        int count = 0;
        for (std::size_t at = 0; (at = log.find(line, at)) != std::string::npos; ++at) ++count;
        return count;
    };
    const auto ask_for_seconds = [&](int seconds) {
        for (int second = 0; second < seconds; ++second) {
            stage.clock.advance_ns(ns_per_s);
            one.ask(kilobyte.size());
            stage.segment->turn();
        }
    };
    testing::internal::CaptureStderr();
    one.fill(kilobyte);
    EXPECT_EQ(said_of("queue://one"), 1);
    other.fill(kilobyte);
    EXPECT_EQ(said_of("queue://other"), 1) << "silence is kept for each destination alone";
    ask_for_seconds(28);
    EXPECT_EQ(said_of("queue://one"), 0);
    ask_for_seconds(4);
    EXPECT_EQ(said_of("queue://one"), 1);
    testing::internal::GetCapturedStderr();
}

TEST(Shortages, OfTheBrokersMemoryNameTheDestinationsThatHoldIt) {
    SegmentStage stage(sized(2 << 20, 16 << 20));
    TestProducer hoarder = stage.producer(stage.session("hoarder"), "queue://hoard");
    hoarder.fill(kilobyte);
    TestProducer victim = stage.producer(stage.session("victim"), "queue://victim");
    victim.fill(kilobyte);
    ASSERT_TRUE(waits(victim));
    const Shortage& shortage = shown(stage, victim).shortage;
    EXPECT_EQ(shortage.level.load(), LimitLevel::broker);
    EXPECT_EQ(shortage.capacity.load(), 2u << 20);
    EXPECT_EQ(shortage.holders[0].destination.load(), hoarder.destination);
    EXPECT_EQ(shortage.holders[0].bytes.load(), walked(stage, hoarder.lane));
}

}  // namespace
}  // namespace weir::test
