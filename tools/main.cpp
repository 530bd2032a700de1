// SPDX-License-Identifier: Apache-2.0
//
// The program `weir`: reads the command line and runs one command.
//
// A mistake in the command line is exit code 2 and one sentence that names the way to the right
// form; --help and --version are answers, not mistakes. Everything else is the command's own
// affair.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>

#include "core/protocol/messages.hpp"
#include "tools/command.hpp"

namespace {

using namespace weir;

// The command the mistake was made in, as the user would type it.
std::string chosen_command(const CLI::App& app) {
    const auto chosen = app.get_subcommands();
    return chosen.empty() ? "weir" : "weir " + chosen.front()->get_name();
}

int explain(const CLI::App& app, const CLI::ParseError& error) {
    const auto code = static_cast<CLI::ExitCodes>(error.get_exit_code());
    if (code == CLI::ExitCodes::Success) {
        app.exit(error);
        return tools::exit_ok;
    }
    const std::string command = chosen_command(app);
    std::fputs(
        fmt::format("{}: {} ({} --help shows the form)\n", command, error.what(), command).c_str(),
        stderr);
    return tools::exit_usage;
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app("Weir: a shared-memory message broker for one Linux host", "weir");
    const std::string version =
        fmt::format("weir {}, layout {:016x}", WEIR_VERSION, layout_fingerprint());
    app.set_version_flag("--version", version, "Print version and layout fingerprint");
    app.require_subcommand(1);

    int exit_code = tools::exit_ok;
    tools::add_broker(app, exit_code);
    tools::add_stop(app, exit_code);
    tools::add_send(app, exit_code);
    tools::add_recv(app, exit_code);
    tools::add_stat(app, exit_code);
    tools::add_plan(app, exit_code);
    tools::add_policy(app, exit_code);
    tools::add_top(app, exit_code);
    tools::add_doctor(app, exit_code);
    tools::add_bench(app, exit_code);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return explain(app, error);
    }
    // Data that could not be written is a failure, also when it failed only at the last flush.
    if (std::fflush(stdout) != 0 && exit_code == tools::exit_ok) {
        return tools::give_up("output", tools::exit_failed, "standard output cannot be written");
    }
    return exit_code;
}
