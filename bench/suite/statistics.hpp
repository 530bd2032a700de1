// SPDX-License-Identifier: Apache-2.0
//
// Medians and their intervals: what a handful of rounds can and cannot say.
//
// The interval is the one of the sign test, which assumes nothing about how values are spread: each
// round is above the true median with probability one half, so the k-th value from either end
// bounds it with a known confidence. Five rounds give the whole range at 94 %; fewer cannot give
// 90 % at all, and then the range is returned with what it is worth.
#ifndef WEIR_BENCH_SUITE_STATISTICS_HPP
#define WEIR_BENCH_SUITE_STATISTICS_HPP

#include <vector>

namespace weir::bench {

// The middle value; of an even number, the mean of the two middle ones. 0 of none.
double median(std::vector<double> values);

struct Interval {
    double low = 0;
    double high = 0;
    double confidence = 0;  // of the median lying within; 0 to 1
};

// The narrowest interval whose confidence is at least `wanted`, or the whole range.
Interval median_interval(std::vector<double> values, double wanted = 0.90);

}  // namespace weir::bench

#endif  // WEIR_BENCH_SUITE_STATISTICS_HPP
