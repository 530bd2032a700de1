// SPDX-License-Identifier: Apache-2.0
//
// What is on disk of a lane costs an entry per run, and nothing per page or
// message.
#include "core/broker/spilled_runs.hpp"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace weir::broker {
namespace {

using SpilledRun = Run;  // tests have a member of that name

constexpr std::uint32_t page_units = 16;  // 64 KiB
constexpr std::uint64_t page_bytes = page_units * page_unit;

SpilledRun page_at(std::uint64_t number, std::uint32_t file, std::uint64_t place) {
    return {
        number * page_bytes, {file, static_cast<std::uint32_t>(place * page_units)}, page_units, 1};
}

TEST(SpilledRuns, NeighboursInLaneAndFileAreOneRunWhicheverComesLast) {
    SpilledRuns runs;
    runs.add(page_at(10, 1, 0));
    runs.add(page_at(12, 1, 2));
    EXPECT_EQ(runs.size(), 2U);
    runs.add(page_at(11, 1, 1));
    ASSERT_EQ(runs.size(), 1U);
    EXPECT_EQ(runs.all().front().pages, 3U);
    EXPECT_EQ(runs.bytes(), 3 * page_bytes);
}

TEST(SpilledRuns, OtherFilesOtherPlacesAndOtherSizesAreOtherRuns) {
    SpilledRuns runs;
    runs.add(page_at(10, 1, 0));
    runs.add(page_at(11, 2, 1));
    runs.add(page_at(12, 2, 5));
    auto large = page_at(13, 2, 6);
    large.page_units *= 2;
    runs.add(large);
    EXPECT_EQ(runs.size(), 4U);
}

TEST(SpilledRuns, TheFrontOfARunComesBackAndTheRestStays) {
    SpilledRuns runs;
    for (std::uint64_t number = 0; number < 8; ++number) runs.add(page_at(100 + number, 3, number));
    const auto front = runs.take_front(100 * page_bytes, 3);
    EXPECT_EQ(front.pages, 3U);
    EXPECT_EQ(front.extent.unit, 0U);
    ASSERT_EQ(runs.size(), 1U);
    EXPECT_EQ(runs.all().front().start, 103 * page_bytes);
    EXPECT_EQ(runs.all().front().extent.unit, 3 * page_units);
    EXPECT_EQ(runs.take_front(103 * page_bytes, 100).pages, 5U) << "at most what is there";
    EXPECT_TRUE(runs.empty());
    EXPECT_EQ(runs.bytes(), 0U);
}

// Against a map of single pages: where each one is, and that runs are as few as
// they can be (U1).
TEST(SpilledRuns, AreWhatAMapOfPagesSaysThroughAnySequence) {
    std::mt19937_64 random(20251126);
    for (int round = 0; round < 200; ++round) {
        SpilledRuns runs;
        std::map<std::uint64_t, std::uint64_t>
            model;  // number of the page in the lane: in the file
        for (int step = 0; step < 60; ++step) {
            const std::uint64_t number = random() % 40;
            if (random() % 3 != 0) {
                // Mostly in the order of the lane.
                const std::uint64_t place = random() % 4 != 0 ? number : 50 + random() % 10;
                if (model.try_emplace(number, place).second) runs.add(page_at(number, 1, place));
            } else if (const SpilledRun* const run = runs.first_from(number * page_bytes)) {
                const auto pages = static_cast<std::uint32_t>(1 + random() % 3);
                const auto taken = runs.take_front(run->start, pages);
                for (std::uint64_t at = 0; at < taken.pages; ++at)
                    ASSERT_EQ(model.erase(taken.start / page_bytes + at), 1U);
            }
            std::uint64_t fewest = 0;
            std::uint64_t last = ~std::uint64_t{0};
            std::uint64_t last_place = 0;
            for (const auto& [page, place] : model) {
                if (last + 1 != page || last_place + 1 != place || last == ~std::uint64_t{0})
                    ++fewest;
                last = page;
                last_place = place;
            }
            ASSERT_EQ(runs.size(), fewest);
            ASSERT_EQ(runs.bytes(), model.size() * page_bytes);
        }
    }
}

TEST(SpilledRuns, AHundredMillionMessagesOfAHundredBytesFitInEightMebibytes) {
    constexpr std::uint64_t messages = 100'000'000;
    constexpr std::uint64_t record = 112;                          // commit word, 100 B, rounded up
    constexpr std::uint64_t file_pages = (64 << 20) / page_bytes;  // spill files are so large
    SpilledRuns runs;
    const std::uint64_t pages = messages * record / page_bytes + 1;
    for (std::uint64_t number = 0; number < pages; ++number)
        runs.add(
            page_at(number, static_cast<std::uint32_t>(number / file_pages), number % file_pages));
    EXPECT_GE(runs.bytes(), messages * record);
    EXPECT_LE(runs.size() * sizeof(SpilledRun), 8U << 20);
    EXPECT_EQ(runs.size(), (pages + file_pages - 1) / file_pages) << "one for each file";
}

}  // namespace
}  // namespace weir::broker
