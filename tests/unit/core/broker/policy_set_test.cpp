// SPDX-License-Identifier: Apache-2.0
//
// Rules by pattern: which holds for a destination and why, what was set at run time, and sets that
// cannot hold. N1 to N3 are those of policy_set.hpp.
#include "core/broker/policy_set.hpp"

#include <gtest/gtest.h>

#include <random>

#include "core/broker/pattern_order.hpp"

namespace weir::broker {
namespace {

constexpr std::uint64_t KiB = 1024;
constexpr std::uint64_t MiB = 1024 * KiB;
constexpr PolicyBudget budget{256 * MiB, 64 * MiB};

// Rules as a file has them: a line of its own for each match and each value.
std::vector<RuleText> rules_of(
    const std::vector<std::pair<std::string, std::vector<std::array<std::string, 2>>>>& written) {
    std::vector<RuleText> rules;
    int line = 0;
    const auto place = [&line] { return "w.toml:" + std::to_string(++line); };
    for (const auto& [match, values] : written) {
        RuleText rule{match, place(), {}};
        for (const auto& [key, text] : values) rule.values.push_back({key, text, place()});
        rules.push_back(rule);
    }
    return rules;
}

PolicySet set_of(const std::vector<RuleText>& rules) {
    auto set = PolicySet(budget).with_file(rules);
    EXPECT_TRUE(set) << set.error().sentence;
    return set ? *set : PolicySet(budget);
}

std::string refusal(const std::vector<RuleText>& rules, PolicyFailure code) {
    auto set = PolicySet(budget).with_file(rules);
    EXPECT_FALSE(set) << "it was taken";
    if (set) return "";
    EXPECT_EQ(set.error().code, code) << set.error().sentence;
    return set.error().sentence;
}

Result<PolicySet, PolicyError> set(const PolicySet& before, const std::string& pattern,
                                   const std::string& assignments) {
    auto values = read_assignments(assignments);
    if (!values) return fail(values.error());
    return before.with(pattern, *values);
}

TEST(PolicySet, WhatNobodySaidIsTheDefault) {
    const ResolvedPolicy resolved = PolicySet(budget).resolve("queue://orders");
    EXPECT_EQ(resolved.policy.limit, 0u);
    EXPECT_EQ(resolved.policy.reserve, reserve_default);
    EXPECT_EQ(resolved.policy.high_water, 0u);
    EXPECT_EQ(resolved.policy.overflow, Overflow::block);
    for (const PolicySource& source : resolved.sources) {
        EXPECT_EQ(source.origin, PolicyOrigin::by_default);
        EXPECT_EQ(source.pattern, "");
    }
}

TEST(PolicySet, TheMostSpecificPatternThatSpeaksOfAKeyWinsKeyByKey) {
    const PolicySet policies = set_of(rules_of({
        {"queue://>", {{"limit", "100MiB"}, {"max-depth", "1000"}, {"overflow", "fail"}}},
        {"orders.>", {{"limit", "50%"}, {"reserve", "2MiB"}}},
        {"queue://orders.*", {{"reserve", "1MiB"}}},
        {"queue://orders.eu", {{"limit", "10MiB"}}},
        {"topic://>", {{"max-depth", "5"}}},
    }));
    const ResolvedPolicy eu = policies.resolve("queue://orders.eu");
    EXPECT_EQ(eu.policy.limit, 10 * MiB);
    EXPECT_EQ(eu.policy.reserve, MiB);
    EXPECT_EQ(eu.policy.max_depth, 1000u);
    EXPECT_EQ(eu.policy.overflow, Overflow::fail);
    EXPECT_EQ(eu.policy.high_water, 7 * MiB);
    EXPECT_EQ(eu.source(PolicyKey::limit).pattern, "queue://orders.eu");
    EXPECT_EQ(eu.source(PolicyKey::limit).place, "w.toml:11");
    EXPECT_EQ(eu.source(PolicyKey::reserve).pattern, "queue://orders.*");
    EXPECT_EQ(eu.source(PolicyKey::reserve).place, "w.toml:9");
    EXPECT_EQ(eu.source(PolicyKey::overflow).pattern, "queue://>");
    EXPECT_EQ(eu.source(PolicyKey::overflow).origin, PolicyOrigin::file);
    EXPECT_EQ(eu.source(PolicyKey::high_water).origin, PolicyOrigin::by_default);
    // Two words below orders: the pattern with `*` does not mean it.
    const ResolvedPolicy deep = policies.resolve("queue://orders.eu.paid");
    EXPECT_EQ(deep.policy.limit, 128 * MiB);
    EXPECT_EQ(deep.source(PolicyKey::limit).written, "50%");
    EXPECT_EQ(deep.policy.reserve, 2 * MiB);
    EXPECT_EQ(policies.policy_of("topic://orders.eu").max_depth, 5u);
    EXPECT_EQ(policies.policy_of("topic://orders.eu").limit, 0u);
}

TEST(PolicySet, AMoreSpecificNoneLiftsWhatAWiderPatternLimits) {
    const PolicySet policies =
        set_of(rules_of({{"queue://>", {{"limit", "1MiB"}, {"rate", "1msg/s"}}},
                         {"queue://free", {{"limit", "none"}, {"rate", "none"}}}}));
    EXPECT_EQ(policies.policy_of("queue://free").limit, 0u);
    EXPECT_EQ(policies.policy_of("queue://free").rate_messages, 0u);
    EXPECT_EQ(policies.policy_of("queue://other").limit, MiB);
}

TEST(PolicySet, TheOrderInTheFileMeansNothing) {
    auto rules = rules_of({{"queue://>", {{"limit", "100MiB"}}},
                           {"queue://a.>", {{"limit", "50MiB"}}},
                           {"queue://a.b", {{"limit", "10MiB"}}}});
    const std::uint64_t limit = set_of(rules).policy_of("queue://a.b").limit;
    std::reverse(rules.begin(), rules.end());
    EXPECT_EQ(set_of(rules).policy_of("queue://a.b").limit, limit);
    EXPECT_EQ(limit, 10 * MiB);
}

TEST(PolicySet, TwoBlocksOfOnePatternCompleteEachOtherAndNeverSayAKeyTwice) {
    EXPECT_EQ(set_of(rules_of({{"queue://a", {{"limit", "1MiB"}}}, {"a", {{"reserve", "64K"}}}}))
                  .policy_of("queue://a")
                  .reserve,
              64 * KiB);
    const std::string sentence =
        refusal(rules_of({{"queue://a", {{"limit", "1MiB"}}}, {"a", {{"limit", "1MiB"}}}}),
                PolicyFailure::given_twice);
    EXPECT_EQ(sentence,
              "w.toml:4: limit of queue://a is said already at w.toml:2: leave one of them");
}

TEST(PolicySet, WhatIsNoRuleIsRefusedWithItsLine) {
    EXPECT_TRUE(refusal(rules_of({{"queue://a", {{"limt", "1MiB"}}}}), PolicyFailure::unknown_key)
                    .starts_with("w.toml:2: \"limt\" is no key of a policy: there are limit, "));
    EXPECT_TRUE(refusal(rules_of({{"queue://a", {{"rate", "5MiB"}}}}), PolicyFailure::bad_value)
                    .starts_with("w.toml:2: rate = 5MiB: \"5MiB\" is not a rate"));
    for (const char* const match : {"queue://a..b", "kew://a", "", "queue://a?x=1", "a.>.b"})
        EXPECT_TRUE(refusal(rules_of({{match, {{"limit", "1MiB"}}}}), PolicyFailure::bad_pattern)
                        .starts_with("w.toml:1: "))
            << match;
    EXPECT_TRUE(refusal(rules_of({{"queue://a", {}}}), PolicyFailure::bad_value)
                    .starts_with("w.toml:1: the policy for queue://a says nothing"));
    // What takes a value back at run time is no value of a file.
    refusal(rules_of({{"queue://a", {{"limit", "default"}}}}), PolicyFailure::bad_value);
}

TEST(PolicySet, ValuesThatCannotHoldTogetherAreRefusedWithBothLines) {
    EXPECT_EQ(refusal(rules_of({{"queue://a", {{"limit", "1MiB"}, {"reserve", "2MiB"}}}}),
                      PolicyFailure::does_not_hold),
              "w.toml:3: for queue://a reserve = 2MiB (w.toml:3) is more than limit = 1MiB "
              "(w.toml:2): lower it or raise the limit");
    for (const auto& [key, text] :
         {std::pair("high-water", "2MiB"), {"page-size", "1M"}, {"max-message", "512K"}})
        refusal(rules_of({{"queue://a", {{"limit", "512K"}, {key, text}}}}),
                PolicyFailure::does_not_hold);
    // The page of a message takes a little more than the message.
    set_of(rules_of({{"queue://a", {{"limit", "512K"}, {"max-message", "500K"}}}}));
    const std::string sentence = refusal(rules_of({{"queue://a.>", {{"overflow", "fail-after"}}}}),
                                         PolicyFailure::does_not_hold);
    EXPECT_TRUE(sentence.starts_with("w.toml:2: for queue://a.> overflow = fail-after"))
        << sentence;
    set_of(rules_of(
        {{"queue://>", {{"fail-after", "1s"}}}, {"queue://a.>", {{"overflow", "fail-after"}}}}));
}

// N1 where neither pattern covers the other, and where a third one saves them.
TEST(PolicySet, ValuesOfTwoPatternsAreHeldAgainstEachOtherWhereTheyMeet) {
    const std::vector<std::pair<std::string, std::vector<std::array<std::string, 2>>>> crossing{
        {"queue://a.*", {{"limit", "1MiB"}}}, {"queue://*.b", {{"reserve", "2MiB"}}}};
    EXPECT_TRUE(refusal(rules_of(crossing), PolicyFailure::does_not_hold)
                    .starts_with("w.toml:4: for queue://a.b reserve = 2MiB"));
    auto saved = crossing;
    saved.push_back({"queue://a.b", {{"limit", "4MiB"}}});
    set_of(rules_of(saved));
    // They never meet.
    set_of(
        rules_of({{"queue://a.*", {{"limit", "1MiB"}}}, {"queue://b.>", {{"reserve", "2MiB"}}}}));
    set_of(rules_of({{"queue://>", {{"limit", "1MiB"}}}, {"topic://>", {{"reserve", "2MiB"}}}}));
    // Of names with two words only one pattern takes the limit back.
    refusal(rules_of({{"queue://>", {{"limit", "1MiB"}, {"reserve", "2MiB"}}},
                      {"queue://*.*", {{"limit", "none"}}},
                      {"queue://*", {{"limit", "none"}}}}),
            PolicyFailure::does_not_hold);
}

// N1 against a search through all small names.
TEST(PolicySet, ASetIsRefusedExactlyWhenItFailsSomeDestination) {
    std::random_device seeds;
    const unsigned seed = seeds();
    std::mt19937 random(seed);
    const std::vector<std::string> patterns{
        "queue://a",   "queue://b",   "queue://*",   "queue://>",   "queue://a.a",  "queue://a.*",
        "queue://*.a", "queue://a.>", "queue://*.>", "queue://*.*", "queue://a.*.a"};
    std::vector<std::string> names;
    const std::array<std::string, 3> words{"a", "b", "c"};
    for (const auto& one : words) {
        names.push_back("queue://" + one);
        for (const auto& two : words) {
            names.push_back("queue://" + one + "." + two);
            for (const auto& three : words) {
                names.push_back("queue://" + one + "." + two + "." + three);
                for (const auto& four : words)
                    names.push_back("queue://" + one + "." + two + "." + three + "." + four);
            }
        }
    }
    const std::array<std::string, 3> sizes{"64K", "128K", "256K"};
    int refused = 0;
    for (int round = 0; round < 3000; ++round) {
        std::map<std::string, RuleText> rules;
        for (int entry = 0; entry < 5; ++entry) {
            const std::string& pattern = patterns[random() % patterns.size()];
            const std::string key = random() % 2 == 0 ? "limit" : "reserve";
            RuleText& rule = rules[pattern];
            rule.match = pattern;
            if (rule.values.empty() || rule.values.back().key != key)
                if (rule.values.size() < 2 && (rule.values.empty() || rule.values[0].key != key))
                    rule.values.push_back({key, sizes[random() % sizes.size()], "w.toml:1"});
        }
        // Each value as it would hold if nothing were judged: limit and reserve in sets of their
        // own.
        std::vector<RuleText> all;
        std::vector<RuleText> limits;
        std::vector<RuleText> reserves;
        for (const auto& [pattern, rule] : rules) {
            all.push_back(rule);
            for (const auto& value : rule.values)
                (value.key == "limit" ? limits : reserves).push_back({pattern, "", {value}});
        }
        const PolicySet limit = set_of(limits);
        const PolicySet reserve = set_of(reserves);
        const bool fails = std::any_of(names.begin(), names.end(), [&](const std::string& name) {
            const std::uint64_t most = limit.policy_of(name).limit;
            return most != 0 && reserve.policy_of(name).reserve > most;
        });
        refused += fails ? 1 : 0;
        ASSERT_EQ(!PolicySet(budget).with_file(all), fails) << "seed " << seed;
    }
    EXPECT_GT(refused, 100) << "seed " << seed;
}

TEST(PolicySet, ReservesOfNamedDestinationsMustFitIntoDirectMemoryTogether) {
    set_of(rules_of({{"queue://a", {{"reserve", "50%"}}}, {"topic://b", {{"reserve", "50%"}}}}));
    const std::string sentence = refusal(
        rules_of({{"queue://a", {{"reserve", "200MiB"}}}, {"queue://b", {{"reserve", "57MiB"}}}}),
        PolicyFailure::does_not_hold);
    EXPECT_TRUE(sentence.starts_with("w.toml:4: with reserve = 57MiB (w.toml:4) of queue://b"))
        << sentence;
    EXPECT_NE(sentence.find("257 MiB together, and direct memory is 256 MiB"), std::string::npos)
        << sentence;
    // A pattern's reserve counts for each name that is known.
    refusal(rules_of({{"queue://>", {{"reserve", "100MiB"}}},
                      {"queue://a", {{"max-depth", "1"}}},
                      {"queue://b", {{"max-depth", "1"}}},
                      {"queue://c", {{"max-depth", "1"}}}}),
            PolicyFailure::does_not_hold);
}

TEST(PolicySet, WhatIsSetAtRunTimeHoldsOverTheFileUntilItIsTakenBack) {
    const PolicySet file =
        set_of(rules_of({{"queue://a.>", {{"limit", "8MiB"}, {"reserve", "1MiB"}}}}));
    auto changed = set(file, "a.>", "limit=4MiB\noverflow=fail");
    ASSERT_TRUE(changed) << changed.error().sentence;
    EXPECT_EQ(file.policy_of("queue://a.b").limit, 8 * MiB) << "the old set is as it was";
    const ResolvedPolicy resolved = changed->resolve("queue://a.b");
    EXPECT_EQ(resolved.policy.limit, 4 * MiB);
    EXPECT_EQ(resolved.policy.reserve, MiB);
    EXPECT_EQ(resolved.policy.overflow, Overflow::fail);
    EXPECT_EQ(resolved.source(PolicyKey::limit).origin, PolicyOrigin::run_time);
    EXPECT_EQ(resolved.source(PolicyKey::reserve).origin, PolicyOrigin::file);

    // The file is read again and says something else below it.
    auto again = changed->with_file(rules_of({{"queue://a.>", {{"limit", "16MiB"}}}}));
    ASSERT_TRUE(again) << again.error().sentence;
    EXPECT_EQ(again->policy_of("queue://a.b").limit, 4 * MiB);
    EXPECT_EQ(again->policy_of("queue://a.b").reserve, reserve_default);
    auto back = set(*again, "queue://a.>", "limit=default\noverflow=default");
    ASSERT_TRUE(back) << back.error().sentence;
    EXPECT_EQ(back->policy_of("queue://a.b").limit, 16 * MiB);
    EXPECT_EQ(back->policy_of("queue://a.b").overflow, Overflow::block);
    EXPECT_TRUE(set(*set(PolicySet(budget), "b", "limit=1M"), "b", "limit=default")->empty());
}

TEST(PolicySet, AMoreSpecificPatternOfTheFileStandsAboveAWiderOneSetAtRunTime) {
    const PolicySet file = set_of(rules_of({{"queue://a.b", {{"limit", "8MiB"}}}}));
    const auto changed = set(file, "queue://>", "limit=4MiB");
    ASSERT_TRUE(changed);
    EXPECT_EQ(changed->policy_of("queue://a.b").limit, 8 * MiB);
    EXPECT_EQ(changed->policy_of("queue://a.c").limit, 4 * MiB);
}

TEST(PolicySet, AChangeThatCannotHoldIsRefusedWithTheReason) {
    const PolicySet file = set_of(rules_of({{"queue://a", {{"reserve", "8MiB"}}}}));
    const auto changed = set(file, "queue://>", "limit=4MiB");
    ASSERT_FALSE(changed);
    EXPECT_EQ(changed.error().code, PolicyFailure::does_not_hold);
    EXPECT_EQ(changed.error().sentence,
              "w.toml:2: for queue://a reserve = 8MiB (w.toml:2) is more than limit = 4MiB (set at "
              "run time): lower it or raise the limit");
    EXPECT_FALSE(set(file, "queue://b", "reserve=249MiB"));
    for (const char* const text : {"", "limit", "limit=", "=4M", "limit=4M\n", "limit=4M\nlimit=5M",
                                   "limits=4M", "limit=4X", "limit = 4M"})
        EXPECT_FALSE(set(file, "queue://b", text)) << text;
    for (const char* const pattern : {"", "queue://", "queue://b?x=1", "a.>.b", "x://b"})
        EXPECT_FALSE(set(file, pattern, "limit=4M")) << pattern;
}

TEST(PolicySet, MoreRulesThanABrokerTakesAreRefused) {
    PolicySet policies(budget);
    for (int number = 0; number < 256; ++number) {
        auto next = set(policies, "queue://q" + std::to_string(number), "max-depth=1");
        ASSERT_TRUE(next) << number << " " << next.error().sentence;
        policies = std::move(*next);
    }
    EXPECT_GT(policies.memory_bytes(), 256u * 200);
    const auto one_more = set(policies, "queue://q256", "max-depth=1");
    ASSERT_FALSE(one_more);
    EXPECT_EQ(one_more.error().code, PolicyFailure::too_many);
    EXPECT_TRUE(set(policies, "queue://q255", "max-depth=2")) << "a change of one is no more";
}

}  // namespace
}  // namespace weir::broker
