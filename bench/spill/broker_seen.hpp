// SPDX-License-Identifier: Apache-2.0
//
// A broker from outside, while it runs: what it says about memory and disk in its published region,
// and what the kernel says that it has used.
#ifndef WEIR_BENCH_SPILL_BROKER_SEEN_HPP
#define WEIR_BENCH_SPILL_BROKER_SEEN_HPP

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "bench/probes/probe_error.hpp"
#include "shm/control_region.hpp"

namespace weir::bench {

struct Moment {
    std::uint64_t at_ns = 0;
    std::uint64_t bytes_written = 0;  // by the broker, to disk
    std::uint64_t bytes_read = 0;
    double cpu_s = 0;  // of the broker, the kernel's work for it included
};

class BrokerSeen {
public:
    static Probed<BrokerSeen> open(const std::string& broker);

    // Cheap: a word each.
    std::uint64_t direct_used() const noexcept;
    pid_t pid() const noexcept {
        return static_cast<pid_t>(control_.view().superblock().broker_pid);
    }
    std::uint64_t direct_limit() const noexcept;
    std::uint64_t bytes_read() const noexcept;
    // With the kernel's account: a few microseconds.
    Moment now() const;

private:
    explicit BrokerSeen(ControlRegion control) : control_(std::move(control)) {}

    ControlRegion control_;
};

// What the first thread of a process has had of processors: how long, and how many times it was put
// on one. Zeros where the kernel does not count that.
struct RunsOf {
    double ns = 0;
    double times = 0;
};
RunsOf runs_of(pid_t pid);

// Seconds of processor that all threads of a process have used, in the kernel's ticks (10 ms).
double cpu_s_of(pid_t pid);

}  // namespace weir::bench

#endif  // WEIR_BENCH_SPILL_BROKER_SEEN_HPP
