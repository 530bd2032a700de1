// SPDX-License-Identifier: Apache-2.0
//
// See run.hpp.
#include "bench/harness/run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

namespace weir::bench {
namespace {

// How many messages fill the subject's legs; kept over the rounds.
struct SubjectScales {
    LegScale round_trip{1000};
    LegScale throughput{1000};
};

// A window may grow in the leg that was sized by it: each leg that it outgrew is run again.
constexpr int window_doublings_max = 15;  // from the smallest page to the largest window

Probed<SubjectThroughput> throughput_leg(const RunPlan& plan, Subject& subject, LegScale& scale) {
    std::uint64_t size = std::max<std::uint64_t>(plan.message_bytes, 8);
    for (int run = 0;; ++run) {
        // One window more than asked for: the last one is only partly used.
        std::uint64_t bytes_min = (RunPlan::windows_min + 1) * subject.footprint_bytes(size);
        std::uint64_t messages_min = bytes_min / size + 1;
        auto leg = run_scaled(scale, plan.subject_leg_ns, [&](std::uint64_t count) {
            return subject.throughput(plan.message_bytes, std::max(count, messages_min));
        });
        if (!leg || run == window_doublings_max) return leg;
        if (leg->granted_bytes >= RunPlan::windows_min * subject.footprint_bytes(size)) return leg;
    }
}

Probed<Round> run_round(const RunPlan& plan, Machine& machine, Subject& subject,
                        SubjectScales& scales) {
    Round round;
    // Each step stores its figures, or ends the round with its error.
    auto take = [](auto& into, auto figures) -> Probed<void> {
        if (!figures) return fail(figures.error());
        into = *figures;
        return {};
    };
    std::uint64_t size = plan.message_bytes;
    std::uint64_t footprint = subject.footprint_bytes(size);
    if (auto ok = take(round.raw[0], machine.raw()); !ok) return fail(ok.error());
    auto round_trip = run_scaled(scales.round_trip, plan.subject_leg_ns, [&](std::uint64_t count) {
        return subject.round_trip(size, count);
    });
    if (auto ok = take(round.round_trip, round_trip); !ok) return fail(ok.error());
    if (plan.rate_per_s > 0) {
        double seconds = static_cast<double>(plan.subject_leg_ns) / static_cast<double>(ns_per_s);
        auto count = static_cast<std::uint64_t>(plan.rate_per_s * seconds) + 1;
        auto paced = subject.paced(size, count, plan.rate_per_s);
        if (auto ok = take(round.paced, paced); !ok) return fail(ok.error());
    }
    if (auto ok = take(round.raw[1], machine.raw()); !ok) return fail(ok.error());
    auto throughput = throughput_leg(plan, subject, scales.throughput);
    if (auto ok = take(round.throughput, throughput); !ok) return fail(ok.error());
    auto ring = machine.plain_ring(size, footprint);
    if (auto ok = take(round.plain_ring, ring); !ok) return fail(ok.error());
    auto copy = machine.copy_stream(size, footprint);
    if (auto ok = take(round.copy_stream, copy); !ok) return fail(ok.error());
    if (auto ok = take(round.socket, machine.socket(size)); !ok) return fail(ok.error());
    auto socket_round_trip = machine.socket_round_trip(size);
    if (auto ok = take(round.socket_round_trip, socket_round_trip); !ok) return fail(ok.error());
    if (auto ok = take(round.raw[2], machine.raw()); !ok) return fail(ok.error());
    return round;
}

// The middle value of what `value_of` sees in `rounds`; of an even number, the lower middle one.
template <class ValueOf>
double median(std::span<const Round> rounds, const ValueOf& value_of) {
    std::vector<double> values;
    for (const Round& round : rounds) values.push_back(value_of(round));
    std::sort(values.begin(), values.end());
    return values.empty() ? 0 : values[(values.size() - 1) / 2];
}

// Percentile by percentile, over latencies that `latency_of` finds in each round.
template <class LatencyOf>
LatencyFigures median_latency(std::span<const Round> rounds, const LatencyOf& latency_of) {
    auto of = [&](double LatencyFigures::*part) {
        return median(rounds, [&](const Round& round) { return latency_of(round).*part; });
    };
    LatencyFigures figures;
    figures.ns_p50 = of(&LatencyFigures::ns_p50);
    figures.ns_p99 = of(&LatencyFigures::ns_p99);
    figures.ns_p999 = of(&LatencyFigures::ns_p999);
    figures.ns_p9999 = of(&LatencyFigures::ns_p9999);
    figures.ns_max = of(&LatencyFigures::ns_max);
    figures.interrupted_share = of(&LatencyFigures::interrupted_share);
    for (const Round& round : rounds) figures.samples += latency_of(round).samples;
    return figures;
}

// C1, C2
std::vector<Round> calm_rounds(std::span<const Round> all, Distance distance) {
    std::vector<Round> rounds;
    for (const Round& round : all) {
        if (round.calm() && round.distance() == distance) rounds.push_back(round);
    }
    return rounds;
}

std::optional<DistanceFigures> figures_of(std::span<const Round> rounds) {
    if (rounds.empty()) return std::nullopt;
    DistanceFigures figures;
    figures.rounds = static_cast<int>(rounds.size());
    figures.rtt = median_latency(rounds, [](const Round& r) { return r.round_trip.rtt; });
    figures.raw_rtt_ns = median(rounds, [](const Round& r) { return r.raw_ns(); });
    figures.msgs_per_s = median(rounds, [](const Round& r) { return r.throughput.msgs_per_s; });
    figures.bytes_per_s = median(rounds, [](const Round& r) { return r.throughput.bytes_per_s; });
    figures.plain_ring_msgs_per_s =
        median(rounds, [](const Round& r) { return r.plain_ring.msgs_per_s; });
    figures.uds_msgs_per_s = median(rounds, [](const Round& r) { return r.socket.msgs_per_s; });
    figures.uds_rtt_ns =
        median(rounds, [](const Round& r) { return r.socket_round_trip.rtt.ns_p50; });
    figures.copy_bytes_per_s =
        median(rounds, [](const Round& r) { return r.copy_stream.bytes_per_s; });
    figures.plain_ring_shape =
        std::max_element(rounds.begin(), rounds.end(), [](const Round& a, const Round& b) {
            return a.plain_ring.msgs_per_s < b.plain_ring.msgs_per_s;
        })->plain_ring.shape;
    figures.paced_latency = median_latency(rounds, [](const Round& r) { return r.paced.latency; });
    figures.paced_rate_per_s = median(rounds, [](const Round& r) { return r.paced.rate_per_s; });
    return figures;
}

// All reasons, as sentences; empty when there is none.
std::string reasons_against(const RunPlan& plan, const Report& report,
                            std::span<const Round> rounds) {
    std::vector<std::string> reasons;
    const Placement& placement = report.placement;
    if (placement.shares_one()) {
        reasons.push_back("Only one processor is usable: both sides had to share it.");
    } else if (placement.siblings) {
        reasons.push_back("The two usable processors are threads of one core.");
    }
    if (!placement.pinnable) reasons.push_back("The kernel refused to pin the processes.");
    const DistanceFigures* headline = report.headline();
    if (report.calm_count() < plan.rounds_wanted) {
        reasons.push_back(fmt::format(
            "Only {} of {} rounds were calm and at one distance ({} wanted): in the others the raw "
            "ping-pong moved by more than a tenth, or other programs used the processors.",
            report.calm_count(), rounds.size(), plan.rounds_wanted));
    }
    std::uint64_t granted_min = RunPlan::windows_min * report.footprint_bytes;
    bool renewed = std::all_of(rounds.begin(), rounds.end(), [&](const Round& round) {
        return round.throughput.granted_bytes >= granted_min;
    });
    if (!renewed) {
        reasons.push_back(
            fmt::format("A throughput leg moved less than {} windows.", RunPlan::windows_min));
    }
    constexpr double reached = 0.99;
    if (headline != nullptr && headline->paced_rate_per_s < reached * plan.rate_per_s) {
        reasons.push_back(fmt::format("The rate of {:.0f}/s was not reached, only {:.0f}/s.",
                                      plan.rate_per_s, headline->paced_rate_per_s));
    }
    return fmt::format("{}", fmt::join(reasons, " "));
}

bool enough(const RunPlan& plan, std::span<const Round> rounds) {
    auto wanted = static_cast<std::size_t>(plan.rounds_wanted);
    return calm_rounds(rounds, Distance::near).size() >= wanted ||
           calm_rounds(rounds, Distance::far).size() >= wanted;
}

}  // namespace

Report summarize(const RunPlan& plan, const Subject& subject, std::span<const Round> rounds) {
    Report report;
    report.subject = subject.name();
    report.message_bytes = plan.message_bytes;
    report.footprint_bytes = subject.footprint_bytes(plan.message_bytes);
    report.rate_per_s = plan.rate_per_s;
    report.placement = plan.placement;
    report.rounds_run = static_cast<int>(rounds.size());
    report.near = figures_of(calm_rounds(rounds, Distance::near));
    report.far = figures_of(calm_rounds(rounds, Distance::far));
    if (!report.near && !report.far) report.disturbed = figures_of(rounds);
    report.why_not = reasons_against(plan, report, rounds);
    report.trusted = report.why_not.empty();
    return report;
}

Probed<Report> run_comparison(const RunPlan& plan, Machine& machine, Subject& subject) {
    std::vector<Round> rounds;
    SubjectScales scales;
    const std::uint64_t began_ns = monotonic_ns();
    auto may_go_on = [&] {
        return static_cast<int>(rounds.size()) < plan.rounds_max() &&
               monotonic_ns() - began_ns < plan.budget_ns;
    };
    while (rounds.empty() || (!enough(plan, rounds) && may_go_on())) {
        auto round = run_round(plan, machine, subject, scales);
        if (!round) return fail(round.error());
        rounds.push_back(*round);
    }
    return summarize(plan, subject, rounds);
}

}  // namespace weir::bench
