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
#include <filesystem>
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

// Command line, then environment, then file; defaults fill the rest. The spill directory of the
// environment is a default of this user's: the file goes before it.
Result<BrokerConfig, Error<StartFailure>> configuration_of(const BrokerOptions& options) {
    Settings settings = options.settings;
    std::string config_file;
    const char* const name = std::getenv("WEIR_NAME");
    if (!settings.name && name != nullptr && *name != '\0')
        settings.name = Setting{name, std::string("WEIR_NAME=") + name};
    if (!options.config_file.empty()) {
        auto file = broker::read_config_file(options.config_file);
        if (!file) return fail(file.error());
        settings.fill_from(*file);
        // The broker leaves this directory and may be told to read the file again.
        config_file = std::filesystem::absolute(options.config_file).lexically_normal();
    }
    const char* const spill_dir = std::getenv("WEIR_SPILL_DIR");
    if (!settings.spill_dir && spill_dir != nullptr && *spill_dir != '\0')
        settings.spill_dir = Setting{spill_dir, std::string("WEIR_SPILL_DIR=") + spill_dir};
    auto config = broker::configure(settings, broker::Machine::here());
    if (!config) return config;
    config->ends_with_last_session = options.ends_with_last_session;
    config->config_file = std::move(config_file);
    return config;
}

void print_ready(const Ready& news) {
    fmt::print("weir broker \"{}\" is ready: pid {}, socket {}\n", news.name, news.pid,
               news.socket);
    std::fflush(stdout);
}

// The form of the file, so that what is printed is a configuration.
void print_checked(const BrokerConfig& config) {
    const auto size = [](const char* key, std::uint64_t bytes) {
        fmt::print("{} = {}  # {}\n", key, bytes, format_size(bytes));
    };
    const broker::FlowOptions& flow = config.limits.flow;
    fmt::print("name = \"{}\"\n", config.name);
    size("largest-message", config.largest_message);
    fmt::print("\n[memory]\n");
    size("direct", config.direct_bytes);
    size("heap", config.heap_bytes);
    size("producer-part",
         broker::producer_part(config.limits.producer_part_bytes, config.direct_bytes));
    fmt::print("\n[flow-to-disk]\n");
    size("threshold", broker::flow_threshold(flow, config.direct_bytes));
    size("resume", broker::flow_resume(flow, config.direct_bytes));
    fmt::print("directory = \"{}\"\n", flow.directory.empty() ? "none" : flow.directory);
    if (flow.limit_bytes != 0)
        size("limit", flow.limit_bytes);
    else
        fmt::print("limit = \"{}.{:02}%\"\n", flow.limit_share / 100, flow.limit_share % 100);
}

int run(const BrokerOptions& options) {
    auto config = configuration_of(options);
    if (!config && options.check) return give_up("broker", exit_usage, config.error().sentence);
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
    setting("--producer-part", settings.producer_part, "SIZE|%",
            "Direct memory for what was sent and not yet read (60%)");
    setting("--spill-dir", settings.spill_dir, "DIR|none",
            "Where messages go when memory is short (WEIR_SPILL_DIR, else "
            "$XDG_STATE_HOME/weir/spill, /var/tmp/weir-UID, for root /var/lib/weir/spill)");
    setting("--spill-limit", settings.spill_limit, "SIZE|%",
            "Space to use there (50% of what is free)");
    setting("--flow-threshold", settings.flow_threshold, "SIZE|%",
            "Use of direct memory from which messages go there (75%)");
    setting("--flow-resume", settings.flow_resume, "SIZE|%", "Use below which that ends (70%)");
    command
        ->add_option("--config", options->config_file,
                     "A TOML file with these settings and with policies; SIGHUP reads it again")
        ->type_name("FILE");
    command->add_flag("--check", options->check, "Print the settings and start nothing");
    command->add_flag("--foreground", options->foreground, "Stay, and log to standard error");
    command->add_flag("--private", options->ends_with_last_session,
                      "End with the last session (what --start uses)");
    command->callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace weir::tools
