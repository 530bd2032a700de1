// SPDX-License-Identifier: Apache-2.0
//
// How a broker serves many lanes that all want pages at the same time.
//
//      weir-grants [LANES [SECONDS]]      against the broker that WEIR_NAME names
//
// Each lane is a thread of its own with a producer on a queue of its own, which a consumer of the
// same thread empties: a message fills most of a smallest page, so a lane lives from grant to
// grant. What is printed, as JSON:
//
//   waits, wait_us_p50, _p99      sends that found no room, and how long each stood
//   grants                        steps of the lanes' `grants` words, as `control` shows them
//   grants_per_broker_cpu_s       by the broker's time on a processor (/proc/PID/schedstat)
//   broker_cpu_share              of the time that passed
//   lanes_runqueue_share          of the time that lanes stood waiting: they could have run and had
//                                 no processor
//   broker_runqueue_share         of the time that passed: the broker could have run and had none
//
// With more threads than processors most of a wait is the scheduler's, and the two shares say so.
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <fstream>
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

std::uint64_t grants_of(const ControlView& control) {
    std::uint64_t steps = 0;
    for (LaneId lane = 0; lane < control.limits.lanes; ++lane) {
        // relaxed: a figure; the lanes are at rest, or it is off by a few.
        steps += control.lane(lane).grants.load(std::memory_order_relaxed);
    }
    return steps;
}

struct LaneResult {
    std::vector<std::uint64_t> waits_ns;
    std::uint64_t runqueue_ns = 0;
    bool failed = false;
};

struct Turnstile {
    std::atomic<int> ready{0};
    std::atomic<bool> go{false};
    std::atomic<bool> stop{false};
};

void run_lane(Session& session, int number, Turnstile& gate, LaneResult& result) {
    const std::string queue = "queue://grants.lane" + std::to_string(number);
    auto producer = session.producer(queue);
    auto consumer = session.consumer(queue);
    result.failed = !producer || !consumer;
    // relaxed: a count; joining orders the results.
    gate.ready.fetch_add(1, std::memory_order_relaxed);
    // relaxed: a flag that is looked at again and again.
    while (!gate.go.load(std::memory_order_relaxed)) ::usleep(1000);
    if (result.failed) return;
    const std::vector<std::byte> payload(payload_bytes, std::byte{'x'});
    const std::string scheduler = "/proc/self/task/" + std::to_string(::gettid()) + "/schedstat";
    const std::uint64_t before = times_of(scheduler).waited_ns;
    std::uint64_t last = 0;
    // relaxed: as above.
    while (!gate.stop.load(std::memory_order_relaxed)) {
        if (!producer->send(payload)) break;
        if (const auto wait = producer->last_wait(); wait && wait->waited_ns != last) {
            last = wait->waited_ns;
            result.waits_ns.push_back(last);
        }
        while (consumer->poll()) {
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

int run(int lanes, int seconds) {
    auto session = connect();
    if (!session) return give_up(session.error().sentence);
    const BrokerInfo broker = session->broker();
    auto control = ControlRegion::open(broker.name);
    if (!control) return give_up(control.error().sentence);
    const std::string scheduler = "/proc/" + std::to_string(broker.pid) + "/schedstat";

    Turnstile gate;
    std::vector<LaneResult> results(static_cast<std::size_t>(lanes));
    std::vector<std::thread> threads;
    for (int lane = 0; lane < lanes; ++lane)
        threads.emplace_back(
            [&, lane] { run_lane(*session, lane, gate, results[static_cast<std::size_t>(lane)]); });
    // relaxed: see run_lane.
    while (gate.ready.load(std::memory_order_relaxed) != lanes) ::usleep(1000);
    const std::uint64_t grants_before = grants_of(control->view());
    const SchedulerTimes before = times_of(scheduler);
    const std::uint64_t began = monotonic_ns();
    // relaxed: see run_lane.
    gate.go.store(true, std::memory_order_relaxed);
    ::sleep(static_cast<unsigned>(seconds));
    const SchedulerTimes after = times_of(scheduler);
    const std::uint64_t grants = grants_of(control->view()) - grants_before;
    const std::uint64_t passed = monotonic_ns() - began;
    // relaxed: see run_lane.
    gate.stop.store(true, std::memory_order_relaxed);
    for (std::thread& thread : threads) thread.join();

    std::vector<std::uint64_t> waits;
    std::uint64_t runqueue = 0;
    for (const LaneResult& result : results) {
        if (result.failed) return give_up("a producer or consumer could not be opened");
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
        "\"grants\": %llu, \"grants_per_broker_cpu_s\": %.0f, \"broker_cpu_share\": %.3f, "
        "\"lanes_runqueue_share\": %.3f, \"broker_runqueue_share\": %.3f}\n",
        lanes, waits.size(), at(0.5), at(0.99), static_cast<unsigned long long>(grants),
        cpu_s > 0 ? static_cast<double>(grants) / cpu_s : 0,
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
    return weir::bench::run(lanes, seconds);
}
