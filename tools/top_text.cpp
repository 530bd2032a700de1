// SPDX-License-Identifier: Apache-2.0
//
// One frame as lines. Blocked producers and slow consumers come before the end of a long list of
// destinations: they are what somebody looks for.
#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <sstream>

#include "core/base/bytes.hpp"
#include "core/base/clock.hpp"
#include "tools/table.hpp"
#include "tools/top_frame.hpp"

namespace weir::tools {
namespace {

std::string head_of(const TopFrame& frame) {
    const auto up = static_cast<std::uint64_t>(frame.uptime_s * ns_per_s);
    return fmt::format("weir top: broker {}, pid {}, up {}, {:.0f} in/s, {:.0f} out/s",
                       printable(frame.broker.name), frame.broker.pid, format_duration_ns(up),
                       frame.in_per_s, frame.out_per_s);
}

std::string state_of(const TopFrame& frame) {
    switch (frame.state) {
        case inspect::BrokerState::running:
            return frame.broker.stopping ? "the broker is stopping" : "";
        case inspect::BrokerState::stopped:
            return "the broker is STOPPED (a signal or a debugger): grants run out, numbers stand";
        case inspect::BrokerState::dead: return "the broker is DEAD: these are its last books";
    }
    return "";
}

std::string use_of(const char* name, const inspect::RegionUse& use, std::uint64_t full_s) {
    const std::string full = full_s == 0 ? "" : fmt::format(", full in {} s", full_s);
    return fmt::format("{} {} of {} ({}), peak {}{}", name, format_size(use.used),
                       format_size(use.capacity), percent_of(use.used, use.capacity),
                       format_size(use.peak), full);
}

std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
}

std::vector<std::string> destinations_of(const TopFrame& frame, std::size_t most) {
    std::vector<Row> rows{{"destination", "direct", "of limit", "disk", "depth", "in/s", "out/s",
                           "producers", "consumers", "blocked"}};
    for (const TopDestination& one : frame.destinations) {
        if (rows.size() > most) break;
        rows.push_back(
            {printable(one.books.name), format_size(one.books.direct_bytes),
             percent_of(one.books.direct_bytes, one.books.limit), format_size(one.books.disk_bytes),
             fmt::format("{}", one.books.depth_messages), fmt::format("{:.0f}", one.in_per_s),
             fmt::format("{:.0f}", one.out_per_s), fmt::format("{}", one.books.producers),
             fmt::format("{}", one.books.consumers),
             fmt::format("{}", one.books.blocked_producers)});
    }
    return lines_of(laid_out(rows));
}

std::vector<std::string> blocked_of(const TopFrame& frame, std::size_t most) {
    std::vector<Row> rows{{"blocked producer", "pid", "on", "for", "because"}};
    for (const TopBlocked& one : frame.blocked) {
        if (rows.size() > most) break;
        rows.push_back({printable(one.process), fmt::format("{}", one.pid),
                        printable(one.destination), format_duration_ns(one.waits_ns), one.reason});
    }
    return lines_of(laid_out(rows));
}

std::vector<std::string> slow_of(const TopFrame& frame, std::size_t most) {
    std::vector<Row> rows{{"slow consumer", "pid", "of", "messages", "prefetch", ""}};
    for (const TopSlow& one : frame.slow) {
        if (rows.size() > most) break;
        rows.push_back({printable(one.process), fmt::format("{}", one.pid),
                        printable(one.destination), fmt::format("{}", one.behind),
                        fmt::format("{}", one.prefetch), one.why});
    }
    return lines_of(laid_out(rows));
}

void append(std::vector<std::string>& to, std::vector<std::string> more) {
    to.emplace_back();
    for (std::string& line : more) to.push_back(std::move(line));
}

// Cut to so many columns, not in the middle of a character of several bytes.
void cut(std::string& line, std::size_t columns) {
    if (line.size() <= columns) return;
    while (columns > 0 && (static_cast<unsigned char>(line[columns]) & 0xc0) == 0x80) --columns;
    line.resize(columns);
}

}  // namespace

std::vector<std::string> top_text(const TopFrame& frame, std::size_t lines, std::size_t columns) {
    std::vector<std::string> text{
        head_of(frame),
        use_of("direct", frame.direct, frame.direct_full_s) + "; " + use_of("heap", frame.heap, 0)};
    if (frame.disk.used != 0) text.push_back(use_of("disk", frame.disk, frame.disk_full_s));
    if (const std::string state = state_of(frame); !state.empty()) text.push_back(state);
    // A third of the screen for each kind of trouble, the rest for destinations.
    const std::size_t all = lines == 0 ? std::numeric_limits<std::size_t>::max() / 4 : lines;
    const std::size_t third = std::max<std::size_t>(all / 3, 2);
    std::vector<std::string> trouble;
    if (!frame.blocked.empty()) append(trouble, blocked_of(frame, third - 1));
    if (!frame.slow.empty()) append(trouble, slow_of(frame, third - 1));
    const std::size_t taken = text.size() + trouble.size() + 2;
    append(text, destinations_of(frame, all > taken ? all - taken : 1));
    for (std::string& line : trouble) text.push_back(std::move(line));
    if (lines != 0 && text.size() > lines) text.resize(lines);
    if (columns != 0)
        for (std::string& line : text) cut(line, columns);
    return text;
}

}  // namespace weir::tools
