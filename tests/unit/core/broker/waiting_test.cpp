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

// How far a lane came while a worker read in a certain order and both producers always wanted more.
struct Share {
    Position small = 0;
    Position large = 0;
};

// `limit` 0: the memory that all have in common is what there is too little of.
Share share_at_limit(std::uint64_t limit, std::size_t large_bytes, int which_first) {
    SegmentStage stage(limit != 0 ? 16 << 20 : 2 << 20);
    EXPECT_TRUE(stage.segment->set_policy(
        "queue://a", limit != 0 ? "limit=" + std::to_string(limit) : "overflow=block"));
    const std::uint32_t session = stage.session();
    TestProducer small = stage.producer(session, "queue://a");
    TestProducer large = stage.producer(session, "queue://a");
    TestWorker worker = stage.worker(session, "queue://a", 1024);
    const std::string text(large_bytes, 'L');
    Share began;
    constexpr int steps = 4000;
    for (int step = 0; step < steps; ++step) {
        stage.clock.advance_ns(50'000);
        stage.segment->turn();
        while (!waits(small) && small.send(kilobyte)) {
        }
        while (!waits(large) && large.send(text)) {
        }
        const bool small_first = which_first == 0 ? step % 2 == 0 : which_first == 1;
        const Texts got = worker.take(small_first ? small.lane : large.lane, 4);
        if (got.empty()) worker.take(small_first ? large.lane : small.lane, 4);
        worker.acknowledge_all();
        stage.segment->turn();
        if (step == steps / 4) began = {small.writer.tail(), large.writer.tail()};
    }
    return {small.writer.tail() - began.small, large.writer.tail() - began.large};
}

TEST(Waiting, ProducersOfADestinationAtItsLimitAreGrantedEqualBytesWhateverTheyHaveToSend) {
    for (const std::uint64_t limit : {0u, 1u << 20, 4u << 20}) {
        for (const std::size_t large_bytes : {5'000u, 100'000u, 300'000u}) {
            for (const int which_first : {0, 1, 2}) {
                const Share share = share_at_limit(limit, large_bytes, which_first);
                const double ratio =
                    static_cast<double>(share.small) / static_cast<double>(share.large);
                EXPECT_GT(ratio, 0.8) << limit << " " << large_bytes << " " << which_first << ": "
                                      << share.small << " and " << share.large;
                EXPECT_LT(ratio, 1.25) << limit << " " << large_bytes << " " << which_first << ": "
                                       << share.small << " and " << share.large;
            }
        }
    }
}

// A region that is full behind a reader who takes so many messages ten times a millisecond, and
// whose producers ask as soon as they find no room.
struct Busy {
    SegmentStage stage{16 << 20};
    TestSubscriber reader = stage.subscriber(stage.session(), "topic://a");
    std::vector<TestProducer> producers;
    std::vector<std::string> texts;
    std::size_t read = 0;

    explicit Busy(const std::vector<std::size_t>& sizes) {
        for (const std::size_t size : sizes) {
            producers.push_back(stage.producer(stage.session(), "topic://a"));
            texts.emplace_back(size, 'k');
        }
        for (bool sent = true; sent;) {
            sent = false;
            for (std::size_t one = 0; one < texts.size(); ++one)
                sent = producers[one].send(texts[one]) || sent;
        }
    }
    void run(int milliseconds, std::size_t a_tenth) {
        for (int step = 0; step < 10 * milliseconds; ++step) {
            stage.clock.advance_ns(ns_per_ms / 10);
            read += reader.drain(a_tenth).size();
            stage.segment->turn();
            for (std::size_t one = 0; one < texts.size(); ++one)
                producers[one].fill(texts[one], 4096);
        }
    }
};

TEST(Waiting, OfAFullRegionABusyReadersProducerGetsPiecesThatAreWorthATurn) {
    Busy busy({1000});
    const LaneSlot& slot = busy.producers[0].slot();
    ASSERT_TRUE(waits(busy.producers[0])) << "nobody has read";
    busy.run(50, 26);
    const std::uint32_t before = slot.grants.load();
    busy.read = 0;
    busy.run(100, 26);
    EXPECT_EQ(busy.read, 26'000u) << "the reader always found something";
    EXPECT_LE(slot.grants.load() - before, 110u) << "one a millisecond, of a thousand looks";
    EXPECT_EQ(busy.stage.shared.signals.head().hungry.load(), 0u) << "nobody has to ring";
    EXPECT_EQ(slot.reason.load(), WaitReason::none);

    // The reader stops: the producer fills what is left, and then waits with a reason.
    busy.run(5, 0);
    EXPECT_TRUE(waits(busy.producers[0]));
    EXPECT_EQ(slot.reason.load(), WaitReason::direct_full);
    EXPECT_EQ(busy.stage.shared.signals.head().hungry.load(), 1u);
}

TEST(Waiting, WhoIsNotAloneIsNotPutOffForWantOfMemory) {
    Busy busy({1000, 5000});
    busy.run(50, 26);
    for (int step = 0; step < 60; ++step) {
        busy.run(1, 26);
        ASSERT_EQ(busy.stage.segment->due_ns(), broker::never_due) << step;
    }
}

}  // namespace
}  // namespace weir::test
