// SPDX-License-Identifier: Apache-2.0
//
// The account trees as `control` shows them (shm/usage.hpp): who holds how much of which limit.
//
// A lane is a leaf of the producer part, a subscription one of the consumer part. Users and
// sessions are no nodes but sums over charges, so they stand behind the trees. What holds nothing
// and never did is left out, or ten thousand idle destinations would hide the one that is full.
#include <fmt/format.h>

#include "core/base/bytes.hpp"
#include "tools/stat_report.hpp"
#include "tools/table.hpp"

namespace weir::tools {
namespace {

using inspect::RegionUse;

class Tree {
public:
    void node(std::size_t depth, const std::string& name, const RegionUse& use) {
        rows_.push_back({std::string(2 * depth, ' ') + name, format_size(use.used),
                         use.capacity == 0 ? "-" : format_size(use.capacity),
                         percent_of(use.used, use.capacity),
                         use.peak == 0 ? "-" : format_size(use.peak)});
    }
    void known(std::size_t depth, const std::string& name, const RegionUse& use) {
        if (use.used != 0 || use.peak != 0) node(depth, name, use);
    }
    std::string text() const { return laid_out(rows_); }

private:
    std::vector<Row> rows_{{"account", "used", "limit", "", "peak"}};
};

void direct_tree(const inspect::Snapshot& snapshot, Tree& tree) {
    tree.node(0, "direct", snapshot.direct);
    tree.known(1, "producer part", snapshot.direct_parts.producer);
    for (const auto& books : snapshot.destinations) {
        // The destination's limit is for both parts, so it stands at the sum.
        RegionUse use = books.direct;
        if (use.used == 0) use.used = books.direct_bytes;
        if (use.capacity == 0) use.capacity = books.limit;
        tree.known(2, printable(books.name), use);
        for (const auto& lane : snapshot.lanes)
            if (lane.destination == books.name && lane.direct_bytes != 0)
                tree.node(3, fmt::format("lane {}", lane.lane), {0, lane.direct_bytes, 0});
    }
    tree.known(1, "consumer part", snapshot.direct_parts.consumer);
    for (const auto& books : snapshot.destinations)
        tree.known(2, printable(books.name), books.direct_parts.consumer);
}

void heap_tree(const inspect::Snapshot& snapshot, Tree& tree) {
    tree.node(0, "heap", snapshot.heap);
    tree.known(1, "tables", snapshot.heap_tables);
    tree.known(1, "sessions", snapshot.heap_sessions);
    tree.known(1, "producer part", snapshot.heap_parts.producer);
    tree.known(1, "consumer part", snapshot.heap_parts.consumer);
    for (const auto& books : snapshot.destinations)
        tree.known(1, printable(books.name), books.heap);
}

}  // namespace

std::string stat_tree(const inspect::Snapshot& snapshot) {
    Tree tree;
    direct_tree(snapshot, tree);
    heap_tree(snapshot, tree);
    tree.node(0, "disk", snapshot.disk);
    for (const auto& user : snapshot.users) {
        tree.known(0, fmt::format("user {} direct", user.uid), user.direct);
        tree.known(0, fmt::format("user {} heap", user.uid), user.heap);
    }
    for (const auto& session : snapshot.sessions) {
        const std::string name =
            fmt::format("session {} ({}, {})", session.id, printable(session.name), session.pid);
        tree.known(0, name + " direct", session.direct);
        tree.known(0, name + " heap", session.heap);
    }
    return tree.text();
}

}  // namespace weir::tools
