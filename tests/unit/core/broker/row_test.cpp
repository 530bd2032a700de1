// SPDX-License-Identifier: Apache-2.0
//
// A row is held against a deque over random turns, and gives back what it held.
#include "core/broker/row.hpp"

#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <random>

namespace weir::broker {
namespace {

using Item = std::shared_ptr<int>;

TEST(Row, BehavesLikeADequeWhateverIsDoneToIt) {
    for (unsigned seed = 1; seed <= 20; ++seed) {
        std::mt19937 random(seed);
        Row<int> row;
        std::deque<int> model;
        for (int turn = 0; turn < 4000; ++turn) {
            const unsigned what = random() % 8;
            const auto some = static_cast<std::ptrdiff_t>(random() % (model.size() + 1));
            if (what < 3) {
                row.push_back(turn);
                model.push_back(turn);
            } else if (what == 3) {
                row.push_front(turn);
                model.push_front(turn);
            } else if (what == 4) {
                row.insert(row.begin() + some, turn);
                model.insert(model.begin() + some, turn);
            } else if (what == 5 && !model.empty()) {
                row.pop_front();
                model.pop_front();
            } else if (what == 6 && turn % 10 == 0) {
                row.erase(row.begin(), row.begin() + some);
                model.erase(model.begin(), model.begin() + some);
            } else if (what == 7 && turn % 10 == 0) {
                row.erase(row.begin() + some, row.end());
                model.erase(model.begin() + some, model.end());
            }
            ASSERT_EQ(std::deque<int>(row.begin(), row.end()), model) << seed << ' ' << turn;
            ASSERT_EQ(row.size(), model.size());
            ASSERT_EQ(row.empty(), model.empty());
            if (!model.empty()) {
                ASSERT_EQ(row.front(), model.front());
                ASSERT_EQ(row.back(), model.back());
            }
        }
    }
}

TEST(Row, WhatWentAtTheFrontIsNotHeldAnyMore) {
    Row<Item> row;
    const Item item = std::make_shared<int>(1);
    for (int count = 0; count < 10; ++count) row.push_back(item);
    row.erase(row.begin(), row.begin() + 4);
    EXPECT_EQ(item.use_count(), 7) << "R1";
    row.pop_front();
    EXPECT_EQ(item.use_count(), 6);
    row.erase(row.begin(), row.end());
    EXPECT_EQ(item.use_count(), 1);
}

}  // namespace
}  // namespace weir::broker
