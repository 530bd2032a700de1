// SPDX-License-Identifier: Apache-2.0
//
// The pace between high-water and limit, over a model of a destination whose clock is moved by
// hand: a producer that would fill everything at once, and consumers that drain steadily or not at
// all. Then over a whole segment.
#include "core/broker/pace.hpp"

#include <gtest/gtest.h>

#include "tests/support/fake_files.hpp"
#include "tests/support/segment_stage.hpp"

namespace weir::broker {
namespace {

constexpr std::uint64_t mib = 1024 * 1024;

struct Model {
    std::uint64_t limit = 64 * mib;
    std::uint64_t high_water = limit * 7 / 10;
    std::uint64_t page = 64 * 1024;
    std::uint64_t drained_a_second = 0;

    std::uint64_t now = 5 * ns_per_s;
    std::uint64_t use = 0;
    std::uint64_t drained = 0;  // towards the next page
    DrainRate drain = {};
    Pace pace = {};
    std::uint64_t granted = 0;
    std::uint64_t granted_ns = 0;
    std::uint64_t longest_pause_ns = 0;
    std::uint64_t stops = 0;  // looks at which only the limit stood in the way
    std::uint64_t highest = 0;

    void step(std::uint64_t ns) {
        now += ns;
        drained += drained_a_second * ns / ns_per_s;
        for (; drained >= page && use >= page; drained -= page) {
            use -= page;
            drain.add(page);
        }
        for (;;) {
            pace.look({use, high_water, limit, drain.look(now)}, now, page);
            if (!pace.is_open()) break;
            if (use + page > limit) {
                ++stops;
                break;
            }
            use += page;
            granted += page;
            pace.granted(page);
            longest_pause_ns = std::max(longest_pause_ns, now - granted_ns);
            granted_ns = now;
        }
        highest = std::max(highest, use);
    }
    void run(std::uint64_t ns, std::uint64_t step_ns = 100'000) {
        granted = longest_pause_ns = stops = 0;
        granted_ns = now;
        for (const std::uint64_t end = now + ns; now < end;) step(step_ns);
    }
};

TEST(Pace, ADestinationBelowItsHighWaterMarkIsNotSlowedDown) {
    const PaceInput below{.use = 70, .high_water = 70, .limit = 100, .drain = 0};
    EXPECT_FALSE(is_paced(below));
    EXPECT_FALSE(is_paced({.use = 70, .high_water = 0, .limit = 100, .drain = 1}));
    EXPECT_FALSE(is_paced({.use = 170, .high_water = 0, .limit = 0, .drain = 1}));
    EXPECT_FALSE(is_paced({.use = 100, .high_water = 100, .limit = 100, .drain = 1}));
    EXPECT_TRUE(is_paced({.use = 71, .high_water = 70, .limit = 100, .drain = 0}));
    // Whatever it owed is forgotten as soon as it is below again.
    Pace pace;
    pace.look({.use = 99 * mib, .high_water = 70 * mib, .limit = 100 * mib}, ns_per_s, 4096);
    pace.granted(90 * mib);
    EXPECT_FALSE(pace.is_open());
    pace.look({.use = 70 * mib, .high_water = 70 * mib, .limit = 100 * mib}, ns_per_s, 90 * mib);
    EXPECT_TRUE(pace.is_open());
    pace.granted(90 * mib);
    EXPECT_TRUE(pace.is_open());
    // And what it was granted there is not owed when it is above again.
    pace.look({.use = 99 * mib, .high_water = 70 * mib, .limit = 100 * mib}, ns_per_s + 1, 0);
    EXPECT_TRUE(pace.is_open());
}

TEST(Pace, WhatCameDueBeforeADestinationFellBelowItsMarkIsNotSavedUp) {
    const PaceInput above{
        .use = 71 * mib, .high_water = 70 * mib, .limit = 100 * mib, .drain = 100 * mib};
    Pace pace;
    pace.look(above, ns_per_s, 4096);
    ASSERT_TRUE(pace.is_open()) << "a moment's worth";
    pace.look({.use = 70 * mib, .high_water = 70 * mib, .limit = 100 * mib}, ns_per_s, 4096);
    pace.look(above, ns_per_s, 4096);
    EXPECT_FALSE(pace.is_open());
}

TEST(Pace, OnceTheLargestThatWaitedIsGrantedOnlyAMomentsWorthIsSavedUpAgain) {
    const PaceInput input{
        .use = 90 * mib, .high_water = 70 * mib, .limit = 100 * mib, .drain = 100 * mib};
    std::uint64_t now = ns_per_s;
    Pace pace;
    pace.look(input, now, 30 * mib);
    pace.look(input, now += 10 * ns_per_s, 30 * mib);
    ASSERT_TRUE(pace.is_open());
    pace.granted(30 * mib);
    for (int step = 0; step < 1000; ++step) pace.look(input, now += ns_per_ms, 4096);
    pace.look(input, now, 4 * mib);
    EXPECT_FALSE(pace.is_open());
}

TEST(Pace, FallsFromEverythingAtTheHighWaterMarkToTheDrainAndBelow) {
    PaceInput input{.use = 0, .high_water = 70 * mib, .limit = 102 * mib, .drain = 900 * mib};
    double before = 1e300;
    for (input.use = input.high_water + 4096; input.use <= input.limit; input.use += 4096) {
        const double pace = pace_of(input);
        ASSERT_LT(pace, before) << input.use;
        before = pace;
    }
    input.use = input.high_water + 4096;
    EXPECT_GT(pace_of(input), 1000.0 * static_cast<double>(input.drain));
    input.use = input.high_water + 28 * mib;  // seven eighths of the way
    EXPECT_NEAR(pace_of(input) / static_cast<double>(input.drain), 1.0, 0.02);
    input.use = input.limit;
    EXPECT_LT(pace_of(input), static_cast<double>(input.drain));
    input.drain = 0;
    EXPECT_EQ(pace_of(input), 4096.0 * 100) << "one page a duty cycle is left";
}

TEST(Pace, AProducerThatIsTooFastSettlesAtTheDrainBelowTheLimitAndIsNeverStopped) {
    for (const std::uint64_t rate : {20 * mib, 200 * mib, 4000 * mib}) {
        Model model{.drained_a_second = rate};
        model.run(5 * ns_per_s);
        EXPECT_EQ(model.stops, 0u) << rate;
        model.run(2 * ns_per_s);
        EXPECT_NEAR(static_cast<double>(model.granted) / 2, static_cast<double>(rate),
                    static_cast<double>(rate) / 50)
            << rate;
        EXPECT_EQ(model.stops, 0u) << rate;
        EXPECT_LT(model.highest, model.limit) << rate;
        EXPECT_GT(model.use, model.high_water) << rate;
        EXPECT_LE(model.longest_pause_ns, 3 * model.page * ns_per_s / rate + ns_per_ms) << rate;
    }
}

TEST(Pace, ABrokerThatIsRarelyScheduledGivesOutWhatCameDueMeanwhile) {
    Model model{.drained_a_second = 200 * mib};
    model.run(5 * ns_per_s, 8 * ns_per_ms);
    model.run(2 * ns_per_s, 8 * ns_per_ms);
    EXPECT_NEAR(static_cast<double>(model.granted) / 2, 200.0 * mib, 20.0 * mib);
    EXPECT_LE(model.highest, model.limit);
}

TEST(Pace, WithoutAnyDrainTheLimitIsReachedAllTheSameAndMostOfTheWaySoon) {
    for (const std::uint64_t page : {4096u, 65536u, 1048576u}) {
        Model model{.page = page};
        model.run(2 * pace_span_ns);
        EXPECT_GT(model.use, model.high_water + (model.limit - model.high_water) * 8 / 10) << page;
        model.run(10 * ns_per_s);
        EXPECT_GT(model.use + model.page, model.limit) << page;
        EXPECT_LE(model.use, model.limit);
    }
}

TEST(Pace, WhenTheDrainStopsOrBeginsThePaceFollows) {
    Model model{.drained_a_second = 200 * mib};
    model.run(5 * ns_per_s);
    const std::uint64_t steady = model.use;
    model.drained_a_second = 0;
    model.run(ns_per_s);
    EXPECT_GT(model.use, steady);
    EXPECT_LT(model.granted, 20 * mib);
    model.drained_a_second = 400 * mib;
    model.run(3 * ns_per_s);
    model.run(2 * ns_per_s);
    EXPECT_NEAR(static_cast<double>(model.granted) / 2, 400.0 * mib, 8.0 * mib);
}

TEST(Pace, ARequestThatNeedsMoreThanAMomentsWorthGetsItInTimeAlsoWhenSmallerOnesPassIt) {
    const PaceInput input{
        .use = 90 * mib, .high_water = 70 * mib, .limit = 100 * mib, .drain = 100 * mib};
    std::uint64_t now = 7 * ns_per_s;
    Pace pace;
    pace.look(input, now, 4096);
    pace.granted(4096);
    std::uint64_t looks = 0;
    std::uint64_t passed = 0;
    for (pace.look(input, now, 30 * mib); !pace.is_open(); pace.look(input, now, 30 * mib)) {
        ASSERT_LT(looks, 1000u) << "it never gets it";
        ASSERT_GT(pace.due_ns(), now) << "there is a next time";
        ASSERT_LE(pace.due_ns(), now + pace_look_most_ns);
        now = pace.due_ns();
        ++looks;
        pace.look(input, now, 65536);
        if (passed == 5 * mib || !pace.is_open()) continue;
        pace.granted(65536);
        passed += 65536;
    }
    const double waited_s = static_cast<double>(now - 7 * ns_per_s) / ns_per_s;
    EXPECT_NEAR(waited_s, static_cast<double>(30 * mib + passed) / pace_of(input), 0.03);
    EXPECT_GT(passed, 0u);
    EXPECT_LE(looks, 120u);
    pace.granted(30 * mib);
    pace.look(input, now, 2 * mib);
    EXPECT_FALSE(pace.is_open()) << "it is paid, a moment's worth may be left";
}

TEST(DrainRate, IsAMeanOverATenthOfASecondAndForgetsTheRest) {
    DrainRate drain;
    std::uint64_t now = ns_per_s;
    for (int step = 0; step < 1000; ++step) {
        drain.add(1000);
        now += ns_per_ms;
        drain.look(now);
    }
    EXPECT_NEAR(static_cast<double>(drain.look(now)), 1'000'000.0, 1000.0);
    for (int step = 0; step < 100; ++step) drain.look(now += ns_per_ms);
    EXPECT_NEAR(static_cast<double>(drain.look(now)), 370'000.0, 10'000.0);
    for (int step = 0; step < 2000; ++step) drain.look(now += ns_per_ms);
    EXPECT_LT(drain.look(now), 10u);
    // Not looked at for long: the mean over that time.
    drain.add(50'000'000);
    EXPECT_NEAR(static_cast<double>(drain.look(now + 10 * ns_per_s)), 5'000'000.0, 100'000.0);
}

// ---- a whole segment

const std::string kilobyte(1000, 'k');

bool waits(const test::TestProducer& producer) {
    return producer.slot().waiting_since_ns.load() != 0;
}

// A queue of 4 MiB with its mark at half of them, a producer that sends whenever it need not wait,
// and a worker that reads so much a second.
struct Slowed {
    test::SegmentStage stage{16 << 20};
    std::uint32_t session = stage.session();
    test::TestProducer producer;
    test::TestWorker worker;
    std::uint64_t to_read = 0;
    std::uint64_t sent = 0;
    std::uint64_t waited_below = 0;
    std::uint64_t stopped = 0;
    std::uint64_t quiet_ns = 0;
    std::uint64_t longest_quiet_ns = 0;

    Slowed() {
        EXPECT_TRUE(stage.segment->set_policy("queue://a", "limit=4MiB\nhigh-water=2MiB"));
        producer = stage.producer(session, "queue://a");
        worker = stage.worker(session, "queue://a", 1024);
    }
    void run(std::uint64_t ns, std::uint64_t read_a_second) {
        sent = waited_below = stopped = quiet_ns = longest_quiet_ns = 0;
        constexpr std::uint64_t step_ns = 100'000;
        for (std::uint64_t passed = 0; passed < ns; passed += step_ns) {
            stage.clock.advance_ns(step_ns);
            stage.segment->turn();
            const std::uint64_t before = sent;
            while (!waits(producer) && producer.send(kilobyte)) sent += kilobyte.size();
            quiet_ns = sent == before ? quiet_ns + step_ns : 0;
            longest_quiet_ns = std::max(longest_quiet_ns, quiet_ns);
            if (waits(producer)) {
                const WaitReason reason = producer.slot().reason.load();
                if (reason == WaitReason::destination_limit) ++stopped;
                // A mean time's worth of page may be on the way to the mark.
                if (stage.direct_used() + page_class_max / 16 < 2 << 20) ++waited_below;
            }
            to_read += read_a_second * step_ns / ns_per_s;
            for (bool found = true; found && to_read >= 32'000; to_read -= found ? 32'000 : 0) {
                std::size_t got = 0;
                while (got < 32) {
                    const std::size_t more = worker.take(producer.lane, 32).size();
                    if (more == 0) break;
                    got += more;
                    worker.acknowledge_all();
                }
                found = got != 0;
            }
            stage.segment->turn();
        }
    }
};

TEST(SlowedDown, AProducerSettlesAtWhatIsReadAndDoesNotComeToItsLimit) {
    for (const std::uint64_t read_a_second : {5'000'000u, 20'000'000u, 100'000'000u}) {
        Slowed slowed;
        slowed.run(3 * ns_per_s, read_a_second);
        slowed.run(2 * ns_per_s, read_a_second);
        EXPECT_NEAR(static_cast<double>(slowed.sent) / 2, static_cast<double>(read_a_second),
                    static_cast<double>(read_a_second) / 10);
        EXPECT_EQ(slowed.stopped, 0u) << read_a_second;
        EXPECT_EQ(slowed.waited_below, 0u) << read_a_second;
        EXPECT_LT(slowed.longest_quiet_ns, 60 * ns_per_ms) << read_a_second;
        EXPECT_GT(slowed.stage.direct_used(), 3u << 20)
            << read_a_second << ": it does not only run into the mark";
    }
}

TEST(SlowedDown, AProducerThatIsSlowerThanItsConsumersNeverWaits) {
    Slowed slowed;
    slowed.run(ns_per_s, 1'000'000'000);
    EXPECT_EQ(slowed.waited_below, 0u);
    EXPECT_GT(slowed.sent, 500'000'000u) << "a segment's worth each step";
}

TEST(SlowedDown, ItsLimitIsReachedAllTheSameIfNobodyReads) {
    Slowed slowed;
    slowed.producer.fill(kilobyte);
    EXPECT_LT(slowed.stage.direct_used(), (2u << 20) + (512 << 10)) << "nor is it granted ahead";
    slowed.run(50 * ns_per_ms, 0);
    EXPECT_TRUE(waits(slowed.producer));
    EXPECT_EQ(slowed.producer.slot().reason.load(), WaitReason::pace);
    EXPECT_LE(slowed.stage.segment->due_ns(), slowed.stage.clock.now_ns() + pace_look_most_ns);
    slowed.run(10 * ns_per_s, 0);
    EXPECT_EQ(slowed.producer.slot().reason.load(), WaitReason::destination_limit);
    EXPECT_GT(slowed.stage.direct_used() + page_class_max / 16, 4u << 20);
}

// A destination that is filled by somebody who is not slowed down comes to its limit at once.
bool comes_to_its_limit(test::SegmentStage& stage, test::TestProducer& producer) {
    producer.fill(kilobyte, 8192);
    return stage.direct_used() + page_class_max / 16 > 4 << 20;
}

TEST(SlowedDown, WhoWouldNotWaitIsNotHeldBackNorIsADestinationThatNobodyReads) {
    for (const bool read : {false, true}) {
        test::SegmentStage stage(16 << 20);
        ASSERT_TRUE(stage.segment->set_policy("queue://a", "limit=4MiB\nhigh-water=2MiB"));
        const std::uint32_t session = stage.session();
        test::TestProducer producer = stage.producer(session, "queue://a");
        if (read) {
            producer.on_full = Overflow::drop_newest;
            stage.worker(session, "queue://a", 16);
        }
        EXPECT_TRUE(comes_to_its_limit(stage, producer)) << read;
        EXPECT_EQ(producer.slot().reason.load(), WaitReason::destination_limit) << read;
    }
}

TEST(SlowedDown, ATopicThatLosesItsOldestForASlowSubscriberIsNotHeldBack) {
    test::SegmentStage stage(16 << 20);
    ASSERT_TRUE(stage.segment->set_policy(
        "topic://a", "limit=4MiB\nhigh-water=2MiB\nslow-subscriber=drop-oldest"));
    const std::uint32_t session = stage.session();
    test::TestProducer producer = stage.producer(session, "topic://a");
    stage.subscriber(session, "topic://a");
    EXPECT_TRUE(comes_to_its_limit(stage, producer));
    EXPECT_FALSE(waits(producer));
}

TEST(SlowedDown, ADestinationThatFlowsToDiskIsNotHeldBack) {
    test::SegmentStage stage(16 << 20);
    test::FakeFiles files(stage.clock);
    FlowOptions options;
    options.directory = "/spill";
    options.limit_bytes = 1ull << 30;
    stage.segment->use_disk(files, options, 1ull << 30);
    ASSERT_TRUE(stage.segment->set_policy("queue://a", "limit=4MiB\nhigh-water=2MiB"));
    const std::uint32_t session = stage.session();
    test::TestProducer producer = stage.producer(session, "queue://a");
    stage.worker(session, "queue://a", 16);
    std::size_t sent = 0;
    for (int turn = 0; turn < 4096 && !waits(producer); ++turn) {
        sent += producer.fill(kilobyte, 64);
        files.deliver([&](io::Token token, std::int32_t result) {
            stage.segment->disk_completed(token, result);
        });
        stage.segment->turn();
    }
    EXPECT_GT(sent, 4096u);
    EXPECT_NE(producer.slot().reason.load(), WaitReason::pace);
}

TEST(SlowedDown, WhoWouldNotWaitDoesNotStandBehindThoseWhoWaitForTheirPace) {
    Slowed slowed;
    slowed.producer.fill(kilobyte);
    ASSERT_TRUE(waits(slowed.producer));
    ASSERT_EQ(slowed.producer.slot().reason.load(), WaitReason::pace);
    test::TestProducer other = slowed.stage.producer(slowed.session, "queue://a");
    other.on_full = Overflow::drop_newest;
    EXPECT_TRUE(comes_to_its_limit(slowed.stage, other));
}

TEST(SlowedDown, ItIsShownAndStandsInNoLogAndDoesNotHideTheLimitThatIsMetNowAndThen) {
    Slowed slowed;
    const Shortage& shortage =
        slowed.stage.shared.control.destination(slowed.producer.destination).shortage;
    testing::internal::CaptureStderr();
    slowed.producer.fill(kilobyte);
    ASSERT_EQ(slowed.producer.slot().reason.load(), WaitReason::pace);
    EXPECT_EQ(shortage.reason.load(), WaitReason::pace);
    EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
    testing::internal::CaptureStderr();
    slowed.run(10 * ns_per_s, 0);
    EXPECT_NE(testing::internal::GetCapturedStderr().find("queue://a"), std::string::npos);
    ASSERT_EQ(shortage.reason.load(), WaitReason::destination_limit);
    // There is room again, at its pace.
    slowed.worker.take(slowed.producer.lane, 64);
    slowed.worker.acknowledge_all();
    for (int turn = 0; turn < 100 && slowed.producer.slot().reason.load() != WaitReason::pace;
         ++turn) {
        slowed.producer.fill(kilobyte);
        slowed.stage.segment->turn();
        slowed.worker.take(slowed.producer.lane, 64);
        slowed.worker.acknowledge_all();
        slowed.stage.clock.advance_ns(100'000);
    }
    ASSERT_EQ(slowed.producer.slot().reason.load(), WaitReason::pace);
    EXPECT_EQ(shortage.reason.load(), WaitReason::destination_limit);
}

}  // namespace
}  // namespace weir::broker
