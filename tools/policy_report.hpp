// SPDX-License-Identifier: Apache-2.0
//
// What `weir policy show` prints, for people and as JSON.
#ifndef WEIR_TOOLS_POLICY_REPORT_HPP
#define WEIR_TOOLS_POLICY_REPORT_HPP

#include <string>

#include "core/broker/policy_request.hpp"

namespace weir::tools {

// A line per key: its value and why it is so.
std::string policy_table(const broker::PolicyReport& report);
std::string policy_json(const broker::PolicyReport& report);

}  // namespace weir::tools

#endif  // WEIR_TOOLS_POLICY_REPORT_HPP
