// SPDX-License-Identifier: Apache-2.0
//
// The program behind bench/run.sh: measures the table, prints it, writes it as JSON.
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>

#include "bench/peers/system.hpp"
#include "bench/probes/folder.hpp"
#include "bench/suite/results.hpp"
#include "bench/suite/runner.hpp"
#include "bench/suite/systems.hpp"
#include "core/base/bytes.hpp"

namespace weir::bench {
namespace {

struct Options {
    Extent extent = Extent::table;
    std::vector<std::string> systems;    // empty: all
    std::vector<std::string> scenarios;  // empty: all
    std::vector<std::string> sizes;      // empty: all
    std::string program;
    std::string json_file;
    std::string commit = "unknown";
    int rounds = 0;
    double budget_s = 840;
    bool list = false;
};

std::string machine_name() {
    std::ifstream info("/proc/cpuinfo");
    std::string processor = "unknown processor";
    for (std::string line; std::getline(info, line);) {
        if (line.rfind("model name", 0) != 0) continue;
        processor = line.substr(line.find(':') + 2);
        break;
    }
    utsname kernel{};
    ::uname(&kernel);
    return fmt::format("{}, {} processors, Linux {}", processor, ::sysconf(_SC_NPROCESSORS_ONLN),
                       kernel.release);
}

std::vector<std::unique_ptr<System>> chosen_systems(const Options& options) {
    std::vector<std::unique_ptr<System>> all = limit_systems();
    for (auto& system : weir_systems()) all.push_back(std::move(system));
    for (auto& system : built_peers()) all.push_back(std::move(system));
    const std::set<std::string> wanted(options.systems.begin(), options.systems.end());
    std::erase_if(all, [&](const auto& system) {
        return !wanted.empty() && !wanted.contains(system->name());
    });
    return all;
}

int run(const Options& options) {
    auto systems = chosen_systems(options);
    if (options.list) {
        for (const auto& system : systems)
            fmt::print("{}: {}\n", system->name(), system->settings());
        return 0;
    }
    if (systems.empty()) {
        // A peer whose library this machine does not have is no mistake.
        fmt::print("not available in this build: {}\n", fmt::join(options.systems, ", "));
        return 0;
    }
    // For sockets and logs; the path must be short enough for a Unix socket.
    const Folder folder(std::filesystem::temp_directory_path(), "weir-bench");
    if (folder.path().empty()) {
        fmt::print(stderr, "bench: no private folder could be made\n");
        return 1;
    }
    ::setenv("XDG_RUNTIME_DIR", folder.path().c_str(), 1);
    ::setenv("WEIR_SPILL_DIR", "none", 1);
    RunnerPlan plan{{{TickClock::calibrate(), choose_placement()},
                     folder.path(),
                     options.program,
                     std::to_string(::getpid())}};
    plan.scene.stage.deadline_ns = 20 * ns_per_s;
    plan.extent = options.extent;
    plan.scenarios = {options.scenarios.begin(), options.scenarios.end()};
    for (const std::string& text : options.sizes) {
        const auto size = parse_size(text);
        if (!size) {
            fmt::print(stderr, "bench: {}\n", size.error().sentence);
            return 2;
        }
        plan.sizes.insert(*size);
    }
    const bool once = options.extent == Extent::smoke;
    plan.rounds = options.rounds != 0 ? options.rounds : (once ? 1 : 7);
    plan.budget_ns = static_cast<std::uint64_t>(options.budget_s * 1e9);
    plan.say = [](const std::string& line) { fmt::print(stderr, "{}\n", line); };
    const Outcomes outcomes = run_rounds(plan, systems);
    Results results = results_of(outcomes, plan.scene.stage.placement, 3);
    results.commit = options.commit;
    results.machine = machine_name();
    for (const auto& system : systems) results.settings[system->name()] = system->settings();
    fmt::print("{}", to_text(results));
    if (!options.json_file.empty()) {
        std::ofstream file(options.json_file);
        file << to_json(results) << "\n";
        if (!file.flush()) {
            fmt::print(stderr, "bench: {} cannot be written\n", options.json_file);
            return 1;
        }
    }
    // Weir and the limits must run; a peer may be missing, and slow is never a failure.
    for (const CellReport& report : results.cells) {
        const CellOutcome& outcome = *report.outcome;
        const bool ours = outcome.kind == Kind::weir || outcome.kind == Kind::limit;
        if (ours && outcome.runs.empty()) return 1;
    }
    return 0;
}

}  // namespace
}  // namespace weir::bench

int main(int count, char** words) {
    using weir::bench::Extent;
    weir::bench::Options options;
    std::error_code unknown;
    options.program = std::filesystem::read_symlink("/proc/self/exe", unknown).parent_path() /
                      ".." / "tools" / "weir";
    CLI::App app("Measures Weir beside the machine's own limits and its peers");
    const std::map<std::string, Extent> extents{{"table", Extent::table},
                                                {"full", Extent::full},
                                                {"guard", Extent::guard},
                                                {"smoke", Extent::smoke}};
    app.add_option("--extent", options.extent, "table, full, guard or smoke (table)")
        ->transform(CLI::CheckedTransformer(extents));
    app.add_option("--system", options.systems, "Only this one; may be given several times");
    app.add_option("--scenario", options.scenarios,
                   "Only this one, of each system; may be given several times");
    app.add_option("--size", options.sizes,
                   "Only messages of this size, as in 64 or 1KiB; may be given several times");
    app.add_option("--weir", options.program, "The program that starts brokers");
    app.add_option("--json", options.json_file, "Write the results there, too");
    app.add_option("--commit", options.commit, "What is measured, for the results");
    app.add_option("--rounds", options.rounds, "Rounds at most (7)");
    app.add_option("--budget", options.budget_s, "Seconds after which no round begins (840)");
    app.add_flag("--list", options.list, "Name the systems of this build and their settings");
    CLI11_PARSE(app, count, words);
    // Servers are started in a folder of their own.
    options.program = std::filesystem::absolute(options.program);
    return weir::bench::run(options);
}
