// SPDX-License-Identifier: Apache-2.0
//
// Values of policies: every form that is read, bounds, and text that comes from anybody.
#include "core/broker/policy_key.hpp"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace weir::broker {
namespace {

constexpr std::uint64_t KiB = 1024;
constexpr std::uint64_t MiB = 1024 * KiB;
constexpr PolicyBudget budget{256 * MiB, 64 * MiB};

struct Reading {
    PolicyKey key;
    const char* text;
    PolicyValue value;
    const char* shown;  // as it is printed again
};

TEST(PolicyKey, EveryFormOfAValueIsReadAndPrintedSoThatItIsReadAgain) {
    const std::vector<Reading> readings{
        {PolicyKey::limit, "64MiB", {64 * MiB}, "64MiB"},
        {PolicyKey::limit, "10%", {256 * MiB / 10 / 4096 * 4096}, "26212KiB"},
        {PolicyKey::limit, "10000", {8192}, "8KiB"},  // a limit is rounded down
        {PolicyKey::limit, "none", {0}, "none"},
        {PolicyKey::reserve, "1MiB", {MiB}, "1MiB"},
        {PolicyKey::reserve, "1000001", {1003520}, "980KiB"},  // a reserve is rounded up
        {PolicyKey::reserve, "0", {8 * KiB}, "8KiB"},          // what a lane needs to turn over
        {PolicyKey::high_water, "1M", {MiB}, "1MiB"},
        {PolicyKey::high_water, "none", {0}, "none"},
        {PolicyKey::page_size, "64K", {64 * KiB}, "64KiB"},
        {PolicyKey::page_size, "auto", {0}, "auto"},
        {PolicyKey::max_message, "100", {100}, "100B"},
        {PolicyKey::max_message, "none", {0}, "none"},
        {PolicyKey::overflow, "block", {0}, "block"},
        {PolicyKey::overflow, "drop-newest", {4}, "drop-newest"},
        {PolicyKey::fail_after, "500ms", {500'000'000}, "500ms"},
        {PolicyKey::fail_after, "2", {2'000'000'000}, "2s"},
        {PolicyKey::flow_to_disk, "never", {1}, "never"},
        {PolicyKey::slow_subscriber, "end", {2}, "end"},
        {PolicyKey::rate, "100MiB/s", {100 * MiB}, "100MiB/s"},
        {PolicyKey::rate, "50000msg/s", {0, 50'000}, "50000msg/s"},
        {PolicyKey::rate, "50000msg/s, 1000B/s", {1000, 50'000}, "1000B/s,50000msg/s"},
        {PolicyKey::rate, "none", {0}, "none"},
        {PolicyKey::max_producers, "12", {12}, "12"},
        {PolicyKey::max_consumers, "4294967295", {4294967295}, "4294967295"},
        {PolicyKey::max_depth, "18446744073709551615", {UINT64_MAX}, "18446744073709551615"},
        {PolicyKey::max_depth, "none", {0}, "none"},
    };
    for (const Reading& reading : readings) {
        const auto value = read_policy_value(reading.key, reading.text, budget);
        ASSERT_TRUE(value) << reading.text << ": " << value.error().sentence;
        EXPECT_EQ(value->number, reading.value.number) << reading.text;
        EXPECT_EQ(value->messages, reading.value.messages) << reading.text;
        Policy policy;
        apply(reading.key, *value, policy);
        EXPECT_EQ(value_in(reading.key, policy), reading.value) << reading.text;
        const std::string shown = policy_value_text(reading.key, policy);
        EXPECT_EQ(shown, reading.shown);
        const auto again = read_policy_value(reading.key, shown, budget);
        ASSERT_TRUE(again) << shown;
        EXPECT_EQ(*again, *value) << shown;
    }
}

TEST(PolicyKey, AShareOfTheLimitFollowsTheLimitAndIsNothingWithoutOne) {
    const auto share = read_policy_value(PolicyKey::high_water, "70%", budget);
    ASSERT_TRUE(share);
    EXPECT_TRUE(share->of_limit);
    Policy policy;
    apply(PolicyKey::high_water, *share, policy);
    EXPECT_EQ(policy.high_water, 0u);
    policy.limit = 10 * MiB;
    apply(PolicyKey::high_water, *share, policy);
    EXPECT_EQ(policy.high_water, 7 * MiB);
    policy.limit = 8 * KiB;
    apply(PolicyKey::high_water, {.number = 100, .of_limit = true}, policy);
    EXPECT_EQ(policy.high_water, 4 * KiB) << "1 % of 8 KiB is a page, not none";
}

TEST(PolicyKey, WhatIsNoValueOfItsKeyIsRefused) {
    const std::vector<std::pair<PolicyKey, const char*>> refusals{
        {PolicyKey::limit, ""},
        {PolicyKey::limit, "64 parsecs"},
        {PolicyKey::limit, "64MiB/s"},
        {PolicyKey::limit, "101%"},
        {PolicyKey::limit, "257MiB"},
        {PolicyKey::limit, "8191"},
        {PolicyKey::limit, "0"},
        {PolicyKey::limit, "auto"},
        {PolicyKey::limit, "default"},
        {PolicyKey::reserve, "none"},
        {PolicyKey::reserve, "1G"},
        {PolicyKey::high_water, "0%"},
        {PolicyKey::high_water, "100"},
        {PolicyKey::page_size, "2K"},
        {PolicyKey::page_size, "12K"},
        {PolicyKey::page_size, "2M"},
        {PolicyKey::page_size, "none"},
        {PolicyKey::max_message, "0"},
        {PolicyKey::max_message, "65M"},
        {PolicyKey::max_message, "10%"},
        {PolicyKey::overflow, "Block"},
        {PolicyKey::overflow, "drop"},
        {PolicyKey::overflow, "0"},
        {PolicyKey::fail_after, "0s"},
        {PolicyKey::fail_after, "500 MiB"},
        {PolicyKey::fail_after, "none"},
        {PolicyKey::flow_to_disk, "yes"},
        {PolicyKey::slow_subscriber, "kill"},
        {PolicyKey::rate, "100MiB"},
        {PolicyKey::rate, "100MiB/s,200MiB/s"},
        {PolicyKey::rate, "1msg/s,2msg/s"},
        {PolicyKey::rate, "100MiB/s,"},
        {PolicyKey::rate, ","},
        {PolicyKey::rate, "0B/s"},
        {PolicyKey::rate, "0msg/s"},
        {PolicyKey::max_producers, "0"},
        {PolicyKey::max_producers, "4294967296"},
        {PolicyKey::max_consumers, "1.5"},
        {PolicyKey::max_depth, "10K"},
        {PolicyKey::max_depth, "18446744073709551616"},
    };
    for (const auto& [key, text] : refusals) {
        const auto value = read_policy_value(key, text, budget);
        ASSERT_FALSE(value) << name_of(key) << " = " << text;
        EXPECT_EQ(value.error().code, PolicyFailure::bad_value);
        EXPECT_FALSE(value.error().sentence.empty());
    }
}

TEST(PolicyKey, AnyTextIsReadOrRefusedAndWhatIsReadIsWithinItsBounds) {
    std::random_device seeds;
    const unsigned seed = seeds();
    std::mt19937 random(seed);
    const std::string alphabet = "0123456789.%,KMGiBsm/autonevrdp-fl \n\0\x1b\xff";
    for (int round = 0; round < 200'000; ++round) {
        std::string text;
        for (std::size_t length = random() % 14; length > 0; --length)
            text += alphabet[random() % alphabet.size()];
        const auto key = static_cast<PolicyKey>(random() % policy_keys);
        const auto value = read_policy_value(key, text, budget);
        if (!value) continue;
        Policy policy;
        policy.limit = 64 * MiB;
        apply(key, *value, policy);
        ASSERT_LE(policy.limit, budget.direct_bytes) << seed << " " << text;
        ASSERT_LE(policy.reserve, budget.direct_bytes) << seed << " " << text;
        ASSERT_LE(policy.largest_message, budget.largest_message) << seed << " " << text;
        ASSERT_LE(policy.page_bytes, MiB) << seed << " " << text;
        ASSERT_EQ(policy.limit % 4096 + policy.reserve % 4096 + policy.high_water % 4096, 0u)
            << seed << " " << text;
        const std::string shown = policy_value_text(key, policy);
        ASSERT_TRUE(read_policy_value(key, shown, budget)) << seed << " " << text << " " << shown;
    }
}

TEST(PolicyKey, NamesAndKeysAreOneToOne) {
    for (std::size_t index = 0; index < policy_keys; ++index) {
        const auto key = static_cast<PolicyKey>(index);
        EXPECT_EQ(policy_key(name_of(key)), key);
    }
    EXPECT_EQ(policy_key("high_water"), std::nullopt);
    EXPECT_EQ(policy_key(""), std::nullopt);
}

}  // namespace
}  // namespace weir::broker
