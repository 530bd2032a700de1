// SPDX-License-Identifier: Apache-2.0
//
// The commit word: what it says, what fits, and what is refused.
#include "shm/record.hpp"

#include <gtest/gtest.h>

namespace weir {
namespace {

TEST(Record, AWordSaysItsKindAndLengthsAndNothingElse) {
    const std::uint64_t word = commit_word(RecordKind::message, 3, 1001);
    EXPECT_TRUE(is_message(word));
    EXPECT_FALSE(is_skip(word));
    EXPECT_FALSE(is_end(word));
    EXPECT_EQ(commit_payload(word), 1001u);
    EXPECT_EQ(commit_envelope_words(word), 3u);
    EXPECT_EQ(record_bytes_of(word), 8 + 24 + 1008u);
}

TEST(Record, TheLargestLengthsDoNotRunIntoEachOther) {
    const std::uint64_t word =
        commit_word(RecordKind::message, envelope_words_max, payload_bytes_max);
    EXPECT_TRUE(is_message(word));
    EXPECT_EQ(commit_payload(word), payload_bytes_max);
    EXPECT_EQ(commit_envelope_words(word), envelope_words_max);
}

TEST(Record, FitsOnlyWhatEndsInThePage) {
    const std::uint64_t word = commit_word(RecordKind::message, 0, 64);
    EXPECT_TRUE(record_fits(word, 72));
    EXPECT_FALSE(record_fits(word, 71));
    EXPECT_FALSE(record_fits(0, 4096));
    EXPECT_FALSE(record_fits(commit_word(RecordKind::end, 0, 0), 4096));
    EXPECT_FALSE(record_fits(word ^ (std::uint64_t{1} << 60), 4096)) << "another mark";
}

TEST(Record, APageForARecordHasRoomForHeaderAndRecordAndNoUnitMore) {
    EXPECT_EQ(page_bytes_for(8), 4096u);
    EXPECT_EQ(page_bytes_for(4096 - 64), 4096u);
    EXPECT_EQ(page_bytes_for(4096 - 56), 8192u);
    EXPECT_EQ(page_bytes_for(record_bytes(0, 64ull << 20)), (64ull << 20) + 4096);
}

}  // namespace
}  // namespace weir
