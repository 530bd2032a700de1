// SPDX-License-Identifier: Apache-2.0
//
// The order of patterns, and where two of them meet, also against a search through all small names.
#include "core/broker/pattern_order.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "core/protocol/names.hpp"

namespace weir::broker {
namespace {

using Names = std::vector<std::string>;

// All words over the alphabet, as names or patterns of up to `words_max` words.
Names all_of(const Names& alphabet, std::size_t words_max) {
    Names all;
    const std::function<void(std::string, std::size_t)> grow = [&](std::string name,
                                                                   std::size_t words) {
        for (const std::string& word : alphabet) {
            const std::string longer = name + (words == 0 ? "" : ".") + word;
            all.push_back(longer);
            if (word != ">" && words + 1 < words_max) grow(longer, words + 1);
        }
    };
    grow("queue://", 0);
    return all;
}

TEST(PatternOrder, IsTheOneThatItsFileDraws) {
    const Names order{"queue://orders.eu.paid",
                      "queue://orders.eu.*",
                      "queue://orders.eu.>",
                      "queue://orders.*.paid",
                      "queue://orders.*.*",
                      "queue://orders.*.>",
                      "queue://orders.>",
                      "queue://*.eu.paid",
                      "queue://*.>",
                      "queue://>"};
    for (std::size_t one = 0; one < order.size(); ++one) {
        ASSERT_TRUE(matches(order[one], "queue://orders.eu.paid")) << order[one];
        for (std::size_t other = 0; other < order.size(); ++other)
            EXPECT_EQ(more_specific(order[one], order[other]), one < other)
                << order[one] << " and " << order[other];
    }
}

// O1, for every small name and every pattern that means it.
TEST(PatternOrder, IsTotalForThePatternsOfOneDestination) {
    const Names patterns = all_of({"a", "b", "*", ">"}, 3);
    for (const std::string& name : all_of({"a", "b"}, 3)) {
        Names there;
        for (const std::string& pattern : patterns)
            if (matches(pattern, name)) there.push_back(pattern);
        for (const std::string& one : there)
            for (const std::string& other : there) {
                const int decided = more_specific(one, other) + more_specific(other, one);
                EXPECT_EQ(decided, one == other ? 0 : 1) << one << " " << other << " " << name;
            }
        EXPECT_EQ(*std::min_element(there.begin(), there.end(), more_specific), name);
    }
}

TEST(PatternOrder, TwoPatternsMeetInWhatBothMean) {
    const Names patterns = all_of({"a", "b", "*", ">"}, 3);
    const Names names = all_of({"a", "b", "c"}, 4);
    for (const std::string& one : patterns)
        for (const std::string& other : patterns) {
            const auto meeting = meeting_of(one, other);
            for (const std::string& name : names)
                ASSERT_EQ(meeting && matches(*meeting, name),
                          matches(one, name) && matches(other, name))
                    << one << " " << other << " " << meeting.value_or("-") << " " << name;
        }
    EXPECT_FALSE(meeting_of("queue://>", "topic://>"));
    EXPECT_EQ(meeting_of("queue://a.*.>", "queue://*.b.c"), "queue://a.b.c");
}

TEST(PatternOrder, ExamplesAreMeantByTheirPatternAndByNoOtherThatDoesNotCoverIt) {
    EXPECT_EQ(examples_of("queue://a.b", 5), Names{"queue://a.b"});
    EXPECT_EQ(examples_of("queue://a.*", 5), Names{"queue://a.+"});
    EXPECT_EQ(examples_of("queue://a.>", 4),
              (Names{"queue://a.+", "queue://a.+.+", "queue://a.+.+.+"}));
    for (const std::string& name : examples_of("topic://*.b.>", 6)) {
        EXPECT_TRUE(matches("topic://*.b.>", name)) << name;
        EXPECT_TRUE(matches("topic://>", name)) << name;
        EXPECT_FALSE(matches("topic://a.>", name)) << name;
    }
}

TEST(PatternOrder, KnowsExactNamesAndCountsWords) {
    EXPECT_TRUE(is_exact("queue://a.b"));
    EXPECT_FALSE(is_exact("queue://a.*"));
    EXPECT_FALSE(is_exact("queue://>"));
    EXPECT_EQ(words_in("queue://a"), 1u);
    EXPECT_EQ(words_in("queue://a.b.>"), 3u);
}

}  // namespace
}  // namespace weir::broker
