// SPDX-License-Identifier: Apache-2.0
//
// See verdict.hpp.
#include "bench/suite/verdict.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "bench/suite/statistics.hpp"

namespace weir::bench {
namespace {

std::vector<CellRun> calm_at(std::span<const CellRun> runs, Distance distance) {
    std::vector<CellRun> calm;
    for (const CellRun& run : runs)
        if (run.calm() && run.distance() == distance) calm.push_back(run);
    return calm;
}

template <class ValueOf>
double median_over(std::span<const CellRun> runs, const ValueOf& value_of) {
    std::vector<double> values;
    for (const CellRun& run : runs) values.push_back(value_of(run.measured));
    return median(std::move(values));
}

// What is wrong with the machine or the leg, whatever the witnesses say.
std::vector<std::string> reasons_of(const Cell& cell, const Measured& median,
                                    const Placement& placement) {
    std::vector<std::string> reasons;
    if (median.spinning > placement.usable_count) {
        reasons.push_back(fmt::format("{} processes spin on {} usable processors.", median.spinning,
                                      placement.usable_count));
    }
    if (placement.siblings) reasons.push_back("The two processors are threads of one core.");
    if (!placement.pinnable) reasons.push_back("The kernel refused to pin the processes.");
    constexpr double reached = 0.99;
    if (cell.rate_per_s > 0 && median.rate_per_s < reached * cell.rate_per_s) {
        reasons.push_back(fmt::format("The rate of {:.0f}/s was not reached, only {:.0f}/s.",
                                      cell.rate_per_s, median.rate_per_s));
    }
    return reasons;
}

}  // namespace

bool CellRun::calm() const {
    constexpr double move_max = 1.10;
    constexpr double interrupted_max = 0.20;
    const auto [least, most] = std::minmax(raw_before_ns, raw_after_ns);
    return least > 0 && most <= least * move_max && interrupted_share < interrupted_max;
}

Distance CellRun::distance() const {
    constexpr double near_below_ns = 200;
    return raw_ns() < near_below_ns ? Distance::near : Distance::far;
}

Measured median_of(std::span<const CellRun> runs) {
    Measured middle;
    if (runs.empty()) return middle;
    middle = runs.front().measured;
    const auto of = [&](auto part) { return median_over(runs, part); };
    middle.msgs_per_s = of([](const Measured& m) { return m.msgs_per_s; });
    middle.bytes_per_s = of([](const Measured& m) { return m.bytes_per_s; });
    middle.rate_per_s = of([](const Measured& m) { return m.rate_per_s; });
    middle.latency.ns_p50 = of([](const Measured& m) { return m.latency.ns_p50; });
    middle.latency.ns_p99 = of([](const Measured& m) { return m.latency.ns_p99; });
    middle.latency.ns_p999 = of([](const Measured& m) { return m.latency.ns_p999; });
    middle.latency.ns_p9999 = of([](const Measured& m) { return m.latency.ns_p9999; });
    middle.latency.ns_max = of([](const Measured& m) { return m.latency.ns_max; });
    middle.latency.samples = 0;
    for (const CellRun& run : runs) middle.latency.samples += run.measured.latency.samples;
    for (auto& [name, value] : middle.counts) {
        value = of([&name](const Measured& m) {
            const auto found = m.counts.find(name);
            return found == m.counts.end() ? 0 : found->second;
        });
    }
    return middle;
}

Verdict judge_runs(const Cell& cell, std::span<const CellRun> runs, const Placement& placement,
                   int wanted) {
    Verdict verdict;
    if (runs.empty()) {
        verdict.why_not = "It did not run.";
        return verdict;
    }
    auto near = calm_at(runs, Distance::near);
    auto far = calm_at(runs, Distance::far);
    auto& calm = near.size() >= far.size() ? near : far;
    verdict.calm = static_cast<int>(calm.size());
    const bool enough = verdict.calm >= wanted;
    verdict.used = enough ? calm : std::vector<CellRun>(runs.begin(), runs.end());  // R1
    std::vector<double> raw;
    for (const CellRun& run : verdict.used) raw.push_back(run.raw_ns());
    CellRun typical;
    typical.raw_before_ns = typical.raw_after_ns = median(std::move(raw));
    verdict.distance = typical.distance();
    auto reasons = reasons_of(cell, median_of(verdict.used), placement);
    if (!enough) {
        reasons.push_back(
            fmt::format("The raw ping-pong moved by more than a tenth, or other programs ran: only "
                        "{} of {} runs were calm and at one distance ({} wanted).",
                        verdict.calm, runs.size(), wanted));
    }
    verdict.why_not = fmt::format("{}", fmt::join(reasons, " "));
    verdict.trusted = verdict.why_not.empty();  // R2
    return verdict;
}

}  // namespace weir::bench
