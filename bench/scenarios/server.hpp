// SPDX-License-Identifier: Apache-2.0
//
// A server that the benchmark starts for itself and ends by its process id: Weir's own broker, and
// those of others.
//
// It runs in a private folder, with sockets there or on a free loopback port; what it prints goes
// to a log there, and the end of that log is in the error if it does not come up. It dies with the
// benchmark, also when that is killed.
//
// Invariants
//   V1  when stop() or the destructor returns, the process has ended and is reaped
#ifndef WEIR_BENCH_SCENARIOS_SERVER_HPP
#define WEIR_BENCH_SCENARIOS_SERVER_HPP

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "bench/probes/probe_error.hpp"

namespace weir::bench {

class Server {
public:
    // Starts `command` (found in PATH and in /usr/sbin) and returns when `ready` says so.
    static Probed<Server> start(const std::vector<std::string>& command, const std::string& folder,
                                const std::function<bool()>& ready);

    Server(Server&& other) noexcept;
    Server& operator=(Server&& other) noexcept;
    Server(const Server&) = delete;
    ~Server() { stop(); }

    // SIGTERM, and SIGKILL two seconds later.
    void stop() noexcept;
    pid_t pid() const noexcept { return pid_; }

private:
    explicit Server(pid_t pid) noexcept : pid_(pid) {}

    pid_t pid_ = 0;
};

// A loopback port that nobody listens on now; 0: none was given.
std::uint16_t free_port();
bool port_answers(std::uint16_t port);
// Whether a server printed these words, near the end of what it printed.
bool log_says(const std::string& folder, const std::string& words);
// Whether somebody listens on a Unix socket.
bool socket_answers(const std::string& path);

}  // namespace weir::bench

#endif  // WEIR_BENCH_SCENARIOS_SERVER_HPP
