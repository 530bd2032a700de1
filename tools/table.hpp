// SPDX-License-Identifier: Apache-2.0
//
// Tables for people: as wide as their content, the first column text, numbers to the right.
#ifndef WEIR_TOOLS_TABLE_HPP
#define WEIR_TOOLS_TABLE_HPP

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace weir::tools {

using Row = std::vector<std::string>;

std::string laid_out(const std::vector<Row>& rows);

// A name that a process gave itself must not move the cursor.
std::string printable(std::string_view name);

// "37.5%", empty without a whole.
std::string percent_of(std::uint64_t part, std::uint64_t whole);

}  // namespace weir::tools

#endif  // WEIR_TOOLS_TABLE_HPP
