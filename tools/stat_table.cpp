// SPDX-License-Identifier: Apache-2.0
//
// The statistics as tables for people: as wide as their content, numbers to the right.
#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "core/base/bytes.hpp"
#include "core/base/clock.hpp"
#include "tools/stat_report.hpp"
#include "tools/table.hpp"

namespace weir::tools {
namespace {

template <class Number>
std::string number(Number value) {
    return fmt::format("{}", value);
}

std::string destinations_table(const inspect::Snapshot& snapshot) {
    std::vector<Row> rows{{"destination", "producers", "consumers", "blocked", "in", "out", "depth",
                           "depth bytes", "direct", "disk"}};
    for (const auto& books : snapshot.destinations)
        rows.push_back({printable(books.name) + (books.moving ? " (moving)" : ""),
                        number(books.producers), number(books.consumers),
                        number(books.blocked_producers), number(books.messages_in),
                        number(books.messages_out), number(books.depth_messages),
                        format_size(books.depth_bytes), format_size(books.direct_bytes),
                        format_size(books.disk_bytes)});
    return laid_out(rows);
}

std::string amount(WaitReason reason, std::uint64_t of_it) {
    switch (unit_of(reason)) {
        case ShortageUnit::bytes: return format_size(of_it);
        case ShortageUnit::messages: return fmt::format("{} messages", of_it);
        case ShortageUnit::nothing: break;
    }
    return "-";
}

// A line for each destination whose producers wait.
std::string shortages_table(const inspect::Snapshot& snapshot) {
    std::vector<Row> rows{{"producers wait", "because", "level", "used", "of", "for", "held most"}};
    const std::uint64_t now_ns = monotonic_ns();
    for (const auto& books : snapshot.destinations) {
        const inspect::ShortageFacts& shortage = books.shortage;
        if (shortage.reason == WaitReason::none) continue;
        std::string held;
        for (const inspect::HolderFacts& holder : shortage.holders)
            held += fmt::format(
                "{}{} in {} of {}", held.empty() ? "" : ", ", format_size(holder.bytes),
                printable(holder.destination),
                holder.pid == 0 ? "a producer that has left"
                                : fmt::format("{} (pid {})", printable(holder.name), holder.pid));
        rows.push_back({printable(books.name), inspect::name_of(shortage.reason),
                        inspect::name_of(shortage.level), amount(shortage.reason, shortage.used),
                        amount(shortage.reason, shortage.capacity),
                        format_duration_ns(now_ns - std::min(now_ns, shortage.since_ns)), held});
    }
    return rows.size() == 1 ? "" : "\n" + laid_out(rows);
}

std::string lanes_table(const inspect::Snapshot& snapshot) {
    std::vector<Row> rows{
        {"lane of", "lane", "state", "session", "in", "direct", "window", "waits"}};
    for (const auto& lane : snapshot.lanes)
        rows.push_back(
            {printable(lane.destination), number(lane.lane), inspect::name_of(lane.state),
             lane.session_id == 0 ? "-" : number(lane.session_id), number(lane.messages_in),
             format_size(lane.direct_bytes), format_size(lane.window_bytes),
             lane.waiting_since_ns == 0 ? "-" : inspect::name_of(lane.reason)});
    return laid_out(rows);
}

std::string subscriptions_table(const inspect::Snapshot& snapshot) {
    std::vector<Row> rows{{"subscription", "kind", "session", "prefetch", "out", "depth"}};
    for (const auto& subscription : snapshot.subscriptions)
        rows.push_back({printable(subscription.pattern), inspect::name_of(subscription.kind),
                        number(subscription.session_id), number(subscription.prefetch),
                        number(subscription.messages_out), number(subscription.depth_messages)});
    return laid_out(rows);
}

std::string sessions_table(const inspect::Snapshot& snapshot) {
    std::vector<Row> rows{{"session", "id", "pid", "lanes", "subscriptions", "direct"}};
    for (const auto& session : snapshot.sessions)
        rows.push_back({printable(session.name), number(session.id), number(session.pid),
                        number(session.lanes), number(session.subscriptions),
                        format_size(session.direct_bytes)});
    return laid_out(rows);
}

std::string growth_line(const inspect::Snapshot& snapshot) {
    const auto seconds = inspect::seconds_until_full(snapshot.direct, snapshot.direct_growth_per_s);
    if (seconds == 0) return {};
    return fmt::format("\ndirect memory grows by {}/s: full in {} s at this rate\n",
                       format_size(snapshot.direct_growth_per_s), seconds);
}

std::string disk_lines(const inspect::Snapshot& snapshot) {
    const inspect::DiskFacts& disk = snapshot.disk_activity;
    if (disk.bytes_written == 0 && disk.trouble == DiskTrouble::none) return {};
    std::string text =
        fmt::format("\nflow to disk: {}, writing {}/s, reading {}/s; {} written, {} read so far",
                    disk.flowing ? "backlog is leaving memory" : "at rest",
                    format_size(disk.written_per_s), format_size(disk.read_per_s),
                    format_size(disk.bytes_written), format_size(disk.bytes_read));
    if (const auto seconds = inspect::seconds_until_full(snapshot.disk, growth_per_s(disk));
        seconds != 0)
        text += fmt::format("; full in {} s at this rate", seconds);
    if (disk.pages_lost != 0) text += fmt::format("; {} pages lost", disk.pages_lost);
    text += "\n";
    if (disk.trouble != DiskTrouble::none)
        text += fmt::format("flow to disk: {}\n", inspect::explain(disk.trouble));
    return text;
}

}  // namespace

std::string stat_table(const inspect::Snapshot& snapshot, double uptime_s) {
    const inspect::BrokerFacts& broker = snapshot.broker;
    std::string text = fmt::format(
        "broker {}: pid {}, up {}, epoch {}, largest message {}{}\n\n", printable(broker.name),
        broker.pid, format_duration_ns(static_cast<std::uint64_t>(uptime_s * ns_per_s)),
        broker.epoch, format_size(broker.largest_message), broker.stopping ? ", stopping" : "");
    text += stat_tree(snapshot);
    text += growth_line(snapshot);
    text += disk_lines(snapshot);
    if (!snapshot.destinations.empty()) text += "\n" + destinations_table(snapshot);
    text += shortages_table(snapshot);
    if (!snapshot.lanes.empty()) text += "\n" + lanes_table(snapshot);
    if (!snapshot.subscriptions.empty()) text += "\n" + subscriptions_table(snapshot);
    if (!snapshot.sessions.empty()) text += "\n" + sessions_table(snapshot);
    return text;
}

}  // namespace weir::tools
