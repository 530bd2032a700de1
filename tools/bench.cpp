// SPDX-License-Identifier: Apache-2.0
//
// `weir bench`: how fast Weir is on this machine, beside what the machine itself can do.
//
// Round trip and throughput between two processes, with the raw limits measured in the same run and
// interleaved; bench/README.md says how to read the numbers. The broker is a private one of this
// run.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>

#include "bench/harness/machine.hpp"
#include "bench/harness/report.hpp"
#include "bench/harness/run.hpp"
#include "tools/bench_subject.hpp"
#include "tools/command.hpp"

namespace weir::tools {
namespace {

struct BenchPlan {
    std::uint64_t size = 64;
    int rounds = 5;
    double rate_per_s = 0;
    std::uint64_t leg_ns = 120 * ns_per_ms;
    std::string scheme = "topic";  // one subscriber; a queue adds the claim of each range
    bool json = false;
};

int run_bench(const BenchPlan& plan) {
    const bench::Stage stage{.clock = bench::TickClock::calibrate(),
                             .placement = bench::choose_placement(),
                             .leg_ns = plan.leg_ns / 2};
    auto subject = WeirSubject::start({stage, plan.scheme, plan.size});
    if (!subject) return give_up("bench", exit_failed, subject.error().sentence);
    bench::ProbedMachine machine(stage);
    bench::RunPlan run;
    run.message_bytes = plan.size;
    run.rate_per_s = plan.rate_per_s;
    run.rounds_wanted = plan.rounds;
    run.subject_leg_ns = plan.leg_ns;
    run.placement = stage.placement;
    auto report = bench::run_comparison(run, machine, **subject);
    if (!report) return give_up("bench", exit_failed, report.error().sentence);
    const std::string text = plan.json ? bench::to_json(*report) : bench::to_text(*report);
    std::fputs(text.c_str(), stdout);
    if (!text.ends_with('\n')) std::fputc('\n', stdout);
    return exit_ok;
}

}  // namespace

void add_bench(CLI::App& app, int& exit_code) {
    auto plan = std::make_shared<BenchPlan>();
    CLI::App& bench = *app.add_subcommand(
        "bench", "Measure round trip and throughput beside the machine's own limits");
    add_size_option(bench, "--size", plan->size, "Size of a message (64)");
    bench.add_option("--rounds", plan->rounds, "Calm rounds to take medians of (5)")
        ->check(CLI::Range(1, 1000))
        ->type_name("N");
    add_duration_option(bench, "--leg", plan->leg_ns,
                        "How long each measurement of Weir takes (120ms); shorter is rougher");
    bench.add_option("--rate", plan->rate_per_s, "Also: latency at R messages per second")
        ->check(CLI::PositiveNumber)
        ->type_name("R");
    bench.add_option("--over", plan->scheme, "What the messages pass through (topic)")
        ->check(CLI::IsMember({"queue", "topic"}));
    bench.add_flag("--json", plan->json, "As JSON");
    bench.callback([plan, &exit_code] { exit_code = run_bench(*plan); });
}

}  // namespace weir::tools
