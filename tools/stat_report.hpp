// SPDX-License-Identifier: Apache-2.0
//
// What `weir stat` prints, apart from how it came by it.
#ifndef WEIR_TOOLS_STAT_REPORT_HPP
#define WEIR_TOOLS_STAT_REPORT_HPP

#include <string>

#include "core/inspect/snapshot.hpp"

namespace weir::tools {

// One object with the keys of the command line's contract; keys are added, never renamed.
std::string stat_json(const inspect::Snapshot& snapshot, double uptime_s);

// The account trees of both resources, for people: use, limit, percent and peak of each node.
std::string stat_tree(const inspect::Snapshot& snapshot);

// For people.
std::string stat_table(const inspect::Snapshot& snapshot, double uptime_s);

}  // namespace weir::tools

#endif  // WEIR_TOOLS_STAT_REPORT_HPP
