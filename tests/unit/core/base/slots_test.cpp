// SPDX-License-Identifier: Apache-2.0
//
// Objects by slot: gone through in order, erased meanwhile, found free. At the edges of the words
// of bits a mistake would show.
#include "core/base/slots.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

namespace weir {
namespace {

// Counts how many of its kind there are.
struct Thing {
    Thing(std::size_t in_slot, int& alive_now) : slot(in_slot), alive(alive_now) { ++alive; }
    ~Thing() { --alive; }
    Thing(const Thing&) = delete;
    Thing& operator=(const Thing&) = delete;
    const std::size_t slot;
    int& alive;
};

using Numbers = std::vector<std::size_t>;

class SlotsTest : public testing::Test {
protected:
    void put(std::size_t slot) { slots_.put(slot, std::make_unique<Thing>(slot, alive_)); }
    Numbers seen_from(std::size_t first) const {
        Numbers seen;
        for (auto at = slots_.from(first); at != slots_.end(); ++at) seen.push_back(at->slot);
        return seen;
    }

    int alive_ = 0;
    Slots<Thing> slots_{130};  // two whole words of bits and two bits of a third
};

TEST_F(SlotsTest, GoesThroughThoseInUseInOrder) {
    EXPECT_EQ(seen_from(0), Numbers{});
    for (std::size_t slot : Numbers{129, 0, 63, 64, 127, 128, 5}) put(slot);
    EXPECT_EQ(seen_from(0), (Numbers{0, 5, 63, 64, 127, 128, 129}));
    EXPECT_EQ(seen_from(64), (Numbers{64, 127, 128, 129}));
    EXPECT_EQ(seen_from(65), (Numbers{127, 128, 129}));
    EXPECT_EQ(seen_from(129), Numbers{129});
    EXPECT_EQ(seen_from(130), Numbers{});
}

TEST_F(SlotsTest, ErasesAnObjectAndFreesItsSlot) {
    put(7);
    EXPECT_EQ(slots_[7]->slot, 7u);
    slots_.erase(7);
    EXPECT_EQ(alive_, 0);
    EXPECT_EQ(slots_[7], nullptr);
    EXPECT_EQ(seen_from(0), Numbers{});
    put(7);
    EXPECT_EQ(seen_from(0), Numbers{7});
}

TEST_F(SlotsTest, AnyMayBeErasedWhileTheyAreGoneThrough) {
    for (std::size_t slot : Numbers{1, 2, 70, 71}) put(slot);
    Numbers seen;
    for (const Thing& thing : slots_) {
        const std::size_t slot = thing.slot;
        seen.push_back(slot);
        slots_.erase(slot);
        if (slot == 1) slots_.erase(70);
    }
    EXPECT_EQ(seen, (Numbers{1, 2, 71}));
    EXPECT_EQ(alive_, 0);
}

TEST_F(SlotsTest, FindsTheLowestFreeSlotThatFits) {
    EXPECT_EQ(slots_.free_slot(), 0u);
    for (std::size_t slot = 0; slot < slots_.size(); ++slot)
        if (slot != 66 && slot != 100) put(slot);
    EXPECT_EQ(slots_.free_slot(), 66u);
    EXPECT_EQ(slots_.free_slot([](std::size_t slot) { return slot > 66; }), 100u);
    EXPECT_FALSE(slots_.free_slot([](std::size_t slot) { return slot > 100; }));
    put(66);
    put(100);
    EXPECT_FALSE(slots_.free_slot());
}

TEST_F(SlotsTest, ATableOfNothingHasNothing) {
    const Slots<Thing> none;
    EXPECT_EQ(none.begin(), none.end());
    EXPECT_FALSE(none.free_slot());
}

TEST_F(SlotsTest, AnObjectIsNotPutWhereOneIs) {
    put(3);
    EXPECT_DEATH(put(3), "objects_");
    EXPECT_DEATH(slots_.put(4, nullptr), "object != nullptr");
}

}  // namespace
}  // namespace weir
