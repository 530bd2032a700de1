// SPDX-License-Identifier: Apache-2.0
//
// `weir-flow`: flow to disk through a real broker, beside plain io_uring on the same directory, and
// what it costs a neighbour; interleaved in one run. README.md says what the legs do and how to
// read them.
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>

#include "bench/probes/folder.hpp"
#include "bench/probes/ping_pong.hpp"
#include "bench/scenarios/weir_broker.hpp"
#include "bench/spill/figures.hpp"
#include "bench/spill/flow_legs.hpp"
#include "bench/spill/neighbour.hpp"
#include "bench/spill/plain_files.hpp"

namespace weir::bench {
namespace {

struct Plan {
    std::string directory;
    std::string program = "weir";
    std::uint64_t bytes = 2ull << 30;
    int rounds = 5;
    double seconds = 2;  // of each run of the neighbour; 0: none
};

struct Latencies {
    Series p50_us;
    Series p99_us;
    Series rate_per_s;
    Series bytes_per_s;
    Series writer_cpu;
    Series flood_cpu;
    Series writer_run_us;
    Series flood_run_us;

    void add(const NeighbourFigures& figures) {
        p50_us.push_back(figures.round_trip.ns_p50 / 1e3);
        p99_us.push_back(figures.round_trip.ns_p99 / 1e3);
        rate_per_s.push_back(figures.rate_per_s);
        bytes_per_s.push_back(figures.load.bytes_per_s);
        writer_cpu.push_back(figures.load.cpu[0]);
        flood_cpu.push_back(figures.load.cpu[1]);
        writer_run_us.push_back(figures.load.run_ns[0] / 1e3);
        flood_run_us.push_back(figures.load.run_ns[1] / 1e3);
    }
};

struct Measures {
    Series ping_pong_ns;
    Series plain_write, sent, to_disk, write_cpu;
    Series plain_read, read_back, read_cpu, from_disk_gb, rewritten_gb;
    Series checksum_cpu;
    Latencies flow, plain, nobody;
    bool direct = true;
};

double gb_per_s(std::uint64_t bytes, std::uint64_t from_ns) {
    return static_cast<double>(bytes) / static_cast<double>(monotonic_ns() - from_ns);
}

class Bench {
public:
    Bench(Plan plan, Scene scene, io::Ring& ring, std::span<std::byte> memory)
        : plan_(std::move(plan)), scene_(std::move(scene)), ring_(&ring), memory_(memory) {}

    Probed<void> round() {
        ping_pong_look();
        if (auto done = streams(); !done) return done;
        checksums();
        if (plan_.seconds > 0)
            if (auto done = neighbours(); !done) return done;
        ping_pong_look();
        return {};
    }
    const Measures& measures() const noexcept { return measures_; }

private:
    Probed<Server> broker() {
        name_ = "flow-" + scene_.tag;
        return start_weir_broker(
            scene_, name_, {"--direct", flow_memory, "--spill-dir", plan_.directory + "/spill"});
    }

    void ping_pong_look() {
        if (auto figures = ping_pong(scene_.stage, scale_))
            measures_.ping_pong_ns.push_back(figures->rtt.ns_p50);
    }

    Probed<void> streams() {
        const std::uint64_t messages = plan_.bytes / flow_message_bytes;
        // Anew each round, as spill files are: writing over what was written before is faster.
        PlainFile file(*ring_, memory_, plan_.directory, plan_.bytes);
        if (!file.sound())
            return fail(ProbeFault::not_possible, "no room for a file of --bytes there");
        measures_.direct = file.direct();
        auto server = broker();
        if (!server) return fail(server.error());
        std::uint64_t from_ns = monotonic_ns();
        if (!file.write()) return fail(ProbeFault::not_possible, "the disk refused to write");
        measures_.plain_write.push_back(gb_per_s(plan_.bytes, from_ns));
        auto out = flow_out(scene_, name_, messages);
        if (!out) return fail(out.error());
        measures_.sent.push_back(out->sent_gb_per_s);
        measures_.to_disk.push_back(out->disk_gb_per_s);
        measures_.write_cpu.push_back(out->cpu_s_per_gb);
        from_ns = monotonic_ns();
        if (!file.read()) return fail(ProbeFault::not_possible, "the disk refused to read");
        measures_.plain_read.push_back(gb_per_s(plan_.bytes, from_ns));
        auto in = flow_back(scene_, name_, messages);
        if (!in) return fail(in.error());
        measures_.read_back.push_back(in->disk_gb_per_s);
        measures_.read_cpu.push_back(in->cpu_s_per_gb);
        measures_.from_disk_gb.push_back(in->from_disk_gb);
        measures_.rewritten_gb.push_back(in->written_gb);
        return {};
    }

    void checksums() {
        const std::uint64_t bytes = 1ull << 30;
        const std::uint64_t from_ns = monotonic_ns();
        if (!checksum_all(memory_, bytes)) return;
        measures_.checksum_cpu.push_back(1 / gb_per_s(bytes, from_ns));
    }

    Probed<void> neighbours() {
        NeighbourPlan near;
        near.directory = plan_.directory;
        near.messages = static_cast<std::uint64_t>(plan_.seconds * neighbour_rate_per_s);
        Load load;
        {
            auto server = broker();
            if (!server) return fail(server.error());
            near.broker = name_;
            auto figures = beside_flow(scene_, near);
            if (!figures) return fail(figures.error());
            measures_.flow.add(*figures);
            load = figures->load;
        }
        auto server = broker();
        if (!server) return fail(server.error());
        auto plain = beside_plain(scene_, near, load);
        if (!plain) return fail(plain.error());
        measures_.plain.add(*plain);
        auto nobody = beside_nobody(scene_, near);
        if (!nobody) return fail(nobody.error());
        measures_.nobody.add(*nobody);
        return {};
    }

    Plan plan_;
    Scene scene_;
    io::Ring* ring_;
    std::span<std::byte> memory_;
    std::string name_;
    LegScale scale_{4000};
    Measures measures_;
};

std::string each(const Series& values) {
    std::string text;
    for (const double value : values) text += fmt::format(" {:.2f}", value);
    return text;
}

void print_ratio(const char* what, const Series& values, const Series& beside, double goal,
                 bool at_most) {
    const Series all = ratios(values, beside);
    const double middle = median(all);
    const bool reached = at_most ? middle <= goal : middle >= goal;
    fmt::print("  {:34} {:5.2f} ({} {}: {})  rounds:{}\n", what, middle,
               at_most ? "at most" : "at least", goal, reached ? "reached" : "missed", each(all));
}

void print_streams(const Measures& measures) {
    const auto line = [](const char* name, const Series& values, const Series* cpu) {
        fmt::print("{:26} {:6.2f} GB/s", name, median(values));
        if (cpu != nullptr) fmt::print("  {:6.3f} CPU s/GB of the broker", median(*cpu));
        fmt::print("\n");
    };
    line("plain write", measures.plain_write, nullptr);
    line("flow: what was sent", measures.sent, nullptr);
    line("flow: what went to disk", measures.to_disk, &measures.write_cpu);
    print_ratio("sent, of plain write", measures.sent, measures.plain_write, 0.8, false);
    print_ratio("to disk, of plain write", measures.to_disk, measures.plain_write, 0.8, false);
    line("plain read", measures.plain_read, nullptr);
    line("flow: back from disk", measures.read_back, &measures.read_cpu);
    print_ratio("back, of plain read", measures.read_back, measures.plain_read, 0.8, false);
    fmt::print("  read back from disk {:.2f} GB, written meanwhile {:.2f} GB\n",
               median(measures.from_disk_gb), median(measures.rewritten_gb));
    fmt::print("XXH3 alone {:.3f} CPU s/GB\n", median(measures.checksum_cpu));
}

void print_neighbours(const Measures& measures) {
    fmt::print("\nround trip of another destination, 64 B, {} a second, from when it was due\n",
               neighbour_rate_per_s);
    const auto line = [](const char* beside, const Latencies& all) {
        fmt::print(
            "  beside {:8} {:8.1f} us median {:9.1f} us p99   left at {:.0f}/s; beside it "
            "{:.2f} GB/s to disk, {:.2f} + {:.2f} processors in pieces of {:.0f} + {:.0f} us\n",
            beside, median(all.p50_us), median(all.p99_us), median(all.rate_per_s),
            median(all.bytes_per_s) / bytes_per_gb, median(all.writer_cpu), median(all.flood_cpu),
            median(all.writer_run_us), median(all.flood_run_us));
    };
    line("flow", measures.flow);
    line("plain", measures.plain);
    line("nobody", measures.nobody);
    print_ratio("median, flow of plain", measures.flow.p50_us, measures.plain.p50_us, 1.2, true);
    print_ratio("p99, flow of plain", measures.flow.p99_us, measures.plain.p99_us, 1.5, true);
    const long processors = ::sysconf(_SC_NPROCESSORS_ONLN);
    if (processors < 4)
        fmt::print(
            "  {} processors for four busy processes: what is seen here is mostly the "
            "scheduler's choice\n",
            processors);
}

void print_all(const Measures& measures, const Plan& plan) {
    if (!measures.direct) fmt::print("no O_DIRECT here: these figures are the page cache's\n");
    fmt::print(
        "{} rounds, {:.2f} GB each, through {} of direct memory, messages of {} B; medians, "
        "ratios round by round\n",
        plan.rounds, static_cast<double>(plan.bytes) / bytes_per_gb, flow_memory,
        flow_message_bytes);
    const auto [least, most] =
        std::minmax_element(measures.ping_pong_ns.begin(), measures.ping_pong_ns.end());
    if (least != measures.ping_pong_ns.end())
        fmt::print("raw ping-pong before and after each round: {:.0f} ns, {:.0f} to {:.0f}\n",
                   median(measures.ping_pong_ns), *least, *most);
    print_streams(measures);
    if (!measures.flow.p50_us.empty()) print_neighbours(measures);
}

int run(const Plan& asked) {
    const Folder sockets(std::filesystem::temp_directory_path(), "weir-flow");
    const Folder disk(asked.directory, "weir-flow");
    if (sockets.path().empty() || disk.path().empty()) {
        fmt::print(stderr, "weir-flow: cannot make a directory in {}\n", asked.directory);
        return 1;
    }
    ::setenv("XDG_RUNTIME_DIR", sockets.path().c_str(), 1);
    ::setenv("WEIR_SPILL_DIR", "none", 1);
    auto ring = io::Ring::create(64);
    auto memory = SharedArea::create(pieces_flying * piece_bytes);
    if (!ring || !memory) {
        fmt::print(stderr, "weir-flow: {}\n",
                   ring ? memory.error().sentence : ring.error().sentence);
        return 1;
    }
    for (std::size_t at = 0; at < memory->size(); ++at)
        memory->data()[at] = static_cast<std::byte>(at * 37 >> 3);
    const std::span pieces(memory->data(), memory->size());
    // Without it the yardstick is slower, and that is all.
    if (ring->make_buffer_places(1) != 0 || ring->register_buffer(0, pieces) != 0)
        fmt::print("memory of the plain legs is not registered (RLIMIT_MEMLOCK)\n");
    Plan plan = asked;
    plan.directory = disk.path();
    Scene scene{{TickClock::calibrate(), choose_placement()},
                sockets.path(),
                std::filesystem::absolute(plan.program),
                std::to_string(::getpid())};
    scene.stage.deadline_ns = 120 * ns_per_s;
    Bench bench(plan, scene, *ring, pieces);
    for (int round = 0; round < plan.rounds; ++round) {
        if (auto done = bench.round(); !done) {
            fmt::print(stderr, "weir-flow: {}\n", done.error().sentence);
            return 1;
        }
    }
    print_all(bench.measures(), plan);
    return 0;
}

}  // namespace
}  // namespace weir::bench

int main(int count, char** arguments) {
    weir::bench::Plan plan;
    CLI::App app("Flow to disk through a broker, beside plain io_uring");
    app.add_option("--directory", plan.directory, "on the disk to be measured")->required();
    app.add_option("--weir", plan.program, "the program that starts brokers");
    app.add_option("--bytes", plan.bytes, "per leg, whole MiB; at least 4 times 256 MiB to count")
        ->check(CLI::PositiveNumber);
    app.add_option("--rounds", plan.rounds)->check(CLI::PositiveNumber);
    app.add_option("--seconds", plan.seconds, "of each run of the neighbour; 0: none")
        ->check(CLI::NonNegativeNumber);
    CLI11_PARSE(app, count, arguments);
    plan.bytes = plan.bytes / weir::bench::piece_bytes * weir::bench::piece_bytes;
    return weir::bench::run(plan);
}
