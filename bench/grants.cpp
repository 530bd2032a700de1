// SPDX-License-Identifier: Apache-2.0
//
// How a broker serves many lanes that all want pages at the same time.
//
//      weir-grants [LANES [SECONDS]]            against the broker that WEIR_NAME names
//      weir-grants LANES SECONDS PROGRAM        against a private one of PROGRAM, for few lanes
//
// Each lane is a thread of its own with a producer on a queue of its own, which a consumer of the
// same thread empties: a message fills most of a smallest page, so a lane lives from grant to
// grant. What is printed, as JSON:
//
//   waits, wait_us_p50, _p99      sends that found no room, and how long each stood
//   grants                        steps of the lanes' `grants` words, as `control` shows them
//   smallest_pages                what was granted, in units of 4 KiB: a step may grant several
//   grants_per_broker_cpu_s       by the broker's time on a processor (/proc/PID/schedstat)
//   broker_cpu_share              of the time that passed
//   lanes_runqueue_share          of the time that lanes stood waiting: they could have run and had
//                                 no processor
//   broker_runqueue_share         of the time that passed: the broker could have run and had none
//
// With more threads than processors most of a wait is the scheduler's, and the two shares say so.
//
// Measured on 26 November 2026 with 1000 lanes on two virtual cores, direct memory 1 GiB, three
// runs of 5 s: waits 31 to 65 ms (p50) and 73 to 107 ms (p99); for 72 to 76 % of the time the
// broker could have run and had no processor. 57 000 to 64 000 grants a CPU second of the broker,
// of 4 to 5 million smallest pages in all; with one smallest page each (beside a build) 80 000.
// Asked for are 200 000: 55 % of the broker's time is the kernel's waking of lanes (perf,
// cpu-clock), one call a grant.
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "core/base/clock.hpp"
#include "shm/control_region.hpp"
#include "weir/weir.hpp"

namespace weir::bench {
namespace {

constexpr std::size_t payload_bytes = 3500;

struct SchedulerTimes {
    std::uint64_t ran_ns = 0;
    std::uint64_t waited_ns = 0;  // on a run queue
};

SchedulerTimes times_of(const std::string& path) {
    std::ifstream file(path);
    SchedulerTimes times;
    file >> times.ran_ns >> times.waited_ns;
    return times;
}

struct Granted {
    std::uint64_t steps = 0;
    std::uint64_t bytes = 0;
};

Granted granted_of(const ControlView& control) {
    Granted sum;
    for (LaneId lane = 0; lane < control.limits.lanes; ++lane) {
        const LaneSlot& slot = control.lane(lane);
        // relaxed: figures; one that is being stepped is off by one.
        sum.steps += slot.grants.load(std::memory_order_relaxed);
        // relaxed: as above.
        sum.bytes += stop_position(slot.stop_and_revocations.load(std::memory_order_relaxed));
    }
    return sum;
}

struct LaneResult {
    std::vector<std::uint64_t> waits_ns;
    std::uint64_t runqueue_ns = 0;
    bool failed = false;
};

struct Gate {
    std::atomic<bool> open{false};
    std::atomic<bool> closed{false};
};

struct LaneEnds {
    Producer producer;
    Consumer consumer;
};

void run_lane(LaneEnds& ends, Gate& gate, LaneResult& result) {
    const std::vector<std::byte> payload(payload_bytes, std::byte{'x'});
    const std::string scheduler = "/proc/self/task/" + std::to_string(::gettid()) + "/schedstat";
    // relaxed: nothing is handed over; a thousand threads that looked again and again would be what
    // is measured.
    gate.open.wait(false, std::memory_order_relaxed);
    const std::uint64_t before = times_of(scheduler).waited_ns;
    std::uint64_t last = 0;
    // relaxed: a flag; joining orders the results.
    while (!gate.closed.load(std::memory_order_relaxed)) {
        if (!ends.producer.send(payload)) {
            result.failed = true;
            break;
        }
        if (const auto wait = ends.producer.last_wait(); wait && wait->waited_ns != last) {
            last = wait->waited_ns;
            result.waits_ns.push_back(last);
        }
        while (ends.consumer.poll()) {
        }
    }
    result.runqueue_ns = times_of(scheduler).waited_ns - before;
}

int give_up(const std::string& sentence) {
    std::fprintf(stderr, "weir-grants: %s\n", sentence.c_str());
    return 1;
}

double share(std::uint64_t part, std::uint64_t whole) {
    return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

std::optional<std::vector<LaneEnds>> open_lanes(Session& session, int lanes) {
    std::vector<LaneEnds> ends;
    for (int lane = 0; lane < lanes; ++lane) {
        const std::string queue = "queue://grants.lane" + std::to_string(lane);
        auto producer = session.producer(queue);
        auto consumer = session.consumer(queue, {.prefetch = 8});
        if (!producer || !consumer) {
            const auto& error = !producer ? producer.error() : consumer.error();
            std::fprintf(stderr, "weir-grants: %s\n", error.sentence.c_str());
            return std::nullopt;
        }
        ends.push_back({std::move(*producer), std::move(*consumer)});
    }
    return ends;
}

Result<Session, Error<ConnectError>> attach(const char* program) {
    if (program == nullptr) return connect();
    ConnectOptions options;
    options.start = true;
    options.program = program;
    options.direct_bytes = std::uint64_t{32} << 20;
    return connect("weir-grants-" + std::to_string(::getpid()), options);
}

int run(int lanes, int seconds, const char* program) {
    auto session = attach(program);
    if (!session) return give_up(session.error().sentence);
    const BrokerInfo broker = session->broker();
    auto control = ControlRegion::open(broker.name);
    if (!control) return give_up(control.error().sentence);
    const std::string scheduler = "/proc/" + std::to_string(broker.pid) + "/schedstat";
    auto ends = open_lanes(*session, lanes);
    if (!ends) return 1;

    Gate gate;
    std::vector<LaneResult> results(static_cast<std::size_t>(lanes));
    std::vector<std::thread> threads;
    for (std::size_t lane = 0; lane < results.size(); ++lane)
        threads.emplace_back([&, lane] { run_lane((*ends)[lane], gate, results[lane]); });
    const Granted granted_before = granted_of(control->view());
    const SchedulerTimes before = times_of(scheduler);
    const std::uint64_t began = monotonic_ns();
    // relaxed: see run_lane.
    gate.open.store(true, std::memory_order_relaxed);
    gate.open.notify_all();
    ::sleep(static_cast<unsigned>(seconds));
    const SchedulerTimes after = times_of(scheduler);
    const Granted granted = granted_of(control->view());
    const std::uint64_t grants = granted.steps - granted_before.steps;
    const std::uint64_t pages = (granted.bytes - granted_before.bytes) / page_unit;
    const std::uint64_t passed = monotonic_ns() - began;
    // relaxed: see run_lane.
    gate.closed.store(true, std::memory_order_relaxed);
    for (std::thread& thread : threads) thread.join();

    std::vector<std::uint64_t> waits;
    std::uint64_t runqueue = 0;
    for (const LaneResult& result : results) {
        if (result.failed) return give_up("a send failed");
        waits.insert(waits.end(), result.waits_ns.begin(), result.waits_ns.end());
        runqueue += result.runqueue_ns;
    }
    std::sort(waits.begin(), waits.end());
    const auto at = [&waits](double part) {
        if (waits.empty()) return 0.0;
        const auto index = static_cast<std::size_t>(part * static_cast<double>(waits.size() - 1));
        return static_cast<double>(waits[index]) / 1000;
    };
    const double cpu_s = static_cast<double>(after.ran_ns - before.ran_ns) / 1e9;
    const std::uint64_t stood = static_cast<std::uint64_t>(lanes) * passed;
    std::printf(
        "{\"lanes\": %d, \"waits\": %zu, \"wait_us_p50\": %.1f, \"wait_us_p99\": %.1f, "
        "\"grants\": %llu, \"smallest_pages\": %llu, \"grants_per_broker_cpu_s\": %.0f, "
        "\"broker_cpu_share\": %.3f, "
        "\"lanes_runqueue_share\": %.3f, \"broker_runqueue_share\": %.3f}\n",
        lanes, waits.size(), at(0.5), at(0.99), static_cast<unsigned long long>(grants),
        static_cast<unsigned long long>(pages), cpu_s > 0 ? static_cast<double>(grants) / cpu_s : 0,
        share(after.ran_ns - before.ran_ns, passed), share(runqueue, stood),
        share(after.waited_ns - before.waited_ns, passed));
    return 0;
}

}  // namespace
}  // namespace weir::bench

int main(int argc, char** argv) {
    const int lanes = argc > 1 ? std::atoi(argv[1]) : 1000;
    const int seconds = argc > 2 ? std::atoi(argv[2]) : 5;
    if (lanes < 1 || seconds < 1) return weir::bench::give_up("LANES and SECONDS are at least 1");
    return weir::bench::run(lanes, seconds, argc > 3 ? argv[3] : nullptr);
}
