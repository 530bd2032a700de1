// SPDX-License-Identifier: Apache-2.0
//
// See plan.hpp. The plan is data: rows of scenario, mode, sizes.
#include "bench/suite/plan.hpp"

#include <algorithm>
#include <string_view>

#include "core/base/clock.hpp"

namespace weir::bench {
namespace {

constexpr std::uint64_t kib = 1024;
constexpr std::uint64_t mib = 1024 * kib;

using Sizes = std::vector<std::uint64_t>;

struct Row {
    std::string_view scenario;
    Mode mode;
    Sizes sizes;
    double rate_per_s = 0;
};

Sizes all_sizes() { return {64, 256, kib, 4 * kib, 16 * kib, 64 * kib, 256 * kib, mib}; }

const std::vector<Row>& weir_rows(Extent extent) {
    static const std::vector<Row> table{
        {"ping_pong", Mode::spin, {64, kib, 64 * kib}},
        {"ping_pong", Mode::park, {64}},
        {"ping_pong", Mode::epoll, {64}},
        {"one_to_one", Mode::spin, {64, 256, kib, 64 * kib, mib}},
        {"one_to_one", Mode::park, {64}},
        {"in_place", Mode::spin, {mib}},
        {"untouched", Mode::spin, {64, mib}},
        {"open_loop", Mode::spin, {64}, 100'000},
        {"open_loop", Mode::spin, {64}, 1'000'000},
        {"open_loop", Mode::park, {64}, 10'000},
        {"fan_in", Mode::park, {256}},
        {"fan_out", Mode::park, {256}},
        {"competing", Mode::park, {64}},
        {"slow_consumer", Mode::spin, {256}},
        {"many_destinations", Mode::spin, {64}},
        {"oversubscribed", Mode::park, {64}},
        {"first_message", Mode::park, {64}},
        {"flow_to_disk", Mode::park, {4 * kib}},
        {"idle", Mode::park, {64}},
    };
    static const std::vector<Row> full = [] {
        std::vector<Row> rows = table;
        rows.push_back({"ping_pong", Mode::spin, all_sizes()});
        rows.push_back({"ping_pong", Mode::park, all_sizes()});
        rows.push_back({"one_to_one", Mode::spin, all_sizes()});
        rows.push_back({"one_to_one", Mode::park, all_sizes()});
        rows.push_back({"fan_in", Mode::park, all_sizes()});
        rows.push_back({"fan_out", Mode::park, all_sizes()});
        rows.push_back({"open_loop", Mode::park, {64}, 100'000});
        return rows;
    }();
    static const std::vector<Row> guard{
        {"ping_pong", Mode::spin, {64}},
        {"ping_pong", Mode::park, {64}},
        {"one_to_one", Mode::spin, {64, kib}},
    };
    if (extent == Extent::full) return full;
    return extent == Extent::guard ? guard : table;
}

std::vector<Row> limit_rows(Extent extent) {
    if (extent == Extent::guard)
        return {{"ping_pong", Mode::park, {64}},
                {"ping_pong", Mode::spin, {64}},
                {"one_to_one", Mode::spin, {64, kib}}};
    const Sizes sizes = extent == Extent::full ? all_sizes() : Sizes{64, kib, 64 * kib, mib};
    return {{"ping_pong", Mode::park, {64}},
            {"ping_pong", Mode::spin, {64}},
            {"one_to_one", Mode::spin, sizes}};
}

std::vector<Row> peer_rows(const System& peer, Extent extent) {
    if (extent == Extent::guard)
        return peer.name() == "unix stream" ? std::vector<Row>{{"one_to_one", Mode::park, {64}}}
                                            : std::vector<Row>{};
    const Sizes sizes = extent == Extent::full ? all_sizes() : Sizes{64, kib, 64 * kib};
    std::vector<Row> rows{{"one_to_one", Mode::park, sizes},
                          {"one_to_one", Mode::spin, sizes},
                          {"ping_pong", Mode::park, sizes},
                          {"ping_pong", Mode::spin, sizes}};
    if (extent == Extent::full) rows.push_back({"open_loop", Mode::park, {64}, 10'000});
    return rows;
}

PlannedCell planned(const Cell& cell, Extent extent, Kind kind) {
    PlannedCell plan;
    plan.cell = cell;
    plan.leg_ns = (kind == Kind::weir || kind == Kind::limit ? 120 : 80) * ns_per_ms;
    if (extent == Extent::guard) plan.leg_ns = 40 * ns_per_ms;
    if (cell.rate_per_s > 0) {
        const double seconds = extent == Extent::smoke ? 0.01 : 0.3;
        plan.leg_ns = 0;
        plan.count = static_cast<std::uint64_t>(cell.rate_per_s * seconds) + 16;
    }
    if (cell.scenario == "idle") {
        plan.leg_ns = 0;
        plan.count = extent == Extent::smoke ? 1 : 10;  // seconds
        plan.rounds_max = 1;
    }
    if (cell.scenario == "flow_to_disk") {
        plan.leg_ns = 0;
        plan.rounds_max = extent == Extent::full ? 5 : 3;
    }
    if (cell.scenario == "first_message") plan.leg_ns = 0;
    if (extent == Extent::smoke) {
        plan.rounds_max = 1;
        if (plan.leg_ns != 0) plan.count = 200;
        plan.leg_ns = 0;
    }
    return plan;
}

}  // namespace

std::vector<PlannedCell> cells_of(const System& system, Extent extent) {
    std::vector<Row> rows = system.kind() == Kind::limit  ? limit_rows(extent)
                            : system.kind() == Kind::weir ? weir_rows(extent)
                                                          : peer_rows(system, extent);
    if (extent == Extent::guard && system.name() == "weir queue") rows.clear();
    std::vector<PlannedCell> cells;
    for (const Row& row : rows) {
        for (std::uint64_t size : row.sizes) {
            const Cell cell{std::string(row.scenario), system.name(), size, row.mode,
                            row.rate_per_s};
            const bool known = std::any_of(cells.begin(), cells.end(), [&](const PlannedCell& one) {
                return one.cell == cell;
            });
            if (!known && system.has(cell)) cells.push_back(planned(cell, extent, system.kind()));
        }
    }
    return cells;
}

}  // namespace weir::bench
