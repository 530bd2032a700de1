// SPDX-License-Identifier: Apache-2.0
//
// Room for what comes back: large pages are on disk, and small ones of others come and go in the
// memory that they left. F3 of core/broker/flow.hpp.
#include <gtest/gtest.h>

#include <random>

#include "core/broker/flow.hpp"
#include "tests/unit/core/broker/flow_stage.hpp"

namespace weir::broker {
namespace {

class FlowRoomTest : public FlowTest, public testing::WithParamInterface<unsigned> {
protected:
    static constexpr std::size_t large_bytes = 300'000;
    static constexpr std::uint64_t large_count = 30;

    static std::string large(std::uint64_t number) {
        std::string text = std::to_string(number) + ":";
        text.resize(large_bytes, static_cast<char>('a' + number % 26));
        return text;
    }
    // The longest piece of direct memory that no page lies in.
    Bytes longest_free() const {
        std::uint64_t longest = 0;
        std::uint64_t run = 0;
        const PageView& pages = stage.shared.pages;
        for (std::uint64_t unit = 0; unit < pages.units;) {
            const PageSlot& slot = pages.slots[unit];
            const bool used = slot.state.load() != PageState::free;
            run = used ? 0 : run + 1;
            longest = std::max(longest, run);
            unit += used ? slot.units.load() : 1;
        }
        return longest * page_unit;
    }
    // One of the small queues sends or receives something.
    void stir() {
        const std::size_t at = random() % small.size();
        const std::size_t count = random() % 60;
        if (random() % 3 == 0) {
            for (std::size_t done = 0; done < count && !workers[at].take_all(1).empty(); ++done)
                workers[at].acknowledge_all();
        } else {
            for (std::size_t done = 0; done < count && small[at].send(message(done)); ++done) {
            }
            small[at].stop_asking();
        }
        rounds(20);
        stage.clock.advance_ns(2 * ns_per_ms);
    }

    std::mt19937 random{GetParam()};
    std::vector<test::TestProducer> small;
    std::vector<test::TestWorker> workers;
};

TEST_P(FlowRoomTest, TheLargestPageOnDiskAlwaysHasMemoryInOnePieceToComeBackTo) {
    auto producer = stage.producer(stage.session(), "queue://large");
    for (int stuck = 0; sent < large_count && stuck < 100; ++stuck) {
        if (producer.send(large(sent))) {
            ++sent;
            stuck = 0;
        }
        rounds(20);
        stage.clock.advance_ns(20 * ns_per_ms);
    }
    ASSERT_EQ(sent, large_count);
    ASSERT_GT(disk_used(), direct_bytes);
    for (int number = 0; number < 24; ++number) {
        const std::string name = "queue://small." + std::to_string(number);
        small.push_back(stage.producer(stage.session(), name));
        workers.push_back(stage.worker(stage.session(), name));
    }
    const auto on_disk = [&] { return stage.books(producer.destination).disk_bytes.load(); };
    for (int step = 0; step < 400; ++step) {
        stir();
        if (on_disk() != 0) {
            ASSERT_GE(longest_free(), large_bytes) << "step " << step;
        }
    }
    auto worker = stage.worker(stage.session(), "queue://large");
    for (int stuck = 0; received < large_count && stuck < 200; ++stuck) {
        for (const std::string& text : worker.take_all(1)) {
            ASSERT_EQ(text, large(received++));
            stuck = 0;
        }
        worker.acknowledge_all();
        for (std::size_t at = 0; at < small.size(); ++at) {
            while (small[at].send(message(at))) {
            }
            small[at].stop_asking();
        }
        rounds(20);
        stage.clock.advance_ns(5 * ns_per_ms);
    }
    EXPECT_EQ(received, large_count) << "it waits for memory that nobody gives back";
}

INSTANTIATE_TEST_SUITE_P(Seed, FlowRoomTest, testing::Values(1, 2, 3, 4, 5));

}  // namespace
}  // namespace weir::broker
