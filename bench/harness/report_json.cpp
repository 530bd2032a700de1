// SPDX-License-Identifier: Apache-2.0
//
// The report as JSON; the only file here that sees the JSON library, which is slow to compile.
#include <nlohmann/json.hpp>

#include "bench/harness/report.hpp"

namespace weir::bench {
namespace {

using nlohmann::json;

json latency_json(const LatencyFigures& latency) {
    return {{"p50", latency.ns_p50},     {"p99", latency.ns_p99}, {"p999", latency.ns_p999},
            {"p9999", latency.ns_p9999}, {"max", latency.ns_max}, {"samples", latency.samples}};
}

json figures_json(const DistanceFigures& figures) {
    json object{{"rounds", figures.rounds},
                {"rtt_ns", latency_json(figures.rtt)},
                {"raw_rtt_ns", figures.raw_rtt_ns},
                {"rtt_ratio", figures.rtt_ratio()},
                {"msgs_per_s", figures.msgs_per_s},
                {"bytes_per_s", figures.bytes_per_s},
                {"plain_ring_msgs_per_s", figures.plain_ring_msgs_per_s},
                {"plain_ring_ratio", figures.plain_ring_ratio()},
                {"plain_ring_footprint", figures.plain_ring_shape.footprint_bytes},
                {"plain_ring_publish_every", figures.plain_ring_shape.publish_every},
                {"uds_msgs_per_s", figures.uds_msgs_per_s},
                {"uds_ratio", figures.uds_ratio()},
                {"uds_rtt_ns", figures.uds_rtt_ns},
                {"copy_bytes_per_s", figures.copy_bytes_per_s},
                {"copy_ratio", figures.copy_ratio()}};
    if (figures.paced_rate_per_s > 0) {
        object["paced_latency_ns"] = latency_json(figures.paced_latency);
        object["paced_rate_per_s"] = figures.paced_rate_per_s;
    }
    return object;
}

json distance_json(const std::optional<DistanceFigures>& figures) {
    return figures ? figures_json(*figures) : json(nullptr);
}

}  // namespace

std::string to_json(const Report& report) {
    // The headline's figures stand at the top, where the contract wants them, also when they come
    // from disturbed rounds: `trusted` is false then.
    const DistanceFigures* headline = report.headline();
    json object = figures_json(headline != nullptr ? *headline : DistanceFigures{});
    object["subject"] = report.subject;
    object["size"] = report.message_bytes;
    object["footprint"] = report.footprint_bytes;
    object["distance"] = distance_name(report);
    object["near"] = distance_json(report.near);
    object["far"] = distance_json(report.far);
    object["rounds_run"] = report.rounds_run;
    object["processors"] = {{"usable", report.placement.usable_count},
                            {"used", report.placement.processors},
                            {"pinned", report.placement.pinnable}};
    object["trusted"] = report.trusted;
    object["why_not"] = report.why_not;
    return object.dump(2);
}

}  // namespace weir::bench
