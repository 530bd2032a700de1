// SPDX-License-Identifier: Apache-2.0
//
// weir plan: how much memory a load needs, and what to start a broker with. The arithmetic is
// core/broker/sizing.hpp; no broker is asked.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <memory>

#include "core/base/bytes.hpp"
#include "core/broker/sizing.hpp"
#include "tools/command.hpp"

namespace weir::tools {
namespace {

constexpr std::uint64_t size_max = std::uint64_t{1} << 30;
constexpr std::uint64_t count_max = 1'000'000'000;

struct PlanOptions {
    broker::PlannedLoad load{1, 1, 1000, 1000};
    bool json = false;
};

int run(const PlanOptions& options) {
    const broker::PlannedLoad& load = options.load;
    const std::uint64_t lanes = load.connections * load.sessions;
    if (lanes > broker::planned_sessions_max())
        return give_up("plan", exit_usage,
                       fmt::format("{} sessions with a queue each are more than the {} of one "
                                   "broker: use several brokers",
                                   lanes, broker::planned_sessions_max()));
    const auto plan = broker::plan_memory(load);
    if (!plan)
        return give_up("plan", exit_usage, "this is more than one broker can hold: ask for less");
    const auto& [used, configure] = *plan;
    if (options.json) {
        fmt::print(
            "{{\"direct\": {}, \"heap\": {}, \"configure\": {{\"direct\": {}, \"heap\": {}}}}}\n",
            used.direct, used.heap, configure.direct, configure.heap);
        return exit_ok;
    }
    const auto row = [](const char* memory, std::uint64_t bytes, std::uint64_t to_configure,
                        const char* option) {
        fmt::print("{:<12} {:>16} {:>12}   {} {}M\n", memory, bytes, format_size(bytes), option,
                   to_configure >> 20);
    };
    fmt::print("{} connections x {} sessions x {} messages of {} bytes\n\n", load.connections,
               load.sessions, load.messages, load.size);
    fmt::print("{:<12} {:>16} {:>12}   configure\n", "memory", "used, bytes", "");
    row("direct-like", used.direct, configure.direct, "--direct");
    row("heap-like", used.heap, configure.heap, "--heap");
    return exit_ok;
}

}  // namespace

void add_plan(CLI::App& app, int& exit_code) {
    auto options = std::make_shared<PlanOptions>();
    broker::PlannedLoad& load = options->load;
    CLI::App* const command =
        app.add_subcommand("plan", "Say how much memory a load needs, and what to configure");
    command->add_option("--connections", load.connections, "Connected clients (1)")
        ->check(CLI::Range(std::uint64_t{1}, count_max));
    command->add_option("--sessions", load.sessions, "Open producers of each, on own queues (1)")
        ->check(CLI::Range(std::uint64_t{1}, count_max));
    command
        ->add_option("--messages", load.messages,
                     "Messages of each session that wait to be consumed (1000)")
        ->check(CLI::Range(std::uint64_t{0}, count_max));
    add_size_option(*command, "--size", load.size, "Payload of each message (1000)");
    command->add_flag("--json", options->json, "Print it as JSON, in bytes");
    command->callback([options, &exit_code] {
        if (options->load.size > size_max) throw CLI::ValidationError("--size", "at most 1 GiB");
        exit_code = run(*options);
    });
}

}  // namespace weir::tools
