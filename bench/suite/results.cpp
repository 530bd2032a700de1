// SPDX-License-Identifier: Apache-2.0
//
// Gathering the results, and the text for people; see results.hpp.
#include "bench/suite/results.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "bench/suite/statistics.hpp"
#include "core/base/bytes.hpp"

namespace weir::bench {
namespace {

std::string figure_text(double value, double scale, const char* unit) {
    return value > 0 ? fmt::format("{:.2f} {}", value / scale, unit) : "";
}

std::string cell_text(const CellReport& report) {
    const Cell& cell = report.outcome->planned.cell;
    std::string mode(mode_name(cell.mode));
    if (cell.rate_per_s > 0) mode += fmt::format(" {:.0f}/s", cell.rate_per_s);
    std::string text = fmt::format("{:<18} {:<24} {:>8} {:<14}", cell.scenario, cell.system,
                                   format_size(cell.size), mode);
    if (report.outcome->runs.empty()) return text + " " + report.outcome->failure + "\n";
    const Measured& median = report.median;
    constexpr double million = 1e6;
    constexpr double giga = 1e9;
    text += fmt::format(" {:>13} {:>12}", figure_text(median.msgs_per_s, million, "M/s"),
                        figure_text(median.bytes_per_s, giga, "GB/s"));
    if (median.latency.samples != 0) {
        text += fmt::format("  p50 {:.0f} p99 {:.0f} p99.9 {:.0f} p99.99 {:.0f} max {:.0f} ns",
                            median.latency.ns_p50, median.latency.ns_p99, median.latency.ns_p999,
                            median.latency.ns_p9999, median.latency.ns_max);
    }
    for (const auto& [name, value] : median.counts) text += fmt::format("  {} {:.3f}", name, value);
    if (!median.state.empty()) text += "  (" + median.state + ")";
    if (!report.verdict.trusted) text += "  not trusted";
    return text + "\n";
}

std::string goal_text(const GoalResult& result) {
    const Goal& goal = result.goal;
    std::string text = fmt::format("{:<50} {} {:<8.4g} ", goal.what,
                                   goal.at_most ? "at most " : "at least", result.bound);
    if (!result.measured) return text + "not measured: " + goal.against + "\n";
    if (goal.absolute) {
        text += fmt::format("{:8.3f} {:<3} ", result.value, goal.unit);
    } else {
        text += fmt::format("{:8.3f} [{:.3f}, {:.3f}] of {} ", result.ratio, result.interval.low,
                            result.interval.high, goal.against);
        if (!result.reference.empty()) text += "(" + result.reference + ") ";
    }
    if (result.bound != goal.bound)
        text +=
            fmt::format("(cores far: {:g} of near cores became {:.3g}) ", goal.bound, result.bound);
    return text + (result.met ? "met\n" : "NOT MET\n");
}

}  // namespace

Results results_of(const Outcomes& outcomes, const Placement& placement, int calm_wanted) {
    Results results;
    results.placement = placement;
    results.rounds = outcomes.rounds;
    for (const CellOutcome& outcome : outcomes.cells) {
        CellReport report;
        report.outcome = &outcome;
        const int wanted = std::min(calm_wanted, outcome.planned.rounds_max);
        report.verdict = judge_runs(outcome.planned.cell, outcome.runs, placement, wanted);
        report.median = median_of(report.verdict.used);
        std::vector<double> before;
        std::vector<double> after;
        for (const CellRun& run : report.verdict.used) {
            before.push_back(run.raw_before_ns);
            after.push_back(run.raw_after_ns);
        }
        report.raw_before_ns = median(std::move(before));
        report.raw_after_ns = median(std::move(after));
        results.cells.push_back(std::move(report));
    }
    for (const Goal& goal : goals_for(outcomes))
        results.goals.push_back(judge_goal(goal, outcomes));
    return results;
}

std::string to_text(const Results& results) {
    std::string text = fmt::format("commit {}, {}, processors {} and {}, {} rounds\n\n",
                                   results.commit, results.machine, results.placement.processors[0],
                                   results.placement.processors[1], results.rounds);
    for (const CellReport& report : results.cells) text += cell_text(report);
    text += "\n";
    for (const GoalResult& result : results.goals) text += goal_text(result);
    std::map<std::string, int> reasons;
    for (const CellReport& report : results.cells)
        if (!report.outcome->runs.empty() && !report.verdict.trusted)
            ++reasons[report.verdict.why_not];
    if (!reasons.empty()) text += "\nNOT TO BE TRUSTED:\n";
    for (const auto& [reason, count] : reasons)
        text += fmt::format("  {} cells: {}\n", count, reason);
    return text;
}

}  // namespace weir::bench
