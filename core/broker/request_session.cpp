// SPDX-License-Identifier: Apache-2.0
#include "core/broker/request_session.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "core/base/check.hpp"
#include "core/base/errno.hpp"
#include "core/broker/peer.hpp"

namespace weir::broker {
namespace {

using protocol::Refusal;

Error<RequestFailure> nobody(const std::string& name) {
    return {RequestFailure::no_broker,
            "no broker named \"" + name +
                "\" runs: start one with 'weir broker' (--name chooses another)"};
}

Result<Fd, Error<RequestFailure>> connect_to(const std::string& name, const Places& places) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    WEIR_CHECK(places.socket.size() < sizeof(address.sun_path));
    std::memcpy(address.sun_path, places.socket.data(), places.socket.size());
    Fd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    if (!socket) return fail(RequestFailure::system, "cannot make a socket: " + errno_text(errno));
    if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address),  // NOLINT: interface
                  sizeof(address)) == 0)
        return socket;
    // ECONNREFUSED: a killed broker's socket still stands there.
    if (errno == ENOENT || errno == ECONNREFUSED || errno == ENOTDIR) return fail(nobody(name));
    return fail(RequestFailure::system,
                "cannot connect to " + places.socket + ": " + errno_text(errno));
}

}  // namespace

Error<RequestFailure> RequestSession::lost(protocol::ChannelError error) {
    if (error == protocol::ChannelError::timed_out)
        return {RequestFailure::silent,
                "the broker does not answer: see its log, or end it with 'kill -TERM' to its pid"};
    return {RequestFailure::hung_up, "the broker ended the connection: see its log"};
}

Error<RequestFailure> RequestSession::refusal_in(const protocol::Packet& packet) {
    protocol::Refused refused{};
    if (!packet.read(refused))
        return {RequestFailure::refused,
                "the broker answers what this program does not understand: "
                "use programs of one build"};
    const bool usage = refused.code == Refusal::bad_name || refused.code == Refusal::bad_policy;
    return {usage ? RequestFailure::usage : RequestFailure::refused,
            std::string(protocol::read_text(refused.sentence))};
}

Result<protocol::Packet, Error<RequestFailure>> RequestSession::receive(std::uint64_t wait_ns) {
    const std::uint64_t now = monotonic_ns();
    auto packet =
        protocol::receive_packet(socket_.get(), now + std::min(wait_ns, UINT64_MAX - now));
    if (!packet) return fail(lost(packet.error()));
    return std::move(*packet);
}

Result<RequestSession, Error<RequestFailure>> RequestSession::open(const std::string& name,
                                                                   const Places& places,
                                                                   std::string_view who) {
    auto socket = connect_to(name, places);
    if (!socket) return fail(socket.error());
    RequestSession session(std::move(*socket));

    protocol::Hello hello{};
    hello.version = protocol::version;
    hello.pid = static_cast<std::uint32_t>(::getpid());
    hello.fingerprint = layout_fingerprint();
    hello.start_time = start_time_of(::getpid()).value_or(0);
    protocol::copy_text(hello.name, who);
    auto welcome = session.ask<protocol::Welcome>(hello);
    // A killed broker's listener lives some milliseconds longer, until the kernel has taken its
    // ring apart: who connects then is hung up on, without a word. A living broker says why it
    // refuses.
    if (!welcome && welcome.error().code == RequestFailure::hung_up) return fail(nobody(name));
    if (!welcome) return fail(welcome.error());
    return session;
}

}  // namespace weir::broker
