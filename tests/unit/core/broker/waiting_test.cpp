// SPDX-License-Identifier: Apache-2.0
//
// Lines of producers that wait: who is served next, who is woken, and who is in nobody's way.
#include <gtest/gtest.h>

#include <vector>

#include "core/broker/grants.hpp"
#include "tests/support/segment_stage.hpp"

namespace weir::test {
namespace {

const std::string kilobyte(1000, 'k');

bool waits(const TestProducer& producer) { return producer.slot().waiting_since_ns.load() != 0; }

// Steps of `grants`, each of which is one system call that wakes the lane's producer.
std::uint64_t wakes(const std::vector<TestProducer>& producers) {
    std::uint64_t all = 0;
    for (const TestProducer& producer : producers) all += producer.slot().grants.load();
    return all;
}

TEST(Waiting, SixtyFourThatWaitAreWokenOnlyOneByOneAsTheirRequestsFit) {
    SegmentStage stage(1 << 20);
    const std::uint32_t session = stage.session();
    std::vector<TestProducer> producers;
    for (int made = 0; made < 64; ++made) {
        producers.push_back(stage.producer(session, "queue://a"));
        ASSERT_TRUE(producers.back().send(kilobyte));
    }
    for (bool sent = true; sent;) {  // in turn, until all wait
        sent = false;
        for (TestProducer& producer : producers)
            if (!waits(producer) && producer.send(kilobyte)) sent = true;
    }
    for (const TestProducer& producer : producers) ASSERT_TRUE(waits(producer));
    TestWorker worker = stage.worker(session, "queue://a", 1024);

    std::uint64_t served = 0;
    for (int page = 0; page < 64; ++page) {
        const std::uint64_t before = wakes(producers);
        // A page's worth of one lane is read.
        for (int message = 0; message < 24; ++message) {
            worker.take(producers[static_cast<std::size_t>(page)].lane, 1);
            worker.acknowledge_all();
            stage.segment->turn();
            if (wakes(producers) != before) break;
        }
        const std::uint64_t woken = wakes(producers) - before;
        EXPECT_LE(woken, 4u) << "as many as pages came free, whatever 64 wish";
        served += woken;
        // Turns in which nothing came free wake nobody.
        const std::uint64_t quiet = wakes(producers);
        for (int turn = 0; turn < 50; ++turn) stage.segment->turn();
        EXPECT_EQ(wakes(producers), quiet);
    }
    EXPECT_GT(served, 40u);
    std::size_t still = 0;
    for (const TestProducer& producer : producers) still += waits(producer) ? 1u : 0u;
    EXPECT_EQ(still + served, 64u) << "each wake was a grant";
}

TEST(Waiting, WhoWaitsForItsDestinationsDepthIsInNobodyElsesWay) {
    SegmentStage stage(1 << 20);
    ASSERT_TRUE(stage.segment->set_policy("queue://deep", "max-depth=1"));
    const std::uint32_t session = stage.session();
    TestProducer deep = stage.producer(session, "queue://deep");
    ASSERT_EQ(deep.fill(kilobyte), 1u);
    ASSERT_TRUE(waits(deep));
    TestProducer other = stage.producer(session, "queue://other");
    EXPECT_GT(other.fill(kilobyte), 700u);
    EXPECT_TRUE(waits(deep));
}

}  // namespace
}  // namespace weir::test
