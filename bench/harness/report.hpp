// SPDX-License-Identifier: Apache-2.0
//
// What a run of the benchmark says, and whether it should be believed.
//
// Every figure is a median over calm rounds of one distance; every ratio is the quotient of two
// reported figures. The distance with more calm rounds is the headline, the other is reported
// beside it. When no round was calm, the headline is the median over all of them, called disturbed.
// A report that is not `trusted` says in `why_not` what was wrong with the run; its figures are
// still given, for a look, not for a comparison.
#ifndef WEIR_BENCH_HARNESS_REPORT_HPP
#define WEIR_BENCH_HARNESS_REPORT_HPP

#include <cstdint>
#include <optional>
#include <string>

#include "bench/harness/round.hpp"
#include "bench/probes/latency.hpp"
#include "bench/probes/placement.hpp"

namespace weir::bench {

struct DistanceFigures {
    int rounds = 0;  // whose medians these are
    LatencyFigures rtt;
    double raw_rtt_ns = 0;
    double msgs_per_s = 0;
    double bytes_per_s = 0;
    double plain_ring_msgs_per_s = 0;
    double uds_msgs_per_s = 0;
    double uds_rtt_ns = 0;
    double copy_bytes_per_s = 0;
    RingShape plain_ring_shape;    // of the fastest round
    LatencyFigures paced_latency;  // empty unless a rate was asked for
    double paced_rate_per_s = 0;

    double rtt_ratio() const { return quotient(rtt.ns_p50, raw_rtt_ns); }
    double plain_ring_ratio() const { return quotient(msgs_per_s, plain_ring_msgs_per_s); }
    double uds_ratio() const { return quotient(msgs_per_s, uds_msgs_per_s); }
    double copy_ratio() const { return quotient(bytes_per_s, copy_bytes_per_s); }

private:
    static double quotient(double of, double by) { return by > 0 ? of / by : 0; }
};

struct Report {
    std::string subject;
    std::uint64_t message_bytes = 0;
    std::uint64_t footprint_bytes = 0;
    double rate_per_s = 0;  // asked for; 0: none
    Placement placement;
    int rounds_run = 0;
    std::optional<DistanceFigures> near;
    std::optional<DistanceFigures> far;
    std::optional<DistanceFigures> disturbed;  // only when no round was calm
    bool trusted = false;
    std::string why_not;  // empty when trusted

    // The distance with more calm rounds, else what is there; null only without any round.
    const DistanceFigures* headline() const;
    // Of the calm rounds behind the headline; 0 when it is disturbed.
    int calm_count() const;
};

// Of the headline: "near", "far", or "disturbed".
std::string distance_name(const Report& report);

// One object, keys as the command line's contract names them.
std::string to_json(const Report& report);

// For people: the figures of each distance, and the warning if there is one.
std::string to_text(const Report& report);

// "weir-64B-near": what a result file of this report is called.
std::string result_name(const Report& report);

}  // namespace weir::bench

#endif  // WEIR_BENCH_HARNESS_REPORT_HPP
