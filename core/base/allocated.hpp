// SPDX-License-Identifier: Apache-2.0
//
// What things in private memory take of it, for those who have to state that in advance.
//
// glibc's malloc puts a word in front of what it gives, gives whole units of 16 bytes, and never
// fewer than two of them. A vector that grew by doubling has room for twice what is in it; it keeps
// that room when things leave, so a list whose bytes are accounted by the thing gives it back.
#ifndef WEIR_CORE_BASE_ALLOCATED_HPP
#define WEIR_CORE_BASE_ALLOCATED_HPP

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace weir {

constexpr std::size_t allocated_bytes(std::size_t bytes) noexcept {
    return std::max<std::size_t>(32, (bytes + sizeof(void*) + 15) / 16 * 16);
}

// A list of numbers: so much for each in it, and so much beside, as long as who takes one out calls
// `give_back_room`.
//   allocated_bytes(4 * (2 * n + 4)) <= 8 * n + 32
using Numbers = std::vector<std::uint32_t>;
inline constexpr std::size_t number_bytes = 2 * sizeof(std::uint32_t);
inline constexpr std::size_t numbers_bytes_beside = 32;

inline void give_back_room(Numbers& numbers) {
    if (numbers.capacity() > 2 * numbers.size() + 4) numbers.shrink_to_fit();
}

}  // namespace weir

#endif
