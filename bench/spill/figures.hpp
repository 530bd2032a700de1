// SPDX-License-Identifier: Apache-2.0
//
// What both programs of this folder do with what they measured: medians over rounds, ratios taken
// round by round (what slows one leg of a round slows its neighbour too), and the checksum alone.
#ifndef WEIR_BENCH_SPILL_FIGURES_HPP
#define WEIR_BENCH_SPILL_FIGURES_HPP

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "io/page_checksum.hpp"

namespace weir::bench {

inline constexpr double bytes_per_gb = 1e9;
inline constexpr std::uint64_t checked_page_bytes = 64 * 1024;

using Series = std::vector<double>;  // one value per round

// Of an even number the mean of the middle two: the upper one would flatter what has to be large.
inline double median(Series values) {
    std::sort(values.begin(), values.end());
    if (values.empty()) return 0;
    return (values[values.size() / 2] + values[(values.size() - 1) / 2]) / 2;
}

inline Series ratios(const Series& values, const Series& beside) {
    Series result;
    for (std::size_t round = 0; round < std::min(values.size(), beside.size()); ++round)
        result.push_back(beside[round] > 0 ? values[round] / beside[round] : 0);
    return result;
}

// The checksums of `bytes` bytes of pages, and nothing else.
inline bool checksum_all(std::span<std::byte> memory, std::uint64_t bytes) {
    io::PageChecksum checksum;
    std::uint64_t sum = 0;
    for (std::uint64_t done = 0; done < bytes; done += checked_page_bytes) {
        std::uint64_t budget = checked_page_bytes;
        checksum.begin(memory.subspan(done % memory.size(), checked_page_bytes), done);
        checksum.go_on(budget);
        sum += checksum.value();
    }
    return sum != 0;
}

}  // namespace weir::bench

#endif  // WEIR_BENCH_SPILL_FIGURES_HPP
