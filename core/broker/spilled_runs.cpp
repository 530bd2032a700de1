// SPDX-License-Identifier: Apache-2.0
#include "core/broker/spilled_runs.hpp"

#include <algorithm>

#include "core/base/check.hpp"

namespace weir::broker {
namespace {

bool continues(const Run& run, const Run& next) noexcept {
    return run.end() == next.start && run.page_units == next.page_units &&
           run.extent.file == next.extent.file &&
           std::uint64_t{run.extent.unit} + std::uint64_t{run.pages} * run.page_units ==
               next.extent.unit;
}

auto at_or_behind(const Deque<Run>& runs, Position position) {
    return std::lower_bound(runs.begin(), runs.end(), position,
                            [](const Run& run, Position at) { return run.start < at; });
}

}  // namespace

void SpilledRuns::add(const Run& run) {
    bytes_ += run.bytes();
    auto at = runs_.begin() + (at_or_behind(runs_, run.start) - runs_.cbegin());
    if (at != runs_.begin() && continues(*(at - 1), run)) {
        --at;
        at->pages += run.pages;
    } else {
        at = runs_.insert(at, run);
    }
    if (at + 1 == runs_.end() || !continues(*at, *(at + 1))) return;
    at->pages += (at + 1)->pages;
    runs_.erase(at + 1);
}

Run SpilledRuns::take_front(Position start, std::uint32_t pages) {
    const auto at = runs_.begin() + (at_or_behind(runs_, start) - runs_.cbegin());
    WEIR_CHECK(at != runs_.end());
    WEIR_CHECK(at->start == start);
    Run taken = *at;
    taken.pages = std::min(pages, at->pages);
    bytes_ -= taken.bytes();
    if (taken.pages == at->pages) {
        runs_.erase(at);
    } else {
        at->start += taken.bytes();
        at->extent.unit += taken.pages * taken.page_units;
        at->pages -= taken.pages;
    }
    return taken;
}

const Run* SpilledRuns::first_from(Position position) const noexcept {
    const auto at = at_or_behind(runs_, position);
    return at == runs_.end() ? nullptr : &*at;
}

}  // namespace weir::broker
