// SPDX-License-Identifier: Apache-2.0
//
// Scenario idle: what a broker and parked clients take of the processors while nothing happens.
//
// Four clients sleep in receive(), with a producer each that has sent and been read. After six
// seconds of rest the kernel's account of each process (schedstat, nanoseconds on a processor) is
// read twice, some seconds apart; the figure is milliseconds per ten seconds, the broker and the
// clients together.
//
// What waking costs is what is touched, not what is computed: a process that touched 100 or 1000
// pages of its memory once a second used 8 to 12 and 47 to 64 ms in ten seconds, one that only
// sleeps 1 to 2 (27 November 2026, three spans side by side, a virtual machine with two idle
// processors). So they wake seldom: the broker at rest every four seconds (ticks.hpp), clients
// every ten (cores.hpp).
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <string>
#include <vector>

#include "bench/scenarios/content.hpp"
#include "bench/scenarios/leg.hpp"
#include "bench/scenarios/weir_broker.hpp"
#include "bench/scenarios/weir_ends.hpp"
#include "bench/scenarios/weir_scenarios.hpp"

namespace weir::bench {
namespace {

constexpr int clients = 4;

// Nanoseconds that all threads of a process have been on a processor.
std::uint64_t cpu_ns_of(pid_t pid) {
    std::uint64_t sum = 0;
    const std::string tasks = "/proc/" + std::to_string(pid) + "/task/";
    // A client has its main thread and perhaps one that waits for it: looked for by number.
    for (pid_t task = pid; task < pid + 64; ++task) {
        std::ifstream file(tasks + std::to_string(task) + "/schedstat");
        std::uint64_t ns = 0;
        if (file >> ns) sum += ns;
    }
    return sum;
}

[[noreturn]] void sleep_in_receive(const std::string& broker, int number, LegArea& area,
                                   pid_t parent) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(0);
    const std::string destination = "queue://bench.idle." + std::to_string(number);
    auto receiver = WeirReceiver::open(broker, destination, Mode::park);
    auto sender = WeirSender::open(broker, destination);
    Content content(64);
    if (!receiver || !sender || !sender->send(content.of(0))) ::_exit(1);
    if (receiver->receive().data() == nullptr) ::_exit(1);
    receiver->acknowledge();
    area.say_done();
    receiver->receive();  // nothing comes any more
    ::_exit(0);
}

class Sleepers {
public:
    ~Sleepers() {
        for (pid_t pid : pids_) {
            ::kill(pid, SIGKILL);
            ::waitpid(pid, nullptr, 0);
        }
    }
    void add(pid_t pid) { pids_.push_back(pid); }
    std::uint64_t cpu_ns() const {
        std::uint64_t sum = 0;
        for (pid_t pid : pids_) sum += cpu_ns_of(pid);
        return sum;
    }

private:
    std::vector<pid_t> pids_;
};

}  // namespace

Probed<Measured> idle(const Scene& scene, const Cell&, std::uint64_t seconds) {
    auto area = SharedArea::create(sizeof(LegArea));
    if (!area) return fail(area.error());
    auto& shared = area->front<LegArea>();
    const std::string name = "bench-idle-" + scene.tag;
    auto broker = start_weir_broker(scene, name, {"--direct", "256M"});
    if (!broker) return fail(broker.error());
    const pid_t parent = ::getpid();
    Sleepers sleepers;
    for (int number = 0; number < clients; ++number) {
        const pid_t pid = ::fork();
        if (pid == 0) sleep_in_receive(name, number, shared, parent);
        if (pid == -1) return fail_with_errno(ProbeFault::no_process, "idle: fork");
        sleepers.add(pid);
    }
    constexpr std::uint64_t patience_ns = 10 * ns_per_s;
    const std::uint64_t deadline_ns = monotonic_ns() + patience_ns;
    // SYNC(bench_done) acquire: each client has had its message and is about to sleep.
    while (shared.done.load(std::memory_order_acquire) < clients) {
        if (monotonic_ns() > deadline_ns)
            return fail(ProbeFault::timed_out, "idle: the clients did not come to rest");
        ::usleep(1000);
    }
    ::sleep(6);  // the broker's first ticks find that somebody has come (ticks.hpp)
    const std::uint64_t broker_from = cpu_ns_of(broker->pid());
    const std::uint64_t clients_from = sleepers.cpu_ns();
    const std::uint64_t began_ns = monotonic_ns();
    ::sleep(static_cast<unsigned>(seconds));
    const std::uint64_t elapsed_ns = monotonic_ns() - began_ns;
    const auto per_ten_seconds = [&](std::uint64_t ns) {
        return static_cast<double>(ns) / static_cast<double>(ns_per_ms) * 10.0 *
               static_cast<double>(ns_per_s) / static_cast<double>(elapsed_ns);
    };
    Measured measured;
    measured.elapsed_ns = elapsed_ns;
    const double of_broker = per_ten_seconds(cpu_ns_of(broker->pid()) - broker_from);
    const double of_clients = per_ten_seconds(sleepers.cpu_ns() - clients_from);
    measured.counts = {{"cpu_ms", of_broker + of_clients},
                       {"broker_cpu_ms", of_broker},
                       {"clients_cpu_ms", of_clients}};
    return measured;
}

}  // namespace weir::bench
