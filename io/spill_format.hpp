// SPDX-License-Identifier: Apache-2.0
//
// What a page looks like in a spill file: the one header that writer and reader share. FORMAT.md
// has the whole format with an example, and what it does not do.
//
// A spill file is nothing but pages, each a multiple of 4 KiB, and holes. A page is written as it
// lies in memory; its owner leaves 24 bytes in it for the stamp:
//
//      0            40                48         56      64                              bytes
//      +------------+-----------------+----------+-------+--------------------------------+
//      | owner's    | mark  | length  | XXH3-64  | note  | owner's                        |
//      +------------+-----------------+----------+-------+--------------------------------+
//                    63..48   47..0
//
// The checksum covers everything but itself, and is seeded with the owner's tag, a number that no
// other page ever had: so a page that is sound but not the one that was asked for fails as well.
#ifndef WEIR_IO_SPILL_FORMAT_HPP
#define WEIR_IO_SPILL_FORMAT_HPP

#include <cstddef>
#include <cstdint>

namespace weir::io {

// Of offsets, lengths and addresses: what O_DIRECT needs on the block sizes there are.
inline constexpr std::uint64_t spill_unit = 4096;

struct PageStamp {
    std::uint64_t mark_and_length;
    std::uint64_t checksum;
    std::uint64_t note;  // the owner's, covered by the checksum
};
static_assert(sizeof(PageStamp) == 24);

inline constexpr std::size_t stamp_offset = 40;
inline constexpr std::size_t checksum_offset = stamp_offset + offsetof(PageStamp, checksum);
inline constexpr std::size_t behind_checksum = checksum_offset + sizeof(std::uint64_t);
static_assert(checksum_offset == 48 && stamp_offset + sizeof(PageStamp) == 64);

inline constexpr std::uint64_t spill_mark = 0x5357;  // 'W' 'S', little endian
inline constexpr std::uint64_t page_length_max = (std::uint64_t{1} << 48) - spill_unit;

constexpr std::uint64_t mark_and_length(std::uint64_t bytes) noexcept {
    return spill_mark << 48 | bytes;
}

}  // namespace weir::io

#endif  // WEIR_IO_SPILL_FORMAT_HPP
