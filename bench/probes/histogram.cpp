// SPDX-License-Identifier: Apache-2.0
//
// Reading a histogram; see histogram.hpp.
#include "bench/probes/histogram.hpp"

#include <algorithm>

namespace weir::bench {

void Histogram::add(const Histogram& other) noexcept {
    for (std::size_t bucket = 0; bucket < bucket_count; ++bucket) {
        counts_[bucket] += other.counts_[bucket];
    }
    samples_ += other.samples_;
    total_ += other.total_;
    max_ = std::max(max_, other.max_);
}

std::uint64_t Histogram::percentile(std::uint64_t share_ppm) const noexcept {
    if (samples_ == 0) return 0;
    constexpr std::uint64_t whole_ppm = 1'000'000;
    // The product fits: counts are 32 bits in 31744 buckets, so samples < 2^47 and ppm <= 2^20.
    std::uint64_t wanted = samples_ * std::min(share_ppm, whole_ppm);
    std::uint64_t rank = std::max<std::uint64_t>(1, (wanted + whole_ppm - 1) / whole_ppm);
    std::uint64_t passed = 0;
    for (std::size_t bucket = 0; bucket + 1 < bucket_count; ++bucket) {
        passed += counts_[bucket];
        if (passed >= rank) return std::min(highest_of(bucket), max_);
    }
    return max_;
}

std::uint64_t Histogram::total_above(std::uint64_t limit) const noexcept {
    std::uint64_t below = 0;
    for (std::size_t bucket = 0; bucket < bucket_count; ++bucket) {
        if (highest_of(bucket) > limit) break;
        below += counts_[bucket] * highest_of(bucket);
    }
    return total_ > below ? total_ - below : 0;
}

}  // namespace weir::bench
