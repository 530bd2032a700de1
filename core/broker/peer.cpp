// SPDX-License-Identifier: Apache-2.0
//
// Asking the kernel about a peer; see peer.hpp.
#include "core/broker/peer.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <string>
#include <string_view>

#include "core/base/errno.hpp"

namespace weir::broker {
namespace {

// Linux 6.5; not in Debian 12's headers. The number is part of the kernel's interface.
constexpr int so_peerpidfd = 77;

// Field 22, counted from 1; field 2 is the program's name in parentheses and may hold blanks.
constexpr int start_time_field = 22;
constexpr int field_behind_name = 3;

std::optional<ucred> credentials_of(int socket) noexcept {
    ucred credentials{};
    socklen_t length = sizeof(credentials);
    if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0)
        return std::nullopt;
    return credentials;
}

Fd process_of(int socket, pid_t pid) noexcept {
    int process = -1;
    socklen_t length = sizeof(process);
    if (::getsockopt(socket, SOL_SOCKET, so_peerpidfd, &process, &length) == 0) return Fd(process);
    // ENOPROTOOPT: an older kernel. Anything else (ESRCH, EINVAL) says that the process is gone.
    if (errno != ENOPROTOOPT) return Fd();
    return Fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
}

}  // namespace

std::optional<std::uint32_t> peer_uid(int socket) noexcept {
    const auto credentials = credentials_of(socket);
    if (!credentials) return std::nullopt;
    return credentials->uid;
}

Result<Peer, Error<protocol::Refusal>> identify_peer(int socket, std::uint64_t start_time) {
    const auto credentials = credentials_of(socket);
    if (!credentials || credentials->pid <= 0)
        return fail(protocol::Refusal::not_permitted,
                    "the kernel does not say who connected: connect from the broker's own pid "
                    "namespace or one below it");
    Fd process = process_of(socket, credentials->pid);
    if (!process)
        return fail(protocol::Refusal::system, "no descriptor for process " +
                                                   std::to_string(credentials->pid) + ": " +
                                                   errno_text(errno));
    // Read after the pidfd was opened: if the number changed hands before, the start time differs.
    const auto started = start_time_of(credentials->pid);
    if (!started || *started != start_time)
        return fail(protocol::Refusal::not_permitted,
                    "the process that said hello is not process " +
                        std::to_string(credentials->pid) +
                        ", which connected: connect again in the process that uses the session");
    return Peer{static_cast<std::uint32_t>(credentials->pid), credentials->uid, *started,
                std::move(process)};
}

bool has_died(int process) noexcept {
    pollfd state{process, POLLIN, 0};
    return ::poll(&state, 1, 0) == 1 && (state.revents & POLLIN) != 0;
}

bool lives(pid_t pid, std::uint64_t start_time) {
    const Fd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    // The descriptor first, then the number's owner: they are of one process if that has not died.
    return process && start_time_of(pid) == start_time && !has_died(process.get());
}

std::optional<std::uint64_t> start_time_of(pid_t pid) {
    const std::string path = "/proc/" + std::to_string(pid) + "/stat";
    Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    std::array<char, 1024> bytes{};
    const ssize_t length = file ? ::read(file.get(), bytes.data(), bytes.size()) : -1;
    if (length <= 0) return std::nullopt;
    std::string_view text(bytes.data(), static_cast<std::size_t>(length));
    const std::size_t name_end = text.rfind(')');
    if (name_end == std::string_view::npos) return std::nullopt;
    text.remove_prefix(name_end + 1);
    for (int field = field_behind_name; !text.empty(); ++field) {
        text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
        const std::string_view word = text.substr(0, text.find(' '));
        text.remove_prefix(word.size());
        if (field != start_time_field) continue;
        std::uint64_t ticks = 0;
        const auto parsed = std::from_chars(word.data(), word.data() + word.size(), ticks);
        return parsed.ec == std::errc{} ? std::optional(ticks) : std::nullopt;
    }
    return std::nullopt;
}

}  // namespace weir::broker
