// SPDX-License-Identifier: Apache-2.0
//
// Histogram: percentiles by nearest rank, exact where buckets are, never too good elsewhere.
#include "bench/probes/histogram.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <vector>

namespace weir::bench {
namespace {

constexpr std::uint64_t p50 = 500'000;
constexpr std::uint64_t p99 = 990'000;
constexpr std::uint64_t p999 = 999'000;
constexpr std::uint64_t whole = 1'000'000;

// A tenth of a megabyte: not for the stack.
std::unique_ptr<Histogram> of(const std::vector<std::uint64_t>& values) {
    auto histogram = std::make_unique<Histogram>();
    for (std::uint64_t value : values) histogram->record(value);
    return histogram;
}

TEST(Histogram, NamesTheExactPercentilesOfOneToAThousand) {
    auto histogram = std::make_unique<Histogram>();
    for (std::uint64_t value = 1000; value >= 1; --value) histogram->record(value);
    EXPECT_EQ(histogram->samples(), 1000u);
    EXPECT_EQ(histogram->percentile(p50), 500u);
    EXPECT_EQ(histogram->percentile(p99), 990u);
    EXPECT_EQ(histogram->percentile(p999), 999u);
    EXPECT_EQ(histogram->percentile(whole), 1000u);
    EXPECT_EQ(histogram->percentile(0), 1u) << "the least sample";
    EXPECT_EQ(histogram->max(), 1000u);
    EXPECT_EQ(histogram->total(), 500'500u);
}

TEST(Histogram, TakesTheNearestRankOfAFewSamples) {
    EXPECT_EQ(of({7})->percentile(p50), 7u);
    EXPECT_EQ(of({7})->percentile(p999), 7u);
    EXPECT_EQ(of({1, 2})->percentile(p50), 1u);
    EXPECT_EQ(of({1, 2, 3})->percentile(p50), 2u);
    EXPECT_EQ(of({1, 2, 3, 4})->percentile(p99), 4u);
}

TEST(Histogram, IsZeroWithoutSamples) {
    EXPECT_EQ(of({})->percentile(p50), 0u);
    EXPECT_EQ(of({})->max(), 0u);
}

TEST(Histogram, IsNeverTooGoodAndAtMostAThousandthTooBad) {
    std::mt19937_64 random(20'240'601);
    std::vector<std::uint64_t> values;
    for (int i = 0; i < 20'000; ++i) values.push_back(random() >> (random() % 40 + 24));
    auto histogram = of(values);
    std::sort(values.begin(), values.end());
    for (std::uint64_t ppm : {1'000u, 250'000u, 500'000u, 900'000u, 990'000u, 999'000u, 999'900u}) {
        std::uint64_t exact = values[(values.size() * ppm + whole - 1) / whole - 1];
        std::uint64_t told = histogram->percentile(ppm);
        EXPECT_GE(told, exact) << "at " << ppm;
        EXPECT_LE(told, exact + exact / 1000) << "at " << ppm;
    }
}

TEST(Histogram, PutsEveryHighestValueIntoItsOwnBucket) {
    for (std::size_t bucket = 0; bucket < Histogram::bucket_count; ++bucket) {
        ASSERT_EQ(Histogram::bucket_of(Histogram::highest_of(bucket)), bucket);
        if (bucket == 0) continue;
        ASSERT_EQ(Histogram::bucket_of(Histogram::highest_of(bucket - 1) + 1), bucket);
    }
}

TEST(Histogram, KeepsTheMaximumOfValuesBeyondItsBuckets) {
    auto histogram = of({5, std::uint64_t{1} << 50});
    EXPECT_EQ(histogram->percentile(p50), 5u);
    EXPECT_EQ(histogram->percentile(p999), std::uint64_t{1} << 50);
}

TEST(Histogram, SumsWhatLiesAboveALimit) {
    EXPECT_EQ(of({10, 20, 1000, 2000})->total_above(100), 3000u);
    EXPECT_EQ(of({10, 20})->total_above(100), 0u);
}

TEST(Histogram, AddsAnotherOne) {
    auto one = of({1, 2, 3});
    one->add(*of({100}));
    EXPECT_EQ(one->samples(), 4u);
    EXPECT_EQ(one->percentile(whole), 100u);
    EXPECT_EQ(one->total(), 106u);
}

}  // namespace
}  // namespace weir::bench
