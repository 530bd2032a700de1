// SPDX-License-Identifier: Apache-2.0
//
// What every command of the program `weir` has in common.
//
// One command is one file: it adds itself to the command line and, when it was chosen, sets the
// exit code. CLI11 is slow to compile, so it is included once in each command's file and nowhere
// here.
//
// Nothing but data goes to standard output. What a person should know goes to standard error, as
// one sentence with what to do; scripts read the exit code.
#ifndef WEIR_TOOLS_COMMAND_HPP
#define WEIR_TOOLS_COMMAND_HPP

#include <cstdint>
#include <string>
#include <string_view>

namespace CLI {
class App;
}

namespace weir::tools {

// The numbers are a contract with scripts.
inline constexpr int exit_ok = 0;
inline constexpr int exit_failed = 1;
inline constexpr int exit_usage = 2;
inline constexpr int exit_limit = 3;  // time-out or limit reached
inline constexpr int exit_no_broker = 4;

// Prints "weir COMMAND: SENTENCE" to standard error.
void tell(std::string_view command, std::string_view sentence);
// The same, and gives `code` back.
int give_up(std::string_view command, int code, std::string_view sentence);

// Options of a size ("64K") and of a time ("2s"); a bad value is a usage error with its sentence.
void add_size_option(CLI::App& app, const std::string& name, std::uint64_t& bytes,
                     const std::string& description);
void add_duration_option(CLI::App& app, const std::string& name, std::uint64_t& span_ns,
                         const std::string& description);

void add_broker(CLI::App& app, int& exit_code);
void add_stop(CLI::App& app, int& exit_code);
void add_send(CLI::App& app, int& exit_code);
void add_recv(CLI::App& app, int& exit_code);
void add_stat(CLI::App& app, int& exit_code);
void add_plan(CLI::App& app, int& exit_code);
void add_policy(CLI::App& app, int& exit_code);
void add_top(CLI::App& app, int& exit_code);
void add_doctor(CLI::App& app, int& exit_code);
void add_bench(CLI::App& app, int& exit_code);

}  // namespace weir::tools

#endif  // WEIR_TOOLS_COMMAND_HPP
