// SPDX-License-Identifier: Apache-2.0
#include "core/broker/disk.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

namespace weir::broker {
namespace {

// Several files at any limit, so that space comes back in small parts.
constexpr Bytes file_bytes_max = 64 << 20;
constexpr Bytes files_at_limit = 8;
constexpr Bytes file_bytes_min = 2 << 20;

io::SpillOptions spill_options(const Tables& tables, const FlowOptions& flow, Bytes limit) {
    io::SpillOptions options;
    options.directory = flow.directory;
    options.owner = spill_owner(tables.control.view().superblock().name);
    options.limit = limit;
    options.file_bytes =
        std::clamp(limit / files_at_limit / page_unit * page_unit, file_bytes_min, file_bytes_max);
    return options;
}

FlowMarks marks_of(const Tables& tables, const FlowOptions& flow) {
    const Bytes direct = tables.control.view().limits.direct_bytes;
    return {flow_threshold(flow, direct), flow_resume(flow, direct), flow.dwell_ns};
}

}  // namespace

std::string spill_owner(std::string_view broker) {
    return fmt::format("{}.{}", broker, ::getuid());
}

Disk::Disk(Tables& tables, io::Files& files, const FlowOptions& flow, Bytes limit)
    : store_(files, spill_options(tables, flow, limit), tables.clock),
      flow_(tables, store_, marks_of(tables, flow)) {}

bool Disk::turn() {
    if (!abandoned_) return flow_.turn();
    const bool more = store_.turn(~Bytes{0});
    while (store_.take_outcome()) {
    }
    return more;
}

void Disk::abandon() {
    abandoned_ = true;
    store_.abandon();
}

}  // namespace weir::broker
