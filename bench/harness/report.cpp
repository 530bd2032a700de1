// SPDX-License-Identifier: Apache-2.0
//
// Choosing the headline, and the report for people; see report.hpp.
#include "bench/harness/report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "core/base/bytes.hpp"

namespace weir::bench {
namespace {

int rounds_of(const std::optional<DistanceFigures>& figures) {
    return figures ? figures->rounds : 0;
}

std::string figures_text(const DistanceFigures& figures) {
    constexpr double million = 1e6;
    constexpr double giga = 1e9;
    std::string text;
    auto row = [&](std::string_view name, double value, std::string_view unit,
                   std::string_view bound, double limit, double ratio) {
        text += fmt::format("  {:<14} {:>10.2f} {:<4}  {:<14} {:>10.2f} {:<4}  ratio {:.2f}\n",
                            name, value, unit, bound, limit, unit, ratio);
    };
    row("round trip p50", figures.rtt.ns_p50, "ns", "raw ping-pong", figures.raw_rtt_ns,
        figures.rtt_ratio());
    text += fmt::format("             p99 {:>8.0f}     ns    p99.9 {:.0f} ns, p99.99 {:.0f} ns\n",
                        figures.rtt.ns_p99, figures.rtt.ns_p999, figures.rtt.ns_p9999);
    row("messages", figures.msgs_per_s / million, "M/s", "plain ring",
        figures.plain_ring_msgs_per_s / million, figures.plain_ring_ratio());
    row("", figures.msgs_per_s / million, "M/s", "unix socket", figures.uds_msgs_per_s / million,
        figures.uds_ratio());
    row("bytes", figures.bytes_per_s / giga, "GB/s", "copy stream", figures.copy_bytes_per_s / giga,
        figures.copy_ratio());
    if (figures.paced_rate_per_s > 0) {
        text += fmt::format("  at {:.0f}/s        p50 {:.0f} ns, p99 {:.0f} ns, p99.9 {:.0f} ns\n",
                            figures.paced_rate_per_s, figures.paced_latency.ns_p50,
                            figures.paced_latency.ns_p99, figures.paced_latency.ns_p999);
    }
    return text;
}

}  // namespace

const DistanceFigures* Report::headline() const {
    if (!near && !far) return disturbed ? &*disturbed : nullptr;
    return rounds_of(near) >= rounds_of(far) ? &*near : &*far;
}

int Report::calm_count() const { return std::max(rounds_of(near), rounds_of(far)); }

std::string distance_name(const Report& report) {
    if (!report.near && !report.far) return "disturbed";
    return rounds_of(report.near) >= rounds_of(report.far) ? "near" : "far";
}

std::string to_text(const Report& report) {
    std::string text = fmt::format(
        "{}: messages of {}, footprint {}, processors {} and {}, {} rounds\n", report.subject,
        format_size(report.message_bytes), format_size(report.footprint_bytes),
        report.placement.processors[0], report.placement.processors[1], report.rounds_run);
    for (auto [label, figures] :
         {std::pair{"cores near", &report.near}, std::pair{"cores far", &report.far},
          std::pair{"disturbed", &report.disturbed}}) {
        if (!figures->has_value()) continue;
        text += fmt::format("{} ({} rounds)\n", label, (*figures)->rounds);
        text += figures_text(**figures);
    }
    if (!report.trusted) text += "NOT TO BE TRUSTED: " + report.why_not + "\n";
    return text;
}

std::string result_name(const Report& report) {
    return fmt::format("{}-{}B-{}", report.subject, report.message_bytes, distance_name(report));
}

}  // namespace weir::bench
