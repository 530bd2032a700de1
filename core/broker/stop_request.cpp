// SPDX-License-Identifier: Apache-2.0
//
// The one session that stops a broker; see stop_request.hpp.
#include "core/broker/stop_request.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "core/base/check.hpp"
#include "core/base/clock.hpp"
#include "core/base/errno.hpp"
#include "core/broker/peer.hpp"
#include "core/protocol/channel.hpp"

namespace weir::broker {
namespace {

// Beyond the drain: what a busy broker may take to answer and to end.
constexpr std::uint64_t patience_ns = 10 * ns_per_s;

Error<StopFailure> nobody(const std::string& name) {
    return {StopFailure::no_broker, "no broker named \"" + name +
                                        "\" runs: there is nothing to stop (--name chooses "
                                        "another)"};
}

Result<Fd, Error<StopFailure>> connect_to(const std::string& name, const Places& places) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    WEIR_CHECK(places.socket.size() < sizeof(address.sun_path));
    std::memcpy(address.sun_path, places.socket.data(), places.socket.size());
    Fd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    if (!socket) return fail(StopFailure::system, "cannot make a socket: " + errno_text(errno));
    if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address),  // NOLINT: interface
                  sizeof(address)) == 0)
        return socket;
    // ECONNREFUSED: a killed broker's socket still stands there.
    if (errno == ENOENT || errno == ECONNREFUSED || errno == ENOTDIR) return fail(nobody(name));
    return fail(StopFailure::system,
                "cannot connect to " + places.socket + ": " + errno_text(errno));
}

Error<StopFailure> lost(protocol::ChannelError error) {
    if (error == protocol::ChannelError::timed_out)
        return {StopFailure::silent,
                "the broker does not answer: 'kill -TERM' to its pid stops it too"};
    return {StopFailure::hung_up, "the broker ended the connection: see its log"};
}

// Sends a request and reads its answer.
template <class Answer, class Request>
Result<Answer, Error<StopFailure>> ask(int socket, const Request& request, std::uint64_t wait_ns) {
    constexpr std::uint64_t number = 1;
    if (auto sent = protocol::send_message(socket, request, number); !sent)
        return fail(lost(sent.error()));
    const std::uint64_t now = monotonic_ns();
    auto packet = protocol::receive_packet(socket, now + std::min(wait_ns, UINT64_MAX - now));
    if (!packet) return fail(lost(packet.error()));
    Answer answer{};
    if (packet->read(answer)) return answer;
    protocol::Refused refused{};
    if (packet->read(refused))
        return fail(StopFailure::refused, std::string(protocol::read_text(refused.sentence)));
    return fail(StopFailure::refused,
                "the broker answers what this program does not understand: "
                "use programs of one build");
}

// The broker's process, as the kernel knows it: who listens at the socket's other end.
Fd broker_process(int socket, pid_t& pid) noexcept {
    ucred credentials{};
    socklen_t length = sizeof(credentials);
    if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0) return Fd();
    pid = credentials.pid;
    return Fd(static_cast<int>(::syscall(SYS_pidfd_open, credentials.pid, 0)));
}

}  // namespace

Result<Discarded, Error<StopFailure>> stop_broker(const std::string& name, const Places& places,
                                                  std::uint64_t drain_ns) {
    auto socket = connect_to(name, places);
    if (!socket) return fail(socket.error());
    pid_t pid = 0;
    const Fd process = broker_process(socket->get(), pid);

    protocol::Hello hello{};
    hello.version = protocol::version;
    hello.pid = static_cast<std::uint32_t>(::getpid());
    hello.fingerprint = layout_fingerprint();
    hello.start_time = start_time_of(::getpid()).value_or(0);
    protocol::copy_text(hello.name, "weir stop");
    auto welcome = ask<protocol::Welcome>(socket->get(), hello, patience_ns);
    // A killed broker's listener lives some milliseconds longer, until the kernel has taken its
    // ring apart: who connects then is hung up on, without a word. A living broker says why it
    // refuses.
    if (!welcome && welcome.error().code == StopFailure::hung_up) return fail(nobody(name));
    if (!welcome) return fail(welcome.error());

    protocol::Stop stop{};
    stop.drain_ns = drain_ns;
    const std::uint64_t wait_ns = drain_ns + std::min(patience_ns, UINT64_MAX - drain_ns);
    auto stopped = ask<protocol::Stopped>(socket->get(), stop, wait_ns);
    if (!stopped) return fail(stopped.error());

    // A broker in this very process (a test runs one in a thread) does not end with it.
    if (process && pid != ::getpid()) {
        pollfd end{process.get(), POLLIN, 0};
        if (::poll(&end, 1, static_cast<int>(patience_ns / ns_per_ms)) == 0)
            return fail(StopFailure::silent, "the broker has stopped serving, but its process " +
                                                 std::to_string(pid) + " does not end");
    }
    return Discarded{stopped->discarded_messages, stopped->discarded_bytes};
}

}  // namespace weir::broker
