// SPDX-License-Identifier: Apache-2.0
//
// The checksum of a page: what it covers, and that slices do not change it.
#include "io/page_checksum.hpp"

#include <gtest/gtest.h>
#include <xxhash.h>

#include <array>
#include <cstring>
#include <vector>

#include "io/spill_format.hpp"

namespace weir::io {
namespace {

std::vector<std::byte> page_of(std::size_t bytes) {
    std::vector<std::byte> page(bytes);
    for (std::size_t at = 0; at < bytes; ++at) page[at] = static_cast<std::byte>(at * 7 >> 2);
    return page;
}

std::uint64_t checksum_of(std::span<const std::byte> page, std::uint64_t tag,
                          std::uint64_t slice = 1 << 20) {
    PageChecksum checksum;
    checksum.begin(page, tag);
    for (std::uint64_t budget = slice; !checksum.go_on(budget); budget = slice) {
    }
    return checksum.value();
}

TEST(PageChecksumTest, IsXxh3OfEverythingButItself) {
    const std::vector<std::byte> page = page_of(8192);
    std::vector<std::byte> covered(page.begin(), page.begin() + 48);
    covered.insert(covered.end(), page.begin() + 56, page.end());
    EXPECT_EQ(checksum_of(page, 77), XXH3_64bits_withSeed(covered.data(), covered.size(), 77));
}

TEST(PageChecksumTest, IsTheSameInSlicesOfAnySize) {
    const std::vector<std::byte> page = page_of(12288);
    const std::uint64_t whole = checksum_of(page, 1);
    for (const std::uint64_t slice : {1U, 7U, 256U, 1000U, 4096U, 12287U})
        EXPECT_EQ(checksum_of(page, 1, slice), whole) << slice;
}

TEST(PageChecksumTest, ChangesWithEveryByteAndWithTheTag) {
    std::vector<std::byte> page = page_of(4096);
    const std::uint64_t sound = checksum_of(page, 1);
    for (std::size_t at = 0; at < page.size(); ++at) {
        page[at] ^= std::byte{4};
        const bool covered = at < checksum_offset || at >= behind_checksum;
        EXPECT_EQ(checksum_of(page, 1) != sound, covered) << at;
        page[at] ^= std::byte{4};
    }
    EXPECT_NE(checksum_of(page, 2), sound);
}

TEST(PageChecksumTest, AStampTellsLengthAndChecksum) {
    std::vector<std::byte> page = page_of(8192);
    write_stamp(page, 5);
    write_checksum(page, checksum_of(page, 3));
    EXPECT_TRUE(stamp_matches(page, checksum_of(page, 3)));
    EXPECT_FALSE(stamp_matches(page, checksum_of(page, 3) + 1));
    EXPECT_FALSE(stamp_matches(std::span(page).first(4096), checksum_of(page, 3)));
}

// The bytes of io/FORMAT.md.
TEST(PageChecksumTest, AgreesWithTheWorkedExample) {
    std::vector<std::byte> page(4096);
    write_stamp(page, 7);
    write_checksum(page, checksum_of(page, 0x1000'0000'0000'1000));
    const std::array<unsigned char, 24> expected{0x00, 0x10, 0x00, 0x00, 0x00, 0x00, 0x57, 0x53,
                                                 0xa7, 0xd9, 0x24, 0x22, 0xa4, 0x90, 0x53, 0x78,
                                                 0x07, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00};
    EXPECT_EQ(std::memcmp(page.data() + stamp_offset, expected.data(), expected.size()), 0);
}

}  // namespace
}  // namespace weir::io
