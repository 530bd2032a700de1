// SPDX-License-Identifier: Apache-2.0
//
// Between high-water and limit: slower, not stopped.
#include "core/broker/pacing.hpp"

#include <gtest/gtest.h>

#include "core/broker/tables.hpp"
#include "tests/support/segment_stage.hpp"

namespace weir::test {
namespace {

using broker::duty_cycle_ns;
using broker::Marks;
using broker::MeasuredRate;
using broker::Pace;
using broker::paced_rate;

constexpr std::uint64_t mebibyte = 1 << 20;

TEST(PacedRate, GoesFromFullToDrainWithoutAStepAndNeverBelowDrain) {
    const Marks marks{70 * mebibyte, 100 * mebibyte};
    for (const double drain : {0.0, 1e5, 1e9}) {
        for (const double full : {0.0, 1e6, 5e9}) {
            double before = paced_rate(marks.high_water, marks, drain, full);
            EXPECT_GE(before, full);
            for (std::uint64_t used = marks.high_water; used <= marks.limit; used += mebibyte) {
                const double rate = paced_rate(used, marks, drain, full);
                EXPECT_LE(rate, before);
                EXPECT_GE(rate, drain * 0.999999);
                before = rate;
            }
            EXPECT_DOUBLE_EQ(before, drain);
        }
    }
}

TEST(MeasuredRate, FollowsWhatItSeesAndForgets) {
    MeasuredRate rate;
    std::uint64_t total = 0;
    std::uint64_t now = ns_per_s;
    rate.see(0, now);
    for (int step = 0; step < 500; ++step) rate.see(total += 1000, now += ns_per_ms);
    EXPECT_NEAR(rate.a_second(), 1e6, 2e4);
    for (int step = 0; step < 500; ++step) rate.see(total, now += ns_per_ms);
    EXPECT_LT(rate.a_second(), 1e4);
}

TEST(Pace, GrantsOnePageADutyCycleWhenNobodyReads) {
    const Marks marks{64 * page_unit, 100 * page_unit};
    Pace pace;
    std::uint64_t used = 0;
    std::uint64_t now = ns_per_s;
    std::uint64_t granted = 0;
    // Slow at first, so that the full rate is no help.
    for (; used < marks.high_water; used += page_unit, granted += page_unit)
        pace.see(used, granted, marks, now += ns_per_s);
    std::uint64_t last = now;
    for (; used < marks.limit; now += ns_per_ms / 10) {
        pace.see(used, granted, marks, now);
        if (!pace.may_grant(now)) continue;
        EXPECT_LE(now - last, duty_cycle_ns + ns_per_ms / 10) << used / page_unit;
        pace.granted(page_unit, last = now);
        used += page_unit;
        granted += page_unit;
    }
    EXPECT_EQ(used, marks.limit);
}

TEST(Pace, ALargePageIsLentAndTheNextDutyCycleGrantsAgain) {
    const Marks marks{mebibyte, 5 * mebibyte};
    Pace pace;
    pace.see(2 * mebibyte, 2 * mebibyte, marks, ns_per_s);
    pace.granted(mebibyte, ns_per_s);
    pace.see(3 * mebibyte, 3 * mebibyte, marks, ns_per_s + 1);
    EXPECT_FALSE(pace.may_grant(ns_per_s + 1));
    EXPECT_TRUE(pace.may_grant(ns_per_s + duty_cycle_ns));
}

// A producer that could send far more than is read: it slows to the reader's speed and is not
// stopped for longer than a page takes.
TEST(Pace, AProducerSlowsToItsReadersSpeedBeforeTheLimit) {
    SegmentStage stage(8 << 20);
    const Marks marks{1 << 20, 2 << 20};
    ASSERT_TRUE(stage.segment->set_policy("queue://a",
                                          {.limit = marks.limit, .high_water = marks.high_water}));
    const std::uint32_t session = stage.session();
    TestProducer producer = stage.producer(session, "queue://a");
    TestWorker worker = stage.worker(session, "queue://a", 1024);
    const std::string kilobyte(1000, 'k');
    std::vector<std::uint64_t> sent_in(20);
    std::uint64_t highest = 0;
    for (int step = 0; step < 2000; ++step) {
        stage.clock.advance_ns(ns_per_ms);
        if (stage.segment->due_ns() <= stage.clock.now_ns()) stage.segment->turn();
        if (producer.slot().waiting_since_ns.load() == 0)
            sent_in[static_cast<std::size_t>(step / 100)] += producer.fill(kilobyte, 5000);
        highest = std::max(highest, stage.direct_used());
        worker.take(producer.lane, 4);  // four megabytes a second
        worker.acknowledge_all();
        stage.segment->turn();
    }
    EXPECT_LT(highest, marks.limit);
    EXPECT_GT(sent_in[0], 1000u) << "at full rate up to the high-water mark";
    for (std::size_t at = 5; at < sent_in.size(); ++at)
        EXPECT_NEAR(static_cast<double>(sent_in[at]), 400, 60) << at;
    EXPECT_EQ(producer.slot().reason.load(), WaitReason::paced);
}

TEST(Pace, WhoDoesNotWaitIsNotRefusedBeforeTheLimit) {
    SegmentStage stage(8 << 20);
    ASSERT_TRUE(stage.segment->set_policy("queue://a", {.limit = 4 << 20, .high_water = 1 << 20}));
    TestProducer producer = stage.producer(stage.session(), "queue://a");
    producer.on_full = Overflow::fail;
    EXPECT_GT(producer.fill(std::string(1000, 'k'), 3500), 3400u);
}

}  // namespace
}  // namespace weir::test
