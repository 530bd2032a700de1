// SPDX-License-Identifier: Apache-2.0
#include "tools/command.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "core/base/bytes.hpp"

namespace weir::tools {

void tell(std::string_view command, std::string_view sentence) {
    const std::string line = fmt::format("weir {}: {}\n", command, sentence);
    std::fwrite(line.data(), 1, line.size(), stderr);
}

int give_up(std::string_view command, int code, std::string_view sentence) {
    tell(command, sentence);
    return code;
}

void add_size_option(CLI::App& app, const std::string& name, std::uint64_t& bytes,
                     const std::string& description) {
    const auto read = [&bytes, name](const std::string& text) {
        const auto parsed = parse_size(text);
        if (!parsed) throw CLI::ValidationError(name, parsed.error().sentence);
        bytes = *parsed;
    };
    app.add_option_function<std::string>(name, read, description)->type_name("SIZE");
}

void add_duration_option(CLI::App& app, const std::string& name, std::uint64_t& span_ns,
                         const std::string& description) {
    const auto read = [&span_ns, name](const std::string& text) {
        const auto parsed = parse_duration_ns(text);
        if (!parsed) throw CLI::ValidationError(name, parsed.error().sentence);
        span_ns = *parsed;
    };
    app.add_option_function<std::string>(name, read, description)->type_name("TIME");
}

}  // namespace weir::tools
