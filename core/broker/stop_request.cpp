// SPDX-License-Identifier: Apache-2.0
//
// The one request that ends a broker; see stop_request.hpp.
#include "core/broker/stop_request.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "core/base/clock.hpp"

namespace weir::broker {
namespace {

// Beyond the drain: what a busy broker may take to answer and to end.
constexpr std::uint64_t patience_ns = RequestSession::patience_ns;

// The broker's process, as the kernel knows it: who listens at the socket's other end.
Fd broker_process(int socket, pid_t& pid) noexcept {
    ucred credentials{};
    socklen_t length = sizeof(credentials);
    if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0) return Fd();
    pid = credentials.pid;
    return Fd(static_cast<int>(::syscall(SYS_pidfd_open, credentials.pid, 0)));
}

}  // namespace

Result<Discarded, Error<RequestFailure>> stop_broker(const std::string& name, const Places& places,
                                                     std::uint64_t drain_ns) {
    auto session = RequestSession::open(name, places, "weir stop");
    if (!session) return fail(session.error());
    pid_t pid = 0;
    const Fd process = broker_process(session->socket(), pid);

    protocol::Stop stop{};
    stop.drain_ns = drain_ns;
    const std::uint64_t wait_ns = drain_ns + std::min(patience_ns, UINT64_MAX - drain_ns);
    auto stopped = session->ask<protocol::Stopped>(stop, wait_ns);
    if (!stopped) return fail(stopped.error());

    // A broker in this very process (a test runs one in a thread) does not end with it.
    if (process && pid != ::getpid()) {
        pollfd end{process.get(), POLLIN, 0};
        if (::poll(&end, 1, static_cast<int>(patience_ns / ns_per_ms)) == 0)
            return fail(RequestFailure::silent, "the broker has stopped serving, but its process " +
                                                    std::to_string(pid) + " does not end");
    }
    return Discarded{stopped->discarded_messages, stopped->discarded_bytes};
}

}  // namespace weir::broker
