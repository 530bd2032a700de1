// SPDX-License-Identifier: Apache-2.0
//
// Finding a page in a chain that the broker changes at the same time. Claiming is in
// claims_test.cpp and in the stress test of that name.
#include "shm/shared_reader.hpp"

#include <gtest/gtest.h>

#include <thread>

#include "tests/support/lane_stage.hpp"

namespace weir::test {
namespace {

// The broker as far as a chain knows it: it stores what lane_pages.cpp stores, in that order.
class Chain {
public:
    Chain(PageSlot* slots, LaneSlot& lane) : slots_(slots), lane_(&lane) {}

    void prepare(PageRef page, Position start, PageRef next, LaneId lane = 0) {
        slot(page).next.store(0, std::memory_order_release);
        slot(page).units.store(1, std::memory_order_release);
        slot(page).lane.store(lane, std::memory_order_relaxed);
        slot(page).start.store(start, std::memory_order_release);
        slot(page).next.store(next, std::memory_order_release);
    }
    void begin_with(PageRef page) { lane_->first_page.store(page, std::memory_order_release); }
    void free(PageRef page) { slot(page).start.store(0, std::memory_order_release); }

private:
    PageSlot& slot(PageRef page) { return slots_[unit_of_ref(page)]; }
    PageSlot* slots_;
    LaneSlot* lane_;
};

// A page that is pinned is found whatever goes in front of it, and whoever gets that memory next.
TEST(SharedReader, FindsAPageWhileThoseBeforeItComeAndGo) {
    constexpr int rounds = 1'000'000;
    constexpr Position pinned_start = Position{1} << 40;
    constexpr Position foreign_start = Position{1} << 41;
    const PageRef going = ref_of_unit(0);
    const PageRef between = ref_of_unit(1);
    const PageRef pinned = ref_of_unit(2);
    const PageRef foreign = ref_of_unit(3);
    std::vector<std::byte> nothing_of_it_is_read(1);
    std::vector<PageSlot> slots(4);
    LaneSlot lane{};
    const PageView pages{nothing_of_it_is_read.data(), slots.data(), slots.size()};
    Chain chain(slots.data(), lane);
    chain.prepare(foreign, foreign_start, 0);
    chain.prepare(pinned, pinned_start, 0);
    chain.prepare(between, pinned_start - page_unit, pinned);
    chain.begin_with(between);

    std::atomic<bool> over = false;
    std::thread broker([&] {
        for (int round = 0; round < rounds; ++round) {
            // Positions never come twice.
            const Position start = position_first + static_cast<Position>(round) * page_unit;
            chain.prepare(going, start, between);
            chain.begin_with(going);
            chain.begin_with(between);
            chain.free(going);
            // Another lane's, which has positions of its own.
            chain.prepare(going, start, foreign, 1);
            chain.free(going);
        }
        over = true;
    });
    std::uint64_t looks = 0;
    std::uint64_t missed = 0;
    do {
        ++looks;
        if (page_of(pages, lane, pinned_start + 8) != pinned) ++missed;
        if (page_of(pages, lane, pinned_start + 2 * page_unit) != 0) ++missed;
    } while (!over);
    broker.join();
    EXPECT_EQ(missed, 0u) << "of " << looks;
}

}  // namespace
}  // namespace weir::test
