// SPDX-License-Identifier: Apache-2.0
#include "core/inspect/examination.hpp"

#include <algorithm>

namespace weir::inspect {
namespace {

bool has(const std::vector<Difference>& all, const Difference& one) {
    return std::find(all.begin(), all.end(), one) != all.end();
}

}  // namespace

std::uint64_t Examination::drift_of(Resource resource) const noexcept {
    std::uint64_t sum = 0;
    for (const Difference& one : drift)
        if (one.resource == resource)
            sum += std::max<std::uint64_t>(
                1, one.books > one.counted ? one.books - one.counted : one.counted - one.books);
    return sum;
}

Examination examine(const std::function<Recounted()>& look, const std::function<void()>& pause,
                    std::uint32_t recounts_max) {
    Examination found;
    std::vector<Difference> still;  // in each of the last `in_a_row` recounts
    std::uint32_t in_a_row = 0;
    while (found.recounts < recounts_max) {
        if (found.recounts != 0) pause();
        found.last = look();
        ++found.recounts;
        found.tables_moved = !found.last.at_rest;
        if (found.last.differences.empty()) {
            found.tables_moved = false;
            return found;
        }
        if (!found.last.at_rest) {
            in_a_row = 0;
            continue;
        }
        if (in_a_row == 0) {
            still = found.last.differences;
        } else {
            std::erase_if(still,
                          [&](const Difference& one) { return !has(found.last.differences, one); });
        }
        if (still.empty()) still = found.last.differences, in_a_row = 0;
        if (++in_a_row >= recounts_in_a_row) break;
    }
    if (in_a_row >= recounts_in_a_row) found.drift = still;
    for (const Difference& one : found.last.differences)
        if (!has(found.drift, one)) found.moving.push_back(one);
    return found;
}

}  // namespace weir::inspect
