// SPDX-License-Identifier: Apache-2.0
//
// `weir stat`: what a broker holds and who uses it, as a table or as JSON.
//
// The numbers come from the broker's published tables, not from the broker: it is asked to settle
// them first, but one that does not answer, or that died, is shown as it stands, with a word on
// standard error.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>

#include "core/base/clock.hpp"
#include "core/inspect/region.hpp"
#include "core/inspect/settle.hpp"
#include "core/protocol/names.hpp"
#include "core/protocol/places.hpp"
#include "tools/command.hpp"
#include "tools/stat_report.hpp"

namespace weir::tools {
namespace {

constexpr std::uint64_t answer_ns = ns_per_s;

struct StatPlan {
    std::string broker;
    bool json = false;
};

double uptime_s_of(const inspect::BrokerFacts& broker) {
    const std::uint64_t now_ns = realtime_ns();  // both are of the clock that people set
    const std::uint64_t up_ns = now_ns - std::min(now_ns, broker.started_ns);
    return static_cast<double>(up_ns) / static_cast<double>(ns_per_s);
}

void note(const std::string& sentence) {
    std::fputs(fmt::format("weir stat: {}\n", sentence).c_str(), stderr);
}

int run_stat(const StatPlan& plan) {
    const std::string name = broker_name_or_default(plan.broker);
    if (!valid_broker_name(name))
        return give_up("stat", exit_usage,
                       fmt::format("\"{}\" is not a broker's name: use [a-z0-9-]{{1,32}}", name));
    auto places = places_of(name);
    if (!places) return give_up("stat", exit_failed, places.error().sentence);
    auto region = inspect::Region::open(name);
    if (!region) {
        const bool none = region.error().code == inspect::InspectError::no_broker;
        return give_up("stat", none ? exit_no_broker : exit_failed, region.error().sentence);
    }
    const bool alive = region->broker_alive();
    if (!alive) {
        note(
            fmt::format("broker \"{0}\" is dead, these are its last books: the next `weir broker "
                        "--name {0}` removes them",
                        name));
    } else if (auto settled = inspect::settle_books(places->socket, monotonic_ns() + answer_ns);
               !settled) {
        note(fmt::format("broker \"{}\" did not settle its books, these are the published ones: {}",
                         name, settled.error().sentence));
    }
    const inspect::Snapshot snapshot = region->snapshot();
    const double uptime_s = uptime_s_of(snapshot.broker);
    const std::string text =
        plan.json ? stat_json(snapshot, uptime_s) : stat_table(snapshot, uptime_s);
    std::fwrite(text.data(), 1, text.size(), stdout);
    return alive ? exit_ok : exit_no_broker;
}

}  // namespace

void add_stat(CLI::App& app, int& exit_code) {
    auto plan = std::make_shared<StatPlan>();
    CLI::App& stat = *app.add_subcommand("stat", "Show what a broker holds and who uses it");
    stat.add_option("--name", plan->broker, "The broker's name (else WEIR_NAME, else default)")
        ->type_name("NAME");
    stat.add_flag("--json", plan->json, "As JSON");
    stat.callback([plan, &exit_code] { exit_code = run_stat(*plan); });
}

}  // namespace weir::tools
