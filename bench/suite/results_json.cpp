// SPDX-License-Identifier: Apache-2.0
//
// The results as JSON; the only file here that sees the JSON library, which is slow to compile.
#include <nlohmann/json.hpp>

#include "bench/suite/results.hpp"

namespace weir::bench {
namespace {

using nlohmann::json;

json number_or_null(double value) { return value > 0 ? json(value) : json(nullptr); }

json latency_json(const LatencyFigures& latency) {
    if (latency.samples == 0) return nullptr;
    return {{"p50", latency.ns_p50},      {"p99", latency.ns_p99}, {"p99.9", latency.ns_p999},
            {"p99.99", latency.ns_p9999}, {"max", latency.ns_max}, {"samples", latency.samples}};
}

json cell_json(const Results& results, const CellReport& report) {
    const Cell& cell = report.outcome->planned.cell;
    const Measured& median = report.median;
    const bool ran = !report.outcome->runs.empty();
    json object{{"scenario", cell.scenario},
                {"system", cell.system},
                {"size", cell.size},
                {"mode", mode_name(cell.mode)},
                {"rate_wanted_per_s", number_or_null(cell.rate_per_s)},
                {"rate_per_s", number_or_null(median.rate_per_s)},
                {"msgs_per_s", number_or_null(median.msgs_per_s)},
                {"bytes_per_s", number_or_null(median.bytes_per_s)},
                {"latency_ns", latency_json(median.latency)},
                {"counts", median.counts},
                {"state", median.state},
                {"raw_rtt_ns", {{"before", report.raw_before_ns}, {"after", report.raw_after_ns}}},
                {"distance", report.verdict.distance == Distance::near ? "near" : "far"},
                {"rounds", report.outcome->runs.size()},
                {"calm_rounds", report.verdict.calm},
                {"available", ran},
                {"trusted", report.verdict.trusted},
                {"why_not", ran ? report.verdict.why_not : report.outcome->failure},
                {"settings", results.settings.at(cell.system)},
                {"commit", results.commit},
                {"machine", results.machine},
                {"goal", nullptr},
                {"ratio", nullptr},
                {"met", nullptr}};
    json& per_round = object["per_round"] = json::array();
    for (const CellRun& run : report.outcome->runs)
        per_round.push_back({{"round", run.round},
                             {"msgs_per_s", number_or_null(run.measured.msgs_per_s)},
                             {"p50_ns", number_or_null(run.measured.latency.ns_p50)},
                             {"raw_rtt_ns", run.raw_ns()}});
    return object;
}

json goal_json(const Results& results, const GoalResult& result) {
    const Goal& goal = result.goal;
    json object;
    for (const CellReport& report : results.cells)
        if (report.outcome->planned.cell == goal.subject) object = cell_json(results, report);
    object.erase("per_round");
    object["what"] = goal.what;
    object["against"] = goal.against;
    object["reference"] = result.reference;
    object["goal"] = result.bound;
    object["goal_near"] = goal.bound;
    object["goal_is"] = goal.at_most ? "at most" : "at least";
    object["absolute"] = goal.absolute;
    object["unit"] = goal.unit;
    object["ratio"] = result.measured ? json(result.ratio) : json(nullptr);
    object["value"] = result.measured ? json(result.value) : json(nullptr);
    object["interval"] = {{"low", result.interval.low},
                          {"high", result.interval.high},
                          {"confidence", result.interval.confidence}};
    object["ratios"] = result.ratios;
    object["met"] = result.measured ? json(result.met) : json(nullptr);
    return object;
}

}  // namespace

std::string to_json(const Results& results) {
    json list = json::array();
    for (const CellReport& report : results.cells) list.push_back(cell_json(results, report));
    for (const GoalResult& result : results.goals) list.push_back(goal_json(results, result));
    return list.dump(1);
}

}  // namespace weir::bench
