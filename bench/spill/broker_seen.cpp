// SPDX-License-Identifier: Apache-2.0
#include "bench/spill/broker_seen.hpp"

#include <unistd.h>

#include <fstream>
#include <sstream>
#include <utility>

#include "core/base/clock.hpp"

namespace weir::bench {

Probed<BrokerSeen> BrokerSeen::open(const std::string& broker) {
    auto control = ControlRegion::open(broker);
    if (!control) return fail(ProbeFault::subject_failed, control.error().sentence);
    return BrokerSeen(std::move(*control));
}

std::uint64_t BrokerSeen::direct_used() const noexcept {
    // relaxed: a number for people, read alone; so are those below.
    return control_.view().superblock().direct.used.load(std::memory_order_relaxed);
}

std::uint64_t BrokerSeen::direct_limit() const noexcept {
    return control_.view().limits.direct_bytes;
}

std::uint64_t BrokerSeen::bytes_read() const noexcept {
    // relaxed: as above.
    return control_.view().superblock().disk_activity.bytes_read.load(std::memory_order_relaxed);
}

Moment BrokerSeen::now() const {
    const Superblock& super = control_.view().superblock();
    Moment moment;
    moment.at_ns = monotonic_ns();
    // relaxed: as above.
    moment.bytes_written = super.disk_activity.bytes_written.load(std::memory_order_relaxed);
    moment.bytes_read = bytes_read();
    moment.cpu_s = cpu_s_of(static_cast<pid_t>(super.broker_pid));
    return moment;
}

RunsOf runs_of(pid_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/schedstat");
    RunsOf runs;
    double waited = 0;
    file >> runs.ns >> waited >> runs.times;
    return runs;
}

// Fields 14 and 15 of the line; the second one is a name that may hold anything, so it is counted
// from behind its last parenthesis.
double cpu_s_of(pid_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    std::string line;
    std::getline(file, line);
    const std::size_t name_end = line.rfind(')');
    if (name_end == std::string::npos) return 0;
    std::istringstream rest(line.substr(name_end + 1));
    std::string skipped;
    for (int field = 3; field < 14; ++field) rest >> skipped;
    double user = 0;
    double system = 0;
    rest >> user >> system;
    return (user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

}  // namespace weir::bench
