// SPDX-License-Identifier: Apache-2.0
//
// weir stop: ends a broker, at once or after its consumers have read what is there.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "core/base/bytes.hpp"
#include "core/base/clock.hpp"
#include "core/broker/stop_request.hpp"
#include "tools/command.hpp"

namespace weir::tools {
namespace {

constexpr std::uint64_t drain_default_ns = 30 * ns_per_s;

struct StopOptions {
    std::string name;
    bool drain = false;
    std::uint64_t drain_ns = 0;
};

int run(const StopOptions& options) {
    const std::string name = broker_name_or_default(options.name);
    const auto places = places_of(name);
    if (!places) {
        const bool usage = places.error().code == PlaceError::bad_broker_name;
        return give_up("stop", usage ? exit_usage : exit_failed, places.error().sentence);
    }
    const auto discarded = broker::stop_broker(name, *places, options.drain_ns);
    if (!discarded) {
        const bool nobody = discarded.error().code == broker::RequestFailure::no_broker;
        return give_up("stop", nobody ? exit_no_broker : exit_failed, discarded.error().sentence);
    }
    fmt::print("weir broker \"{}\" has stopped; discarded: {} messages, {}\n", name,
               discarded->messages, format_size(discarded->bytes));
    if (options.drain && discarded->messages != 0)
        return give_up("stop", exit_limit,
                       fmt::format("the time for draining ({}) was over before everything was read",
                                   format_duration_ns(options.drain_ns)));
    return exit_ok;
}

}  // namespace

void add_stop(CLI::App& app, int& exit_code) {
    auto options = std::make_shared<StopOptions>();
    CLI::App* const command = app.add_subcommand("stop", "Stop a broker");
    command->add_option("--name", options->name, "The broker's name (WEIR_NAME, else default)")
        ->type_name("NAME");
    const auto read_drain = [options](const std::string& text) {
        options->drain = true;
        options->drain_ns = drain_default_ns;
        if (text.empty()) return;
        const auto parsed = parse_duration_ns(text);
        if (!parsed) throw CLI::ValidationError("--drain", parsed.error().sentence);
        options->drain_ns = *parsed;
    };
    command
        ->add_option_function<std::string>(
            "--drain", read_drain, "Let consumers read what is there first, for so long (30s)")
        ->type_name("TIME")
        ->expected(0, 1);
    command->callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace weir::tools
