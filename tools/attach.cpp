// SPDX-License-Identifier: Apache-2.0
#include "tools/attach.hpp"

#include <CLI/CLI.hpp>
#include <filesystem>
#include <system_error>

#include "tools/command.hpp"

namespace weir::tools {
namespace {

int exit_code_of(ConnectError error) {
    switch (error) {
        case ConnectError::no_broker: return exit_no_broker;
        case ConnectError::bad_name: return exit_usage;
        case ConnectError::limit_reached: return exit_limit;
        case ConnectError::timed_out: return exit_limit;
        case ConnectError::layout_differs: return exit_failed;
        case ConnectError::not_permitted: return exit_failed;
        case ConnectError::stopping: return exit_failed;
        case ConnectError::system: return exit_failed;
    }
    return exit_failed;
}

int exit_code_of(OpenError error) {
    switch (error) {
        case OpenError::bad_name: return exit_usage;
        case OpenError::limit_reached: return exit_limit;
        case OpenError::heap_full: return exit_limit;
        case OpenError::direct_full: return exit_limit;
        case OpenError::stopping: return exit_failed;
        case OpenError::broker_down: return exit_failed;
        case OpenError::forked: return exit_failed;
        case OpenError::system: return exit_failed;
    }
    return exit_failed;
}

// The program to start a broker with is this one, not what PATH happens to hold.
std::string this_program() {
    std::error_code unknown;
    return std::filesystem::read_symlink("/proc/self/exe", unknown).string();
}

}  // namespace

void add_attachment_options(CLI::App& app, Attachment& attachment) {
    app.add_option("--name", attachment.broker, "The broker's name (else WEIR_NAME, else default)")
        ->type_name("NAME");
    app.add_flag("--start", attachment.start,
                 "Start a private broker if none runs; it ends with its last session");
}

Result<Session, int> attach(std::string_view command, const Attachment& attachment) {
    ConnectOptions options;
    options.client_name = "weir " + std::string(command);
    options.start = attachment.start;
    options.program = this_program();
    auto session = connect(attachment.broker, options);
    if (session) return std::move(*session);
    return fail(give_up(command, exit_code_of(session.error().code), session.error().sentence));
}

int give_up(std::string_view command, const Error<OpenError>& error) {
    return give_up(command, exit_code_of(error.code), error.sentence);
}

}  // namespace weir::tools
