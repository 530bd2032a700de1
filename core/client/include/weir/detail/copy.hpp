// SPDX-License-Identifier: Apache-2.0
//
// Copying a payload into a record.
//
// For small messages the call of memcpy and its choice by size cost as much as the copy. Up to 128
// bytes are moved here, in blocks of 16 whose last one overlaps the one before; the compiler turns
// each fixed-size memcpy below into one load and one store.
#ifndef WEIR_DETAIL_COPY_HPP
#define WEIR_DETAIL_COPY_HPP

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace weir::detail {

inline constexpr std::size_t inline_copy_max = 128;

// Of vector type: an array of bytes or words goes by way of the stack.
using Sixteen = std::uint64_t __attribute__((vector_size(16)));

template <std::size_t Block>
inline void copy_block(std::byte* to, const std::byte* from) noexcept {
    if constexpr (Block < 16) {
        std::uint64_t word;
        std::memcpy(&word, from, sizeof word);
        std::memcpy(to, &word, sizeof word);
    } else {
        Sixteen parts[Block / 16];
        for (std::size_t at = 0; at < Block / 16; ++at) std::memcpy(&parts[at], from + at * 16, 16);
        for (std::size_t at = 0; at < Block / 16; ++at) std::memcpy(to + at * 16, &parts[at], 16);
    }
}

// Copies `bytes` bytes; the areas do not overlap. A zero length may come with a null source. No
// loop: what is between two powers of two is covered by one block from each end.
inline void copy_payload(std::byte* to, const std::byte* from, std::size_t bytes) noexcept {
    if (bytes > inline_copy_max) {
        std::memcpy(to, from, bytes);
    } else if (bytes > 64) {
        copy_block<64>(to, from);
        copy_block<64>(to + bytes - 64, from + bytes - 64);
    } else if (bytes > 32) {
        copy_block<32>(to, from);
        copy_block<32>(to + bytes - 32, from + bytes - 32);
    } else if (bytes >= 16) {
        copy_block<16>(to, from);
        copy_block<16>(to + bytes - 16, from + bytes - 16);
    } else if (bytes >= 8) {
        copy_block<8>(to, from);
        copy_block<8>(to + bytes - 8, from + bytes - 8);
    } else {
        for (std::size_t at = 0; at < bytes; ++at) to[at] = from[at];
    }
}

}  // namespace weir::detail

#endif
