// SPDX-License-Identifier: Apache-2.0
//
// One frame as JSON. Keys that `weir stat --json` has too have the same names.
#include <nlohmann/json.hpp>

#include "core/base/clock.hpp"
#include "tools/top_frame.hpp"

namespace weir::tools {
namespace {

using nlohmann::json;

json use_json(const inspect::RegionUse& use) {
    return {{"capacity", use.capacity}, {"used", use.used}, {"peak", use.peak}};
}

json filling_json(const inspect::RegionUse& use, std::uint64_t full_s) {
    json object = use_json(use);
    object["seconds_until_full"] = nullptr;
    if (full_s != 0) object["seconds_until_full"] = full_s;
    return object;
}

double seconds(std::uint64_t span_ns) {
    return static_cast<double>(span_ns) / static_cast<double>(ns_per_s);
}

}  // namespace

std::string top_json(const TopFrame& frame) {
    json destinations = json::array();
    for (const TopDestination& one : frame.destinations)
        destinations.push_back({{"name", one.books.name},
                                {"direct_bytes", one.books.direct_bytes},
                                {"disk_bytes", one.books.disk_bytes},
                                {"limit", one.books.limit},
                                {"depth_messages", one.books.depth_messages},
                                {"depth_bytes", one.books.depth_bytes},
                                {"in_per_s", one.in_per_s},
                                {"out_per_s", one.out_per_s},
                                {"producers", one.books.producers},
                                {"consumers", one.books.consumers},
                                {"blocked_producers", one.books.blocked_producers}});
    json blocked = json::array();
    for (const TopBlocked& one : frame.blocked)
        blocked.push_back({{"destination", one.destination},
                           {"pid", one.pid},
                           {"name", one.process},
                           {"reason", one.reason},
                           {"waits_s", seconds(one.waits_ns)}});
    json slow = json::array();
    for (const TopSlow& one : frame.slow)
        slow.push_back({{"destination", one.destination},
                        {"pid", one.pid},
                        {"name", one.process},
                        {"behind", one.behind},
                        {"prefetch", one.prefetch},
                        {"why", one.why}});
    const json object{{"broker",
                       {{"name", frame.broker.name},
                        {"pid", frame.broker.pid},
                        {"uptime_s", frame.uptime_s},
                        {"epoch", frame.broker.epoch},
                        {"state", name_of(frame.state)}}},
                      {"direct", filling_json(frame.direct, frame.direct_full_s)},
                      {"heap", use_json(frame.heap)},
                      {"disk", filling_json(frame.disk, frame.disk_full_s)},
                      {"in_per_s", frame.in_per_s},
                      {"out_per_s", frame.out_per_s},
                      {"destinations", destinations},
                      {"blocked", blocked},
                      {"slow", slow}};
    return object.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace weir::tools
