// SPDX-License-Identifier: Apache-2.0
//
// weir policy: shows, changes and checks the policies of destinations.
//
// `show`, `set` and `reload` ask a running broker, whose word is the one that holds; `check` only
// reads a file.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "core/broker/config.hpp"
#include "core/broker/policy_request.hpp"
#include "tools/command.hpp"
#include "tools/policy_report.hpp"

namespace weir::tools {
namespace {

using broker::PolicyChange;
using broker::RequestFailure;

struct PolicyOptions {
    std::string name;
    std::string target;  // destination, pattern or file
    std::vector<std::string> settings;
    bool json = false;
};

int failed(const Error<RequestFailure>& error) {
    int code = exit_failed;
    if (error.code == RequestFailure::no_broker) code = exit_no_broker;
    if (error.code == RequestFailure::usage) code = exit_usage;
    return give_up("policy", code, error.sentence);
}

// Where the broker is; nothing: `code` says why, and it was printed.
std::optional<Places> places_of_broker(const std::string& name, int& code) {
    auto places = places_of(name);
    if (places) return std::move(*places);
    const bool usage = places.error().code == PlaceError::bad_broker_name;
    code = give_up("policy", usage ? exit_usage : exit_failed, places.error().sentence);
    return std::nullopt;
}

int show(const PolicyOptions& options) {
    int code = exit_ok;
    const std::string name = broker_name_or_default(options.name);
    const auto places = places_of_broker(name, code);
    if (!places) return code;
    const auto report = broker::show_policy(name, *places, options.target);
    if (!report) return failed(report.error());
    const std::string text = options.json ? policy_json(*report) : policy_table(*report);
    std::fwrite(text.data(), 1, text.size(), stdout);
    return exit_ok;
}

int report_change(const Result<PolicyChange, Error<RequestFailure>>& change) {
    if (!change) return failed(change.error());
    fmt::print("{} destination{} changed\n", change->destinations,
               change->destinations == 1 ? "" : "s");
    if (!change->note.empty()) give_up("policy", exit_ok, change->note);
    return exit_ok;
}

int set(const PolicyOptions& options) {
    int code = exit_ok;
    const std::string name = broker_name_or_default(options.name);
    const auto places = places_of_broker(name, code);
    if (!places) return code;
    const auto change = broker::set_policy(name, *places, options.target, options.settings);
    return report_change(change);
}

int reload(const PolicyOptions& options) {
    int code = exit_ok;
    const std::string name = broker_name_or_default(options.name);
    const auto places = places_of_broker(name, code);
    if (!places) return code;
    return report_change(broker::read_policies(name, *places));
}

int check(const PolicyOptions& options) {
    auto settings = broker::read_config_file(options.target);
    if (!settings) return give_up("policy", exit_usage, settings.error().sentence);
    const auto config = broker::configure(*settings, broker::Machine::here());
    if (!config) return give_up("policy", exit_usage, config.error().sentence);
    fmt::print("{}: can hold, policies: {}\n", options.target, settings->policies.size());
    return exit_ok;
}

}  // namespace

void add_policy(CLI::App& app, int& exit_code) {
    auto options = std::make_shared<PolicyOptions>();
    CLI::App* const command =
        app.add_subcommand("policy", "Show, change and check the policies of destinations");
    command->require_subcommand(1);
    const auto add = [&](const std::string& name, const std::string& description,
                         int (*run)(const PolicyOptions&)) {
        CLI::App* const sub = command->add_subcommand(name, description);
        sub->callback([options, &exit_code, run] { exit_code = run(*options); });
        return sub;
    };
    const auto add_name = [&options](CLI::App* sub) {
        sub->add_option("--name", options->name, "The broker's name (WEIR_NAME, else default)")
            ->type_name("NAME");
    };
    CLI::App* const shown =
        add("show", "What holds for a destination, and why (of the running broker)", show);
    shown->add_option("destination", options->target, "Its name; it need not exist yet")
        ->required()
        ->type_name("DEST");
    shown->add_flag("--json", options->json, "As JSON");
    add_name(shown);

    CLI::App* const changed = add("set", "Change the running broker, until it ends", set);
    changed->add_option("pattern", options->target, "A destination, or several: orders.* orders.>")
        ->required()
        ->type_name("PATTERN");
    changed
        ->add_option("settings", options->settings,
                     "As in limit=64MiB overflow=fail; key=default takes it back")
        ->required()
        ->type_name("KEY=VALUE...");
    add_name(changed);

    add_name(add("reload", "Let the running broker read its file again, as SIGHUP does", reload));

    add("check", "Whether a configuration file can hold; starts and changes nothing", check)
        ->add_option("file", options->target, "The file")
        ->required()
        ->type_name("FILE");
}

}  // namespace weir::tools
