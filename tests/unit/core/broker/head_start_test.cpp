// SPDX-License-Identifier: Apache-2.0
//
// How far producers run ahead of fast consumers: as tables, then over a model of producers that use
// up at once what they are granted and a consumer that reads steadily, then over a whole segment.
#include "core/broker/head_start.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>
#include <numeric>
#include <vector>

#include "core/broker/grants.hpp"
#include "tests/support/segment_stage.hpp"

namespace weir::broker {
namespace {

constexpr std::uint64_t kib = 1024;
constexpr std::uint64_t mib = 1024 * kib;
constexpr std::uint64_t start = 16 * mib;

// Lets consumers read so much in each of the next milliseconds.
void pass_time(ReadingSpeed& speed, std::uint64_t& now, std::uint64_t bytes_a_ms, int ms) {
    for (int look = 0; look < ms; ++look) {
        speed.read(bytes_a_ms);
        speed.look(now += ns_per_ms);
    }
}

ReadingSpeed reading(std::uint64_t bytes_a_ms) {
    ReadingSpeed speed;
    std::uint64_t now = 5 * ns_per_s;
    speed.look(now);
    pass_time(speed, now, bytes_a_ms, 1000);
    return speed;
}

std::uint64_t microseconds(std::uint64_t ns) { return (ns + 500) / 1000; }

TEST(ReadingSpeed, RisesFasterThanItFalls) {
    ReadingSpeed speed = reading(0);
    std::uint64_t now = 8 * ns_per_s;
    speed.look(now);
    pass_time(speed, now, 4 * mib, 2);
    EXPECT_TRUE(speed.is_fast()) << "seen at once";
    pass_time(speed, now, 4 * mib, 20);
    pass_time(speed, now, 0, 50);
    EXPECT_TRUE(speed.is_fast()) << "who was not scheduled for a moment is not slow";
    pass_time(speed, now, 0, 50);
    EXPECT_FALSE(speed.is_fast());
}

TEST(ReadingSpeed, WhatIsReadWhileNobodyAsksSaysNothing) {
    ReadingSpeed speed = reading(mib / 2);
    ASSERT_FALSE(speed.is_fast());
    std::uint64_t now = 8 * ns_per_s;
    speed.read(1024 * mib);
    speed.look(now);
    EXPECT_FALSE(speed.is_fast());
    pass_time(speed, now, 4 * mib, 20);
    ASSERT_TRUE(speed.is_fast());
    speed.look(now + ns_per_s);
    EXPECT_TRUE(speed.is_fast());
}

TEST(ReadingSpeed, SaysHowLongConsumersAreBusy) {
    EXPECT_EQ(microseconds(reading(4 * mib).busy_ns(mib, ns_per_ms)), 250u);
    EXPECT_EQ(reading(4 * mib).busy_ns(64 * mib, ns_per_ms), ns_per_ms);
    EXPECT_EQ(reading(32 * kib).busy_ns(mib, ns_per_ms), 0u) << "nothing worth a turn comes of it";
    ReadingSpeed speed = reading(4 * mib);
    std::uint64_t now = 8 * ns_per_s;
    speed.look(now);
    pass_time(speed, now, 0, 10);
    EXPECT_TRUE(speed.is_fast());
    EXPECT_EQ(speed.busy_ns(mib, ns_per_ms), 0u) << "it has stopped just now";
}

TEST(Askers, AreThoseOfTheLastMoments) {
    constexpr std::uint64_t span = Askers::span_ns;
    std::array<std::uint64_t, 4> asked{};
    Askers askers;
    EXPECT_EQ(askers.count(), 1u);
    const auto ask = [&](std::size_t lane, std::uint64_t at) {
        askers.asked(asked[lane], ns_per_s + at);
        asked[lane] = ns_per_s + at;
        return askers.count();
    };
    EXPECT_EQ(ask(0, 0), 1u);
    EXPECT_EQ(ask(0, 1), 1u) << "twice the same";
    EXPECT_EQ(ask(1, 2), 2u);
    EXPECT_EQ(ask(2, 3), 3u);
    EXPECT_EQ(ask(0, span), 3u) << "as many as in the span before";
    EXPECT_EQ(ask(1, span + 1), 3u);
    EXPECT_EQ(ask(1, 2 * span), 2u) << "the third one asked no more";
    EXPECT_EQ(ask(3, 9 * span), 1u) << "nobody asked for long";
}

TEST(HeadStart, IsSharedByThoseWhoAsk) {
    EXPECT_EQ(head_start(256 * mib, 1), start);
    EXPECT_EQ(head_start(1024 * mib, 1), start);
    EXPECT_EQ(head_start(256 * mib, 4), 4 * mib);
    EXPECT_EQ(head_start(256 * mib, 5000), mib) << "what is asked for is worth a turn";
    EXPECT_EQ(head_start(64 * mib, 1), 4 * mib);
    EXPECT_EQ(head_start(4 * mib, 1), no_bound) << "a small region is one itself";
}

TEST(HeadStart, HoldsALaneUntilThreeQuartersAreLeft) {
    const ReadingSpeed speed = reading(4 * mib);  // 4.2 GB/s
    const auto held_us = [&](std::uint64_t unread, std::uint32_t sharers) {
        return microseconds(Lead{unread, start / sharers, sharers}.hold_ns(speed));
    };
    EXPECT_EQ(held_us(start, 1), 0u) << "it has not more than its head start";
    EXPECT_EQ(held_us(start + 8, 1), 1000u) << "a quarter of it";
    EXPECT_EQ(held_us(start + 4 * mib, 1), 2000u);
    EXPECT_EQ(held_us(8 * start, 1), hold_most_ns / 1000);
    EXPECT_EQ(held_us(start / 4 + 8, 4), 1000u)
        << "a quarter of its share, at its part of the speed";
    EXPECT_EQ(held_us(start / 4, 4), 0u);
}

TEST(HeadStart, WhoIsStillAheadGetsLittle) {
    EXPECT_EQ((Lead{start, start, 1}.most_bytes()), start / 2);
    EXPECT_EQ((Lead{start + 8, start, 1}.most_bytes()), start / 8);
    EXPECT_EQ((Lead{0, start / 4, 4}.most_bytes()), start / 8) << "a share of a window";
}

TEST(HeadStart, IsForALaneThatAsksAlone) {
    SoleAsker asker;
    asker.asked(3, ns_per_s);
    EXPECT_FALSE(asker.is_alone(ns_per_s)) << "who asked before is not known";
    asker.asked(3, ns_per_s + alone_after_ns);
    EXPECT_TRUE(asker.is_alone(ns_per_s + alone_after_ns));
    asker.asked(4, ns_per_s + alone_after_ns);
    EXPECT_FALSE(asker.is_alone(ns_per_s + 2 * alone_after_ns - 1));
    EXPECT_FALSE(asker.is_alone(ns_per_s)) << "a clock that was read before";
}

// Lanes that begin with 200 MiB unread in all: the lead shrinks to the head start and stays there,
// it is the same for all, and the consumer, who reads where most lies, always finds something.
TEST(HeadStart, ALeadShrinksToTheHeadStartAndTheConsumerNeverStarves) {
    for (const std::uint32_t sharers : {1u, 4u}) {
        ReadingSpeed speed = reading(5 * mib);
        std::uint64_t now = 8 * ns_per_s;
        speed.look(now);
        std::vector<std::uint64_t> unread(sharers, 200 * mib / sharers);
        std::vector<std::uint64_t> due(sharers, now);
        std::uint64_t least = 200 * mib;
        std::uint64_t highest_late = 0;
        const std::uint64_t began = now;
        while (now < began + ns_per_s) {
            now += 50 * ns_per_us;
            const auto most = std::max_element(unread.begin(), unread.end());
            const std::uint64_t read = std::min(*most, 5 * mib / 20);
            *most -= read;
            speed.read(read);
            std::uint64_t all = 0;
            for (const std::uint64_t bytes : unread) all += bytes;
            least = std::min(least, all);
            if (now > began + ns_per_s / 2) highest_late = std::max(highest_late, all);
            for (std::uint32_t lane = 0; lane < sharers; ++lane) {
                if (due[lane] > now) continue;
                speed.look(now);
                // Faster than anybody reads: it is written as soon as it is granted.
                unread[lane] += Lead{unread[lane], start / sharers, sharers}.most_bytes();
                due[lane] = now + Lead{unread[lane], start / sharers, sharers}.hold_ns(speed);
            }
        }
        EXPECT_GT(least, 4 * mib) << sharers;
        EXPECT_LT(highest_late, 2 * start) << sharers;
    }
}

}  // namespace
}  // namespace weir::broker

namespace weir::test {
namespace {

constexpr std::uint64_t mib = 1024 * 1024;
const std::string kilobyte(1000, 'k');

// Producers that ask whenever they may, beside a subscriber.
class Race {
public:
    Race(std::size_t width, std::uint64_t direct_bytes) : stage_(direct_bytes) {
        reader_ = stage_.subscriber(stage_.session(), "topic://a");
        for (std::size_t one = 0; one < width; ++one)
            producers_.push_back(stage_.producer(stage_.session(), "topic://a"));
    }
    // The subscriber reads `a_ms` messages of each lane a millisecond. What lies unread in each.
    std::vector<std::uint64_t> leads_after(int milliseconds, std::size_t a_ms) {
        for (int step = 0; step < 10 * milliseconds; ++step) {
            stage_.clock.advance_ns(ns_per_ms / 10);
            reader_.drain_each(a_ms / 10);
            stage_.segment->turn();
            for (TestProducer& producer : producers_) send(producer);
        }
        std::vector<std::uint64_t> leads;
        const auto places = reader_.places();
        for (const TestProducer& producer : producers_)
            leads.push_back(producer.writer.tail() -
                            exclusive_position(places.at(producer.lane)->cursor.load()));
        return leads;
    }

private:
    // Who found no room sleeps until it is answered.
    void send(TestProducer& producer) {
        const std::uint32_t grants = producer.slot().grants.load();
        const auto asleep = asleep_.find(producer.lane);
        if (asleep != asleep_.end() && asleep->second == grants) return;
        asleep_.erase(producer.lane);
        if (producer.fill(kilobyte, 3000) != 3000)
            asleep_[producer.lane] = producer.slot().grants.load();
    }

    SegmentStage stage_;
    TestSubscriber reader_;
    std::vector<TestProducer> producers_;
    std::map<LaneId, std::uint32_t> asleep_;
};

std::uint64_t sum(const std::vector<std::uint64_t>& leads) {
    return std::accumulate(leads.begin(), leads.end(), std::uint64_t{0});
}

TEST(HeadStart, OfASegmentAFastReaderHasItsProducersNotFarAhead) {
    for (const std::size_t width : {1u, 4u}) {
        Race race(width, 64 * mib);
        const auto leads = race.leads_after(60, 4000 / width);
        EXPECT_LT(sum(leads), 8 * mib) << "a head start and a window";
        const auto [least, most] = std::minmax_element(leads.begin(), leads.end());
        EXPECT_LT(*most, 2 * *least) << width;
    }
}

TEST(HeadStart, ABurstBeforeASlowReaderIsTakenIn) {
    for (const std::size_t width : {1u, 4u}) {
        Race race(width, 64 * mib);
        const auto leads = race.leads_after(100, 400 / width);
        EXPECT_GT(sum(leads), 40 * mib) << width;
    }
}

// Everything is granted and all stand in a line, which they leave with a page each.
TEST(HeadStart, BehindAReaderThatIsFastAgainAFullRegionEmpties) {
    Race race(4, 64 * mib);
    auto leads = race.leads_after(100, 0);
    ASSERT_GT(sum(leads), 50 * mib);
    leads = race.leads_after(100, 1000);
    EXPECT_LT(sum(leads), 8 * mib);
}

TEST(HeadStart, WhoHasNoTimeIsServedAtOnce) {
    for (const Overflow on_full : {Overflow::fail, Overflow::fail_after}) {
        SegmentStage stage(64 * mib);
        TestSubscriber reader = stage.subscriber(stage.session(), "topic://a");
        TestProducer producer = stage.producer(stage.session(), "topic://a");
        for (int step = 0; stage.segment->due_ns() == broker::never_due; ++step) {
            ASSERT_LT(step, 1000) << "it is never put off";
            stage.clock.advance_ns(ns_per_ms / 10);
            reader.drain(400);
            stage.segment->turn();
            producer.fill(kilobyte, 3000);
        }
        ASSERT_FALSE(producer.send(kilobyte)) << "it is put off and has nothing left";
        producer.on_full = on_full;
        EXPECT_TRUE(producer.send(kilobyte));
        EXPECT_EQ(stage.segment->due_ns(), broker::never_due);
    }
}

// Its reader stops, which is not believed at once.
TEST(HeadStart, WhoWaitsForMemoryBehindThatIsNotHeldAgain) {
    SegmentStage stage(64 * mib);
    TestSubscriber reader = stage.subscriber(stage.session(), "topic://a");
    TestSubscriber sleeper = stage.subscriber(stage.session(), "topic://b");
    TestProducer producer = stage.producer(stage.session(), "topic://a");
    TestProducer other = stage.producer(stage.session(), "topic://b");
    for (int step = 0; step < 200; ++step) {
        stage.clock.advance_ns(ns_per_ms / 10);
        reader.drain(400);
        stage.segment->turn();
        producer.fill(kilobyte, 3000);
    }
    while (other.send(kilobyte)) continue;
    while (producer.send(kilobyte)) continue;
    EXPECT_NE(stage.segment->due_ns(), broker::never_due) << "held";
    const auto waits = [&] { return producer.slot().waiting_since_ns.load() != 0; };
    for (int step = 0; !waits(); ++step) {
        ASSERT_LT(step, 8);
        stage.clock.advance_ns(ns_per_ms);
        stage.segment->turn();
        producer.fill(kilobyte);
    }
    EXPECT_EQ(stage.segment->due_ns(), broker::never_due);
    producer.fill(kilobyte);
    EXPECT_EQ(stage.segment->due_ns(), broker::never_due);
    EXPECT_TRUE(waits());
}

// Its reader stops: until that is believed, little is granted, and often.
TEST(HeadStart, NobodyIsHeldForLong) {
    SegmentStage stage(64 * mib);
    TestSubscriber reader = stage.subscriber(stage.session(), "topic://a");
    TestProducer producer = stage.producer(stage.session(), "topic://a");
    std::uint64_t held_ns = 0;
    std::uint64_t longest_ns = 0;
    for (int step = 0; step < 400; ++step) {
        stage.clock.advance_ns(ns_per_ms / 10);
        if (step < 200) reader.drain(400);
        stage.segment->turn();
        const bool held = producer.fill(kilobyte, 3000) == 0;
        held_ns = held ? held_ns + ns_per_ms / 10 : 0;
        longest_ns = std::max(longest_ns, held_ns);
    }
    EXPECT_GT(longest_ns, 3 * ns_per_ms);
    EXPECT_LE(longest_ns, broker::hold_most_ns);
}

}  // namespace
}  // namespace weir::test
