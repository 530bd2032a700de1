// SPDX-License-Identifier: Apache-2.0
//
// weir broker: starts a broker, in the background unless told otherwise.
//
// Only reading the command line happens here. What the settings mean and whether they fit is judged
// by configure(), running by the daemon library, so that a test can do both without this program.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

#include "core/base/bytes.hpp"
#include "core/base/log.hpp"
#include "core/broker/background.hpp"
#include "core/broker/config.hpp"
#include "core/broker/daemon.hpp"
#include "tools/command.hpp"

namespace weir::tools {
namespace {

using broker::BrokerConfig;
using broker::Ready;
using broker::Setting;
using broker::Settings;
using broker::StartFailure;

struct BrokerOptions {
    Settings settings;
    std::string config_file;
    bool check = false;
    bool foreground = false;
    bool ends_with_last_session = false;
};

int failed(const Error<StartFailure>& error) {
    const int code = error.code == StartFailure::usage ? exit_usage : exit_failed;
    return give_up("broker", code, error.sentence);
}

// Command line, then environment, then file; defaults fill the rest.
Result<BrokerConfig, Error<StartFailure>> configuration_of(const BrokerOptions& options) {
    Settings settings = options.settings;
    const char* const name = std::getenv("WEIR_NAME");
    if (!settings.name && name != nullptr && *name != '\0')
        settings.name = Setting{name, std::string("WEIR_NAME=") + name};
    if (!options.config_file.empty()) {
        auto file = broker::read_config_file(options.config_file);
        if (!file) return fail(file.error());
        settings.fill_from(*file);
    }
    auto config = broker::configure(settings, broker::Machine::here());
    if (config) config->ends_with_last_session = options.ends_with_last_session;
    return config;
}

void print_ready(const Ready& news) {
    fmt::print("weir broker \"{}\" is ready: pid {}, socket {}\n", news.name, news.pid,
               news.socket);
    std::fflush(stdout);
}

void print_checked(const BrokerConfig& config) {
    fmt::print("name = \"{}\"\ndirect = {}  # {}\nheap = {}  # {}\nlargest-message = {}  # {}\n",
               config.name, config.direct_bytes, format_size(config.direct_bytes),
               config.heap_bytes, format_size(config.heap_bytes), config.largest_message,
               format_size(config.largest_message));
    if (!config.limits.flow.directory.empty())
        fmt::print("spill-dir = \"{}\"\n", config.limits.flow.directory);
}

int run(const BrokerOptions& options) {
    auto config = configuration_of(options);
    if (!config) return failed(config.error());
    if (options.check) {
        print_checked(*config);
        return exit_ok;
    }
    if (options.foreground) {
        log::start(log::Target::standard_error, log::Level::info, "weir");
        auto ended = broker::run_broker(*config, print_ready);
        return ended ? exit_ok : failed(ended.error());
    }
    auto started = broker::run_in_background(*config);
    if (!started) return failed(started.error());
    for (const std::string& notice : started->notices) give_up("broker", exit_ok, notice);
    print_ready(*started);
    return exit_ok;
}

}  // namespace

void add_broker(CLI::App& app, int& exit_code) {
    auto options = std::make_shared<BrokerOptions>();
    CLI::App* const command = app.add_subcommand("broker", "Start a broker");
    const auto setting = [command](const std::string& name, std::optional<Setting>& target,
                                   const std::string& type, const std::string& description) {
        const auto read = [&target, name](const std::string& value) {
            target = Setting{value, name + " " + value};
        };
        command->add_option_function<std::string>(name, read, description)->type_name(type);
    };
    Settings& settings = options->settings;
    setting("--name", settings.name, "NAME", "The broker's name (WEIR_NAME, else default)");
    setting("--direct", settings.direct, "SIZE",
            "Memory for messages (a quarter of the machine's, at most 1.5G)");
    setting("--heap", settings.heap, "SIZE",
            "Memory for bookkeeping (a sixteenth of direct, at least 16M)");
    setting("--largest-message", settings.largest_message, "SIZE",
            "The largest message (a quarter of direct, at most 64M)");
    setting("--spill-dir", settings.spill_dir, "DIR", "Where messages go when memory is short");
    command->add_option("--config", options->config_file, "A TOML file with the same names")
        ->type_name("FILE");
    command->add_flag("--check", options->check, "Print the settings and start nothing");
    command->add_flag("--foreground", options->foreground, "Stay, and log to standard error");
    command->add_flag("--private", options->ends_with_last_session,
                      "End with the last session (what --start uses)");
    command->callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace weir::tools
