// SPDX-License-Identifier: Apache-2.0
//
// Sizes, durations, shares and rates: what is read, what is refused, and what people get to see.
#include "core/base/bytes.hpp"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace weir {
namespace {

using Readings = std::vector<std::pair<const char*, std::uint64_t>>;
using Refusals = std::vector<std::pair<const char*, ParseFailure>>;

TEST(Size, IsReadInEveryUnitOfTheContract) {
    const Readings readings{
        {"0", 0},
        {"4096", 4096},
        {"17B", 17},
        {"1K", 1024},
        {"1KiB", 1024},
        {"1kB", 1000},
        {"48M", 48ULL << 20},
        {"48MiB", 48ULL << 20},
        {"48MB", 48'000'000},
        {"2G", 2ULL << 30},
        {"2GiB", 2ULL << 30},
        {"2GB", 2'000'000'000},
        {"1TiB", 1ULL << 40},
        {"1 GiB", 1ULL << 30},
        {"1.5G", 3ULL << 29},
        {"0.1K", 102},
        {"18446744073709551615", UINT64_MAX},
        {"16777215.999999999999999T", UINT64_MAX},
    };
    for (auto [text, bytes] : readings) {
        auto size = parse_size(text);
        ASSERT_TRUE(size) << text << ": " << size.error().sentence;
        EXPECT_EQ(*size, bytes) << text;
    }
}

TEST(Size, IsRefusedWhenItIsNonsense) {
    const Refusals refusals{
        {"", ParseFailure::not_a_number},
        {"M", ParseFailure::not_a_number},
        {"-1", ParseFailure::not_a_number},
        {"+1", ParseFailure::not_a_number},
        {" 1", ParseFailure::not_a_number},
        {".5G", ParseFailure::not_a_number},
        {"1.G", ParseFailure::not_a_number},
        {"1.5", ParseFailure::not_a_number},
        {"1.5B", ParseFailure::not_a_number},
        {"1k", ParseFailure::unknown_unit},
        {"1KB", ParseFailure::unknown_unit},
        {"1m", ParseFailure::unknown_unit},
        {"1 ", ParseFailure::unknown_unit},
        {"1  K", ParseFailure::unknown_unit},
        {"1K ", ParseFailure::unknown_unit},
        {"1e3", ParseFailure::unknown_unit},
        {"0x10", ParseFailure::unknown_unit},
        {"1K1", ParseFailure::unknown_unit},
        {"1,5G", ParseFailure::unknown_unit},
        {"18446744073709551616", ParseFailure::too_large},
        {"99999999999999999999999", ParseFailure::too_large},
        {"16777216T", ParseFailure::too_large},
    };
    for (auto [text, failure] : refusals) {
        auto size = parse_size(text);
        ASSERT_FALSE(size) << text << " was read as " << *size;
        EXPECT_EQ(size.error().code, failure) << text << ": " << size.error().sentence;
    }
}

TEST(Size, IsRefusedWithASentenceThatShowsHowToWriteIt) {
    EXPECT_EQ(parse_size("64X").error().sentence,
              "\"64X\" is not a size (unknown unit): write a number and K M G T, "
              "KiB MiB GiB TiB or kB MB GB TB, as in 64M");
}

TEST(Size, IsShownInTheLargestUnitThatFits) {
    const Readings readings{
        {"0 B", 0},
        {"1023 B", 1023},
        {"1 KiB", 1024},
        {"1.5 KiB", 1536},
        {"64 MiB", 64ULL << 20},
        {"1 MiB", (1ULL << 20) - 1},
        {"1 GiB", (1ULL << 30) - 1},
        {"1023.9 KiB", (1ULL << 20) - 103},
        {"1.5 GiB", 3ULL << 29},
        {"16777216 TiB", UINT64_MAX},
    };
    for (auto [text, bytes] : readings) EXPECT_EQ(format_size(bytes), text);
}

TEST(Size, IsReadAgainAsItWasShown) {
    for (std::uint64_t bytes : {0ULL, 812ULL, 64ULL << 10, 256ULL << 20, 3ULL << 29})
        EXPECT_EQ(*parse_size(format_size(bytes)), bytes);
}

TEST(Duration, IsReadInEveryUnitOfTheContract) {
    const Readings readings{
        {"30s", 30'000'000'000}, {"500ms", 500'000'000},
        {"2m", 120'000'000'000}, {"1h", 3'600'000'000'000},
        {"250us", 250'000},      {"7ns", 7},
        {"10", 10'000'000'000},  {"0.5", 500'000'000},
        {"1.5s", 1'500'000'000}, {"0", 0},
    };
    for (auto [text, ns] : readings) {
        auto span = parse_duration_ns(text);
        ASSERT_TRUE(span) << text << ": " << span.error().sentence;
        EXPECT_EQ(*span, ns) << text;
    }
}

TEST(Duration, IsRefusedWhenItIsNonsense) {
    const Refusals refusals{
        {"", ParseFailure::not_a_number},      {"-5s", ParseFailure::not_a_number},
        {"s", ParseFailure::not_a_number},     {"5 days", ParseFailure::unknown_unit},
        {"5M", ParseFailure::unknown_unit},    {"1m30s", ParseFailure::unknown_unit},
        {"0.5ns", ParseFailure::not_a_number}, {"99999999999999", ParseFailure::too_large},
        {"9999999h", ParseFailure::too_large},
    };
    for (auto [text, failure] : refusals) {
        auto span = parse_duration_ns(text);
        ASSERT_FALSE(span) << text << " was read as " << *span;
        EXPECT_EQ(span.error().code, failure) << text << ": " << span.error().sentence;
    }
}

TEST(Duration, IsShownInTheLargestUnitThatFits) {
    const Readings readings{
        {"0 s", 0},
        {"999 ns", 999},
        {"250 us", 250'000},
        {"1.5 s", 1'500'000'000},
        {"1 s", 999'999'999},
        {"3 m", 180'000'000'000},
        {"36.2 h", 130'320'000'000'000},
    };
    for (auto [text, ns] : readings) EXPECT_EQ(format_duration_ns(ns), text);
}

TEST(Percent, IsReadInHundredthsUpToTheWhole) {
    const Readings readings{{"0%", 0},     {"75%", 7500},    {"62.5%", 6250}, {"0.01%", 1},
                            {"0.009%", 0}, {"100%", 10'000}, {"70 %", 7000}};
    for (auto [text, hundredths] : readings) {
        auto percent = parse_percent(text);
        ASSERT_TRUE(percent) << text << ": " << percent.error().sentence;
        EXPECT_EQ(*percent, hundredths) << text;
    }
    const Refusals refusals{{"100.01%", ParseFailure::too_large},
                            {"101%", ParseFailure::too_large},
                            {"75", ParseFailure::unknown_unit},
                            {"%", ParseFailure::not_a_number},
                            {"-1%", ParseFailure::not_a_number},
                            {"7%%", ParseFailure::unknown_unit},
                            {"99999999999999999999%", ParseFailure::too_large}};
    for (auto [text, code] : refusals) {
        auto percent = parse_percent(text);
        ASSERT_FALSE(percent) << text;
        EXPECT_EQ(percent.error().code, code) << text;
    }
}

TEST(Share, IsASizeOrAPartOfAWholeThatNeverWraps) {
    EXPECT_EQ(*parse_share("64K", 1 << 20), 65536u);
    EXPECT_EQ(*parse_share("25%", 1 << 20), 262144u);
    EXPECT_EQ(*parse_share("100%", UINT64_MAX), UINT64_MAX);
    EXPECT_EQ(*parse_share("33.33%", 1000), 333u);
    EXPECT_FALSE(parse_share("25 percent", 1000));
    EXPECT_EQ(share_of(UINT64_MAX, 5000), UINT64_MAX / 2);
}

TEST(Rate, SaysBytesOrMessagesASecond) {
    const auto bytes = parse_rate("1.5MiB/s");
    ASSERT_TRUE(bytes);
    EXPECT_EQ(bytes->amount, 3u << 19);
    EXPECT_FALSE(bytes->of_messages);
    for (const char* const text : {"50000msg/s", "50000 msg/s"}) {
        const auto messages = parse_rate(text);
        ASSERT_TRUE(messages) << text;
        EXPECT_EQ(messages->amount, 50'000u);
        EXPECT_TRUE(messages->of_messages);
    }
    for (const char* const text : {"", "/s", "100", "100MiB", "100/m", "msg/s", "1.5msg/s",
                                   "5Kmsg/s", "-1msg/s", "1MiB/s/s", "99999999999999999999/s"})
        EXPECT_FALSE(parse_rate(text)) << text;
}

TEST(Refusal, QuotesWhatWasWrittenCutAndPrintable) {
    const std::string nasty = "\x1b[2J" + std::string(500, 'x') + "\n";
    const std::string sentence = parse_size(nasty).error().sentence;
    EXPECT_LT(sentence.size(), 200u);
    EXPECT_EQ(sentence.find('\x1b'), std::string::npos) << sentence;
    EXPECT_EQ(sentence.find('\n'), std::string::npos) << sentence;
}

}  // namespace
}  // namespace weir
