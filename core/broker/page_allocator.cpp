// SPDX-License-Identifier: Apache-2.0
#include "core/broker/page_allocator.hpp"

#include <algorithm>
#include <bit>
#include <iterator>

#include "core/base/check.hpp"

namespace weir::broker {

std::size_t PageAllocator::class_of(Units count) noexcept {
    return static_cast<std::size_t>(std::countr_zero(count));
}

void PageAllocator::add_units(Unit first, Units count) {
    merge(first, count);
    capacity_ += count;
    free_ += count;
}

std::optional<Unit> PageAllocator::take(Units count) {
    WEIR_CHECK(count != 0);
    if (count > free_) return std::nullopt;
    std::optional<Unit> taken;
    if (is_class(count) && !stacks_[class_of(count)].empty()) {
        taken = stacks_[class_of(count)].back();
        stacks_[class_of(count)].pop_back();
    } else {
        taken = cut(count);
        if (!taken) {
            merge_stacks();
            taken = cut(count);
        }
    }
    if (taken) free_ -= count;
    return taken;
}

// Classes: the first extent from the low end that is long enough. Runs: the first from the high
// end.
std::optional<Unit> PageAllocator::cut(Units count) {
    const auto long_enough = [count](const auto& extent) { return extent.second >= count; };
    if (is_class(count)) {
        const auto extent = std::find_if(extents_.begin(), extents_.end(), long_enough);
        if (extent == extents_.end()) return std::nullopt;
        const auto [first, length] = *extent;
        extents_.erase(extent);
        if (length > count) extents_.emplace(first + count, length - count);
        return first;
    }
    const auto extent = std::find_if(extents_.rbegin(), extents_.rend(), long_enough);
    if (extent == extents_.rend()) return std::nullopt;
    const auto [first, length] = *extent;
    if (length == count) {
        extents_.erase(first);
    } else {
        extent->second = length - count;
    }
    return first + length - count;
}

// What of the kept piece lies behind its first `from` units is free like any other.
void PageAllocator::give_up_kept(Units from) {
    if (from >= kept_.count) return;
    merge(kept_.first + from, kept_.count - from);
    free_ += kept_.count - from;
    kept_.count = from;
}

void PageAllocator::keep(Units count) {
    const bool there = count < kept_.count || (count == kept_.count && kept_.lent == 0);
    if (there) return;
    const auto piece = take(count);
    if (!piece) return;
    give_up_kept(kept_.lent);  // the page in it is one like any other from here on
    kept_ = {*piece, count, 0};
}

void PageAllocator::keep_at_most(Units count) {
    if (kept_.lent == 0) give_up_kept(count);
}

std::optional<Unit> PageAllocator::take_kept(Units count) {
    if (kept_.lent != 0 || count > kept_.count) return std::nullopt;
    kept_.lent = count;
    return kept_.first;
}

void PageAllocator::give_back(Unit first, Units count) {
    if (kept_.lent != 0 && first == kept_.first) {
        WEIR_CHECK(count == kept_.lent);
        kept_.lent = 0;
        return;
    }
    WEIR_CHECK(free_ + count <= capacity_);
    free_ += count;
    if (is_class(count)) {
        stacks_[class_of(count)].push_back(first);
    } else {
        merge(first, count);
    }
}

void PageAllocator::merge(Unit first, Units count) {
    auto behind = extents_.upper_bound(first);
    WEIR_CHECK(behind == extents_.end() || first + count <= behind->first);
    if (behind != extents_.begin()) {
        const auto before = std::prev(behind);
        WEIR_CHECK(before->first + before->second <= first);
        if (before->first + before->second == first) {
            first = before->first;
            count += before->second;
            extents_.erase(before);
        }
    }
    if (behind != extents_.end() && first + count == behind->first) {
        count += behind->second;
        extents_.erase(behind);
    }
    extents_.emplace(first, count);
}

void PageAllocator::merge_stacks() {
    for (std::size_t size = 0; size < classes; ++size) {
        for (const Unit first : stacks_[size]) merge(first, Units{1} << size);
        stacks_[size].clear();
    }
}

Units PageAllocator::longest_run() {
    merge_stacks();
    Units longest = 0;
    for (const auto& [first, count] : extents_) longest = std::max(longest, count);
    return longest;
}

}  // namespace weir::broker
