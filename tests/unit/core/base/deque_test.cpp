// SPDX-License-Identifier: Apache-2.0
//
// What is done to it at random is done to the library's deque as well. That it takes no more memory
// than it states is shown where that is charged (core/broker/stated_sizes_test.cpp).
#include "core/base/deque.hpp"

#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <numeric>
#include <random>

namespace weir {
namespace {

// What is in it is what is in the library's deque to which the same was done.
template <class Small>
::testing::AssertionResult equal(const Small& small, const std::deque<int>& model) {
    if (small.size() != model.size() || small.empty() != model.empty())
        return ::testing::AssertionFailure() << small.size() << " instead of " << model.size();
    if (!std::equal(small.begin(), small.end(), model.begin(), model.end()) ||
        !std::equal(small.rbegin(), small.rend(), model.rbegin(), model.rend()))
        return ::testing::AssertionFailure() << "other things or another order";
    for (std::size_t index = 0; index < model.size(); ++index)
        if (small[index] != model[index]) return ::testing::AssertionFailure() << "at " << index;
    if (!model.empty() && (small.front() != model.front() || small.back() != model.back()))
        return ::testing::AssertionFailure() << "another end";
    return ::testing::AssertionSuccess();
}

template <std::size_t per_block>
void do_random_things(std::uint32_t seed) {
    SCOPED_TRACE(::testing::Message() << "seed " << seed << ", blocks of " << per_block);
    std::mt19937 random(seed);
    Deque<int, per_block> small;
    std::deque<int> model;
    for (int step = 0; step < 1500; ++step) {
        const int thing = static_cast<int>(random() % 1000);
        const auto at = static_cast<std::ptrdiff_t>(random() % (model.size() + 1));
        const auto rest = static_cast<std::ptrdiff_t>(model.size()) - at;
        // Now it grows, now it shrinks.
        switch (random() % (step / 250 % 2 == 0 ? 7 : 10)) {
            case 0:
            case 1: small.push_back(thing), model.push_back(thing); break;
            case 2: small.push_front(thing), model.push_front(thing); break;
            case 3:
            case 4: {
                const auto placed = small.insert(small.begin() + at, thing);
                model.insert(model.begin() + at, thing);
                ASSERT_EQ(placed - small.begin(), at);
                break;
            }
            case 5:
                if (!model.empty()) small.pop_front(), model.pop_front();
                break;
            case 6:
                if (!model.empty()) small.pop_back(), model.pop_back();
                break;
            default: {
                const auto count = rest == 0 ? 0 : static_cast<std::ptrdiff_t>(random() % 5) % rest;
                const auto behind = small.erase(small.begin() + at, small.begin() + at + count);
                model.erase(model.begin() + at, model.begin() + at + count);
                ASSERT_EQ(behind - small.begin(), at);
            }
        }
        ASSERT_TRUE(equal(small, model)) << "step " << step;
    }
    const auto odd = [](int thing) { return thing % 2 != 0; };
    erase_if(small, odd);
    std::erase_if(model, odd);
    ASSERT_TRUE(equal(small, model));
    small.clear();
    ASSERT_TRUE(equal(small, {}));
}

TEST(Deque, HoldsWhatTheLibrarysDequeWouldHold) {
    for (std::uint32_t seed = 1; seed <= 6; ++seed) {
        do_random_things<1>(seed);
        do_random_things<2>(seed);
        do_random_things<8>(seed);
    }
}

TEST(Deque, AlgorithmsFindTheirPlaceInIt) {
    Deque<int, 4> sorted;
    for (int thing = 0; thing < 100; thing += 2) sorted.push_back(thing);
    const auto at = std::lower_bound(sorted.begin(), sorted.end(), 51);
    EXPECT_EQ(*at, 52);
    EXPECT_EQ(*(at - 1), 50);
    EXPECT_EQ(at[1], 54);
    const Deque<int, 4>::const_iterator shown = at;
    EXPECT_EQ(shown - sorted.cbegin(), 26);
    EXPECT_LT(sorted.begin(), at);
}

TEST(Deque, AThingThatLeftIsEnded) {
    const auto thing = std::make_shared<int>(1);
    Deque<std::shared_ptr<int>, 4> deque;
    for (int count = 0; count < 10; ++count) deque.push_back(thing);
    EXPECT_EQ(thing.use_count(), 11);
    deque.pop_front();
    deque.pop_back();
    deque.erase(deque.begin() + 1, deque.begin() + 4);
    EXPECT_EQ(thing.use_count(), 6);
    deque.clear();
    EXPECT_EQ(thing.use_count(), 1);
}

}  // namespace
}  // namespace weir
