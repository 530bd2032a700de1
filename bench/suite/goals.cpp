// SPDX-License-Identifier: Apache-2.0
//
// See goals.hpp.
#include "bench/suite/goals.hpp"

#include <algorithm>

namespace weir::bench {
namespace {

constexpr std::uint64_t kib = 1024;
constexpr std::uint64_t mib = 1024 * kib;

Cell weir_cell(std::string scenario, std::uint64_t size, Mode mode) {
    return {std::move(scenario), "weir", size, mode, 0};
}

Cell stream_cell(std::string system, std::uint64_t size, Mode mode = Mode::spin) {
    return {"one_to_one", std::move(system), size, mode, 0};
}

std::vector<Cell> streams_of_kind(const Outcomes& outcomes, Kind kind, std::uint64_t size) {
    std::vector<Cell> cells;
    for (const CellOutcome& outcome : outcomes.cells) {
        const Cell& cell = outcome.planned.cell;
        if (outcome.kind == kind && cell.scenario == "one_to_one" && cell.size == size)
            cells.push_back(cell);
    }
    return cells;
}

std::vector<Cell> copy_streams(std::uint64_t size) {
    return {stream_cell("copy stream, out of L2", size), stream_cell("copy stream, from L3", size)};
}

Goal most(std::string what, Cell subject, std::string against, std::vector<Cell> references,
          double bound) {
    Goal goal{std::move(what), std::move(subject), std::move(against), std::move(references)};
    goal.figure = Figure::latency;
    goal.at_most = true;
    goal.bound = bound;
    return goal;
}

Goal least(std::string what, Cell subject, std::string against, std::vector<Cell> references,
           double bound, bool peer = false) {
    Goal goal{std::move(what), std::move(subject), std::move(against), std::move(references)};
    goal.bound = bound;
    goal.peer = peer;
    return goal;
}

Goal counted(std::string what, Cell subject, std::string name, std::string unit, double bound) {
    Goal goal{std::move(what), std::move(subject), "the bound", {}};
    goal.figure = Figure::count;
    goal.count = std::move(name);
    goal.at_most = true;
    goal.absolute = true;
    goal.bound = bound;
    goal.unit = std::move(unit);
    return goal;
}

double figure_of(const Goal& goal, const Measured& measured) {
    switch (goal.figure) {
        case Figure::latency: return measured.latency.ns_p50;
        case Figure::messages: return measured.msgs_per_s;
        case Figure::bytes: return measured.bytes_per_s;
        case Figure::count: {
            const auto found = measured.counts.find(goal.count);
            return found == measured.counts.end() ? 0 : found->second;
        }
    }
    return 0;
}

const CellRun* run_of_round(const CellOutcome& outcome, int round) {
    for (const CellRun& run : outcome.runs)
        if (run.round == round) return &run;
    return nullptr;
}

double median_figure(const Goal& goal, const CellOutcome& outcome) {
    std::vector<double> figures;
    for (const CellRun& run : outcome.runs) figures.push_back(figure_of(goal, run.measured));
    return median(std::move(figures));
}

const CellOutcome* best_reference(const Goal& goal, const Outcomes& outcomes) {
    const CellOutcome* best = nullptr;
    for (const Cell& cell : goal.references) {
        const CellOutcome* const outcome = outcomes.find(cell);
        if (outcome == nullptr || outcome->runs.empty()) continue;
        if (best == nullptr) {
            best = outcome;
            continue;
        }
        const double ours = median_figure(goal, *outcome);
        const double theirs = median_figure(goal, *best);
        if (goal.figure == Figure::latency ? ours < theirs : ours > theirs) best = outcome;
    }
    return best;
}

// 0.8 of what the best plain ring reaches against the same peer, in the same rounds.
double far_bound(const Goal& goal, const Outcomes& outcomes, const CellOutcome& peer) {
    const CellOutcome* const ring = outcomes.find(stream_cell("plain ring", goal.subject.size));
    std::vector<double> ratios;
    for (const CellRun& run : peer.runs) {
        const CellRun* const beside = ring ? run_of_round(*ring, run.round) : nullptr;
        const double by = figure_of(goal, run.measured);
        if (beside != nullptr && by > 0) ratios.push_back(figure_of(goal, beside->measured) / by);
    }
    constexpr double share = 0.8;
    return ratios.empty() ? goal.bound : std::min(goal.bound, share * median(std::move(ratios)));
}

}  // namespace

std::vector<Goal> goals_for(const Outcomes& outcomes) {
    const Cell trip = weir_cell("ping_pong", 64, Mode::spin);
    const Cell parked = weir_cell("ping_pong", 64, Mode::park);
    const Cell small = weir_cell("one_to_one", 64, Mode::spin);
    const Cell middle = weir_cell("one_to_one", 256, Mode::spin);
    const std::vector<Cell> sockets{
        stream_cell("unix stream", 64, Mode::park), stream_cell("unix stream", 64),
        stream_cell("unix seqpacket", 64, Mode::park), stream_cell("unix seqpacket", 64)};
    const std::vector<Cell> coalescing{stream_cell("unix stream, coalescing", 64, Mode::park),
                                       stream_cell("unix stream, coalescing", 64)};
    std::vector<Goal> goals{
        most("round trip 64 B, busy polling", trip, "a hand-written lane without a broker",
             {{"ping_pong", "hand lane", 64, Mode::spin, 0}}, 1.1),
        most("round trip 64 B, busy polling", trip, "the raw cache-line ping-pong", {}, 2.1),
        most("round trip 64 B, parked on both sides", parked, "the raw futex round trip",
             {{"ping_pong", "futex", 64, Mode::park, 0}}, 1.3),
        counted("waits a side and trip, parked", parked, "waits_per_trip", "", 1.05),
        counted("wakes a side and trip, parked", parked, "wakes_per_trip", "", 1.05),
        counted("membarriers a side and trip, parked", parked, "membarriers_per_trip", "", 1.05),
        counted("waits a side and trip, both awake", trip, "waits_per_trip", "", 0.01),
        counted("wakes a side and trip, both awake", trip, "wakes_per_trip", "", 0.01),
        counted("membarriers a side and trip, both awake", trip, "membarriers_per_trip", "", 0.01),
        most("round trip 64 B through epoll", weir_cell("ping_pong", 64, Mode::epoll),
             "the raw eventfd round trip", {{"ping_pong", "eventfd", 64, Mode::park, 0}}, 1.3),
        least("64 B, one to one", small, "the best plain ring", {stream_cell("plain ring", 64)},
              0.7),
        least("64 B, one to one", small, "the best peer that sends message by message",
              streams_of_kind(outcomes, Kind::single, 64), 5, true),
        least("64 B, one to one", small, "the coalescing socket", coalescing, 2, true),
        least("64 B, one to one", small, "the socket with one write per message", sockets, 100,
              true),
        least("1 KiB, one to one", weir_cell("one_to_one", kib, Mode::spin), "the raw copy stream",
              copy_streams(kib), 0.8),
        least("64 KiB, one to one", weir_cell("one_to_one", 64 * kib, Mode::spin),
              "the raw copy stream", copy_streams(64 * kib), 0.8),
        least("1 MiB built in place", weir_cell("in_place", mib, Mode::spin), "the raw copy stream",
              copy_streams(mib), 0.9),
        most("round trip of an untouched 1 MiB record", weir_cell("untouched", mib, Mode::spin),
             "the same with 64 B", {weir_cell("untouched", 64, Mode::spin)}, 1.1),
        least("fan-out to 4 subscribers, 256 B", weir_cell("fan_out", 256, Mode::park),
              "one to one", {middle}, 1.5),
        least("fan-in from 4 producers, 256 B", weir_cell("fan_in", 256, Mode::park), "one to one",
              {middle}, 0.5),
        counted("idle broker and parked clients, CPU in ten seconds",
                weir_cell("idle", 64, Mode::park), "cpu_ms", "ms", 5),
        counted("start of a broker to the first message",
                weir_cell("first_message", 64, Mode::park), "first_message_ms", "ms", 50),
    };
    // Of a run with fewer cells, such as the guard's: only what it can judge.
    std::erase_if(goals, [&](const Goal& goal) {
        if (outcomes.find(goal.subject) == nullptr) return true;
        const bool raw = goal.references.empty() && !goal.peer;
        return !raw && std::none_of(goal.references.begin(), goal.references.end(),
                                    [&](const Cell& cell) { return outcomes.find(cell); });
    });
    return goals;
}

GoalResult judge_goal(const Goal& goal, const Outcomes& outcomes) {
    GoalResult result;
    result.goal = goal;
    result.bound = goal.bound;
    const CellOutcome* const subject = outcomes.find(goal.subject);
    const CellOutcome* const reference = best_reference(goal, outcomes);
    const bool alone = goal.references.empty();
    if (subject == nullptr || subject->runs.empty() || (!alone && reference == nullptr))
        return result;
    int far = 0;
    for (const CellRun& run : subject->runs) {
        const double figure = figure_of(goal, run.measured);
        double by = goal.absolute ? goal.bound : run.raw_ns();
        if (!alone) {
            const CellRun* const beside = run_of_round(*reference, run.round);
            by = beside != nullptr ? figure_of(goal, beside->measured) : 0;
        }
        if (by <= 0) continue;
        result.ratios.push_back(figure / by);
        far += run.distance() == Distance::far ? 1 : 0;
    }
    if (result.ratios.empty()) return result;
    result.measured = true;
    result.reference = reference != nullptr ? reference->planned.cell.system : "";
    result.ratio = median(result.ratios);
    result.interval = median_interval(result.ratios);
    result.value = goal.absolute ? result.ratio * goal.bound : result.ratio;
    const bool mostly_far = 2 * far > static_cast<int>(result.ratios.size());
    if (goal.peer && mostly_far) result.bound = far_bound(goal, outcomes, *reference);
    const double compared = goal.absolute ? result.value : result.ratio;
    result.met = goal.at_most ? compared <= result.bound : compared >= result.bound;
    return result;
}

}  // namespace weir::bench
