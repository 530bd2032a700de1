// SPDX-License-Identifier: Apache-2.0
//
// See statistics.hpp.
#include "bench/suite/statistics.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace weir::bench {

double median(std::vector<double> values) {
    if (values.empty()) return 0;
    std::sort(values.begin(), values.end());
    const std::size_t middle = values.size() / 2;
    if (values.size() % 2 == 1) return values[middle];
    return (values[middle - 1] + values[middle]) / 2;
}

Interval median_interval(std::vector<double> values, double wanted) {
    if (values.empty()) return {};
    std::sort(values.begin(), values.end());
    const std::size_t count = values.size();
    // Leaving out `cut` values at each end loses the cases in which at most `cut` values lie on one
    // side of the median: twice the binomial tail up to `cut`.
    double choose = 1;  // count over cut
    double tail = std::pow(0.5, static_cast<double>(count));
    Interval best{values.front(), values.back(), 1 - 2 * tail};
    for (std::size_t cut = 1; 2 * cut < count; ++cut) {
        choose = choose * static_cast<double>(count - cut + 1) / static_cast<double>(cut);
        tail += choose * std::pow(0.5, static_cast<double>(count));
        const double confidence = 1 - 2 * tail;
        if (confidence < wanted) break;
        best = {values[cut], values[count - 1 - cut], confidence};
    }
    best.confidence = std::max(best.confidence, 0.0);
    return best;
}

}  // namespace weir::bench
