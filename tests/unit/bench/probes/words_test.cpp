// SPDX-License-Identifier: Apache-2.0
//
// Words: what is written is what is summed, at every length.
#include "bench/probes/words.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <vector>

namespace weir::bench {
namespace {

TEST(Words, SumToTheClosedFormAtEveryLength) {
    for (std::size_t words = 1; words <= 40; ++words) {
        std::vector<std::byte> bytes(words * 8);
        fill_words(bytes, 0);
        EXPECT_EQ(sum_words(bytes), sum_of_run(words)) << words << " words";
    }
}

TEST(Words, GoOnFromTheFirstOne) {
    std::vector<std::byte> bytes(11 * 8);
    fill_words(bytes, 1000);
    EXPECT_EQ(first_word(bytes), 1000u);
    EXPECT_EQ(sum_words(bytes), 11 * 1000 + sum_of_run(11));
}

TEST(Words, NoticeOneChangedByteAnywhere) {
    std::vector<std::byte> bytes(13 * 8);
    fill_words(bytes, 7);
    std::uint64_t sum = sum_words(bytes);
    for (std::byte& byte : bytes) {
        byte ^= std::byte{0x10};
        EXPECT_NE(sum_words(bytes), sum);
        byte ^= std::byte{0x10};
    }
}

TEST(Words, SumARunThatWrapsTheWord) {
    // 2^33 words: n (n - 1) passes 2^64, half of it does not.
    EXPECT_EQ(sum_of_run(std::uint64_t{1} << 33), (std::uint64_t{1} << 32) * ((1ULL << 33) - 1));
    EXPECT_EQ(sum_of_run(0), 0u);
    EXPECT_EQ(sum_of_run(1), 0u);
    EXPECT_EQ(sum_of_run(2), 1u);
}

TEST(Words, RoundMessagesUpToWholeOnes) {
    EXPECT_EQ(whole_words(0), 8u);
    EXPECT_EQ(whole_words(1), 8u);
    EXPECT_EQ(whole_words(64), 64u);
    EXPECT_EQ(whole_words(65), 72u);
}

}  // namespace
}  // namespace weir::bench
