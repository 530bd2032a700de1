// SPDX-License-Identifier: Apache-2.0
#include "core/inspect/settle.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>

#include "core/base/errno.hpp"
#include "core/base/fd.hpp"
#include "core/inspect/region.hpp"
#include "core/protocol/channel.hpp"
#include "core/protocol/messages.hpp"

namespace weir::inspect {
namespace {

using protocol::ChannelError;

Result<Fd, Error<SettleError>> reach(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path)
        return fail(SettleError::unreachable, path + " is too long for a socket's path");
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    Fd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const auto* const generic = reinterpret_cast<const sockaddr*>(&address);  // NOLINT: the API
    if (!socket || ::connect(socket.get(), generic, sizeof address) != 0)
        return fail(SettleError::unreachable,
                    "cannot reach its socket " + path + ": " + errno_text(errno));
    return socket;
}

std::uint64_t own_start_time() {
    std::ifstream file("/proc/self/stat");
    const std::string line((std::istreambuf_iterator<char>(file)), {});
    return start_time_of(line).value_or(0);
}

Failure<Error<SettleError>> lost(ChannelError error) {
    if (error == ChannelError::timed_out) return fail(SettleError::no_answer, "it does not answer");
    return fail(SettleError::refused, "it ended the conversation");
}

// One request and its answer, which must be an Answer.
template <class Answer, class Request>
Result<Answer, Error<SettleError>> ask(const Fd& socket, const Request& request,
                                       std::uint64_t number, std::uint64_t deadline_ns) {
    if (auto sent = protocol::send_message(socket.get(), request, number); !sent)
        return lost(sent.error());
    auto packet = protocol::receive_packet(socket.get(), deadline_ns);
    if (!packet) return lost(packet.error());
    Answer answer{};
    if (packet->read(answer)) return answer;
    protocol::Refused refused{};
    if (packet->read(refused))
        return fail(SettleError::refused, std::string(protocol::read_text(refused.sentence)));
    return fail(SettleError::refused, "it answered with something else");
}

}  // namespace

Result<void, Error<SettleError>> settle_books(const std::string& socket_path,
                                              std::uint64_t deadline_ns) {
    auto socket = reach(socket_path);
    if (!socket) return fail(socket.error());
    protocol::Hello hello{};
    hello.version = protocol::version;
    hello.pid = static_cast<std::uint32_t>(::getpid());
    hello.fingerprint = layout_fingerprint();
    hello.start_time = own_start_time();
    protocol::copy_text(hello.name, "weir inspect");
    auto welcome = ask<protocol::Welcome>(*socket, hello, 1, deadline_ns);
    if (!welcome) return fail(welcome.error());
    auto settled = ask<protocol::Done>(*socket, protocol::Settle{}, 2, deadline_ns);
    if (!settled) return fail(settled.error());
    auto left = ask<protocol::Done>(*socket, protocol::Bye{}, 3, deadline_ns);
    if (!left) return fail(left.error());
    return {};
}

}  // namespace weir::inspect
