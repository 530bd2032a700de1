// SPDX-License-Identifier: Apache-2.0
//
// weir plan: how much memory a load needs, and what to start a broker with. The arithmetic is
// core/protocol/sizing.hpp; no broker is asked.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <memory>

#include "core/base/bytes.hpp"
#include "core/protocol/sizing.hpp"
#include "tools/command.hpp"

namespace weir::tools {
namespace {

constexpr std::uint64_t size_max = std::uint64_t{1} << 30;
constexpr std::uint64_t count_max = 1'000'000'000;
constexpr std::uint64_t direct_max = std::uint64_t{1} << 44;

struct PlanOptions {
    sizing::Load load{1, 1, 1000, 1000};
    bool json = false;
};

std::string mebibytes(std::uint64_t bytes) { return fmt::format("{}M", bytes >> 20); }

int run(const PlanOptions& options) {
    const sizing::Load& load = options.load;
    const std::uint64_t lanes = load.connections * load.sessions;
    if (lanes > lanes_max)
        return give_up("plan", exit_usage,
                       fmt::format("{} sessions are more than one broker's {} open producers: use "
                                   "several brokers",
                                   lanes, lanes_max));
    if (load.messages != 0 && (load.size + 8) > direct_max / load.messages / lanes)
        return give_up("plan", exit_usage, "this is more than any machine has: ask for less");
    const sizing::Plan plan = sizing::plan_for(load);
    if (options.json) {
        fmt::print(
            "{{\"direct\": {}, \"heap\": {}, \"configure\": {{\"direct\": {}, \"heap\": {}}}}}\n",
            plan.used.direct, plan.used.heap, plan.configure.direct, plan.configure.heap);
        return exit_ok;
    }
    fmt::print("{} connections x {} sessions x {} messages of {} bytes\n\n", load.connections,
               load.sessions, load.messages, load.size);
    fmt::print("{:<12} {:>16} {:>12}   configure\n", "memory", "used, bytes", "");
    fmt::print("{:<12} {:>16} {:>12}   --direct {}\n", "direct-like", plan.used.direct,
               format_size(plan.used.direct), mebibytes(plan.configure.direct));
    fmt::print("{:<12} {:>16} {:>12}   --heap {}\n", "heap-like", plan.used.heap,
               format_size(plan.used.heap), mebibytes(plan.configure.heap));
    return exit_ok;
}

}  // namespace

void add_plan(CLI::App& app, int& exit_code) {
    auto options = std::make_shared<PlanOptions>();
    sizing::Load& load = options->load;
    CLI::App* const command =
        app.add_subcommand("plan", "Say how much memory a load needs, and what to configure");
    command->add_option("--connections", load.connections, "Connected clients")
        ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{lanes_max}));
    command->add_option("--sessions", load.sessions, "Open producers of each client")
        ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{lanes_max}));
    command->add_option("--messages", load.messages, "Messages of each, waiting to be consumed")
        ->check(CLI::Range(std::uint64_t{0}, count_max));
    add_size_option(*command, "--size", load.size, "Payload of each message");
    command->add_flag("--json", options->json, "Print it as JSON, in bytes");
    command->callback([options, &exit_code] {
        if (options->load.size > size_max) throw CLI::ValidationError("--size", "at most 1 GiB");
        exit_code = run(*options);
    });
}

}  // namespace weir::tools
