// SPDX-License-Identifier: Apache-2.0
//
// The JSON library is slow to compile, so only this file of `weir policy` knows it.
#include "tools/policy_report.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace weir::tools {
namespace {

using broker::PolicyLine;
using broker::PolicyOrigin;

std::string source_of(const PolicyLine& line) {
    const broker::PolicySource& source = line.source;
    if (source.origin == PolicyOrigin::by_default) return "by default";
    const std::string where =
        source.origin == PolicyOrigin::file ? source.place : std::string("set at run time");
    // What was written says more than the value where it is a share or was rounded.
    const std::string written =
        source.written == line.value ? "" : fmt::format(", written {}", source.written);
    return fmt::format("{} ({}{})", source.pattern, where, written);
}

std::string_view origin_of(PolicyOrigin origin) noexcept {
    switch (origin) {
        case PolicyOrigin::by_default: return "default";
        case PolicyOrigin::file: return "file";
        case PolicyOrigin::run_time: return "set";
    }
    return "";
}

}  // namespace

std::string policy_table(const broker::PolicyReport& report) {
    std::string table = fmt::format("{:<16} {:<22} {}\n", "KEY", "VALUE", "WHY");
    for (const PolicyLine& line : report.lines)
        table += fmt::format("{:<16} {:<22} {}\n", line.key, line.value, source_of(line));
    return table;
}

std::string policy_json(const broker::PolicyReport& report) {
    nlohmann::ordered_json keys;
    for (const PolicyLine& line : report.lines) {
        nlohmann::ordered_json& key = keys[line.key];
        key["value"] = line.value;
        key["number"] = line.numbers.number;
        if (line.key == "rate") key["messages"] = line.numbers.messages;
        key["origin"] = origin_of(line.source.origin);
        key["pattern"] = line.source.pattern;
        key["place"] = line.source.place;
        key["written"] = line.source.written;
    }
    const nlohmann::ordered_json whole{
        {"destination", report.destination}, {"generation", report.generation}, {"policy", keys}};
    constexpr int indent = 2;
    // A path may hold bytes that are no text; they are replaced rather than thrown at.
    return whole.dump(indent, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace weir::tools
