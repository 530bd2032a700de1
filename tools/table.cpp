// SPDX-License-Identifier: Apache-2.0
#include "tools/table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

namespace weir::tools {

std::string printable(std::string_view name) {
    std::string text(name);
    for (char& sign : text)
        if (std::iscntrl(static_cast<unsigned char>(sign)) != 0) sign = '?';
    return text.empty() ? "-" : text;
}

std::string laid_out(const std::vector<Row>& rows) {
    std::vector<std::size_t> widths;
    for (const Row& row : rows) {
        widths.resize(std::max(widths.size(), row.size()));
        for (std::size_t column = 0; column < row.size(); ++column)
            widths[column] = std::max(widths[column], row[column].size());
    }
    std::string text;
    for (const Row& row : rows) {
        text += fmt::format("{:<{}}", row.front(), widths.front());
        for (std::size_t column = 1; column < row.size(); ++column)
            text += fmt::format("  {:>{}}", row[column], widths[column]);
        text += '\n';
    }
    return text;
}

std::string percent_of(std::uint64_t part, std::uint64_t whole) {
    if (whole == 0) return "-";
    return fmt::format("{:.1f}%", 100.0 * static_cast<double>(part) / static_cast<double>(whole));
}

}  // namespace weir::tools
