// SPDX-License-Identifier: Apache-2.0
//
// Counts of samples by value, from which percentiles are read.
//
// A run takes millions of samples over five decades: too many to keep, too far apart for equal
// buckets. So buckets are exact for small values and grow with larger ones, the idea of
// HdrHistogram:
//
//   value < 2048          one bucket for each value
//   2^k <= value < 2^k+1  1024 buckets of 2^(k-10) values each       (11 <= k < 40)
//   value >= 2^40         counted in the last bucket, max() stays exact
//
// A percentile is by nearest rank: the least value such that at least that share of the samples is
// not above it. Of a wide bucket its highest value is named, never more than the largest sample, so
// a percentile is never too good and at most a thousandth too bad.
//
// Plain bytes without pointers: a child process records into a histogram in shared memory, its
// parent reads it after the child has ended.
//
// Invariants
//   H1  the counts of all buckets add up to samples()
//   H2  bucket_of(highest_of(b)) == b for every bucket b, and highest_of is strictly increasing
#ifndef WEIR_BENCH_PROBES_HISTOGRAM_HPP
#define WEIR_BENCH_PROBES_HISTOGRAM_HPP

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace weir::bench {

class Histogram {
public:
    static constexpr unsigned exact_bits = 11;
    static constexpr unsigned value_bits = 40;
    static constexpr std::size_t exact_count = std::size_t{1} << exact_bits;
    static constexpr std::size_t step_count = exact_count / 2;
    static constexpr std::size_t bucket_count =
        exact_count + (value_bits - exact_bits) * step_count;

    void record(std::uint64_t value) noexcept {
        ++counts_[bucket_of(value)];
        ++samples_;
        total_ += value;
        if (value > max_) max_ = value;
    }

    void add(const Histogram& other) noexcept;
    void clear() noexcept { *this = {}; }

    std::uint64_t samples() const noexcept { return samples_; }
    std::uint64_t total() const noexcept { return total_; }
    std::uint64_t max() const noexcept { return max_; }

    // `share_ppm` is in parts per million: 999'900 is p99.99. 0 when there are no samples.
    std::uint64_t percentile(std::uint64_t share_ppm) const noexcept;

    // Sum of the samples above `limit`, to the precision of the buckets.
    std::uint64_t total_above(std::uint64_t limit) const noexcept;

    static constexpr std::size_t bucket_of(std::uint64_t value) noexcept {
        if (value < exact_count) return static_cast<std::size_t>(value);
        if (value >> value_bits != 0) return bucket_count - 1;
        unsigned shift = static_cast<unsigned>(std::bit_width(value)) - exact_bits;
        std::size_t step = static_cast<std::size_t>(value >> shift) - step_count;
        return exact_count + (shift - 1) * step_count + step;
    }

    static constexpr std::uint64_t highest_of(std::size_t bucket) noexcept {
        if (bucket < exact_count) return bucket;
        std::size_t above = bucket - exact_count;
        std::size_t shift = above / step_count + 1;
        std::uint64_t step = step_count + above % step_count;
        return ((step + 1) << shift) - 1;
    }

private:
    std::array<std::uint32_t, bucket_count> counts_{};
    std::uint64_t samples_ = 0;
    std::uint64_t total_ = 0;
    std::uint64_t max_ = 0;
};

// H2 where the rule changes, and at both ends.
static_assert(Histogram::bucket_of(2047) == 2047 && Histogram::highest_of(2047) == 2047);
static_assert(Histogram::bucket_of(2048) == 2048 && Histogram::highest_of(2048) == 2049);
static_assert(Histogram::bucket_of(4095) == 3071 && Histogram::highest_of(3071) == 4095);
static_assert(Histogram::bucket_of(4096) == 3072 && Histogram::highest_of(3072) == 4099);
static_assert(Histogram::bucket_of((std::uint64_t{1} << 40) - 1) == Histogram::bucket_count - 1);

}  // namespace weir::bench

#endif  // WEIR_BENCH_PROBES_HISTOGRAM_HPP
