// SPDX-License-Identifier: Apache-2.0
//
// Packets and descriptors over a SOCK_SEQPACKET socket; see channel.hpp.
//
// Invariants
//   H1  a received descriptor is owned by an Fd before anything else can fail, so none leaks
//   H2  sending never waits and never raises SIGPIPE
//   H3  what was cut by the kernel (bytes or descriptors) is garbage as a whole
#include "core/protocol/channel.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <ctime>

#include "core/base/check.hpp"
#include "core/base/clock.hpp"

namespace weir::protocol {
namespace {

// Room for the descriptors beside a packet, aligned as the kernel's headers in it need.
struct alignas(cmsghdr) ControlBuffer {
    std::array<char, CMSG_SPACE(packet_fds_max * sizeof(int))> bytes{};
};

ChannelError error_of(int number) noexcept {
    switch (number) {
        case EPIPE:
        case ECONNRESET:
        case ENOTCONN: return ChannelError::closed;
        case EAGAIN:
        case ENOBUFS:       // the kernel's memory for packets in flight
        case ETOOMANYREFS:  // too many descriptors in flight that nobody took
            return ChannelError::full;
        case EMSGSIZE: return ChannelError::garbage;
        default: return ChannelError::system;
    }
}

// Waits until the socket can be read or the deadline passes. False: it passed.
Result<bool, ChannelError> wait_readable(int socket, std::uint64_t deadline_ns) noexcept {
    pollfd wanted{socket, POLLIN, 0};
    for (;;) {
        const std::uint64_t now = monotonic_ns();
        const std::uint64_t left = deadline_ns > now ? deadline_ns - now : 0;
        timespec span{};
        span.tv_sec = static_cast<time_t>(std::min(left / ns_per_s, std::uint64_t{1} << 30));
        span.tv_nsec = static_cast<long>(left % ns_per_s);
        const int ready = ::ppoll(&wanted, 1, &span, nullptr);
        if (ready > 0) return true;  // also when the peer is gone: reading then says so
        if (ready == 0 && left == 0) return false;
        if (ready < 0 && errno != EINTR) return fail(error_of(errno));
    }
}

}  // namespace

const Header* Packet::header() const noexcept {
    if (size < sizeof(Header) || size > bytes.size()) return nullptr;
    const auto* head = reinterpret_cast<const Header*>(bytes.data());  // NOLINT: aligned, checked
    return head->magic == packet_magic ? head : nullptr;
}
static_assert(alignof(Packet) >= alignof(Header) && offsetof(Packet, bytes) == 0,
              "header() reads in place");

std::vector<Fd> take_descriptors(msghdr& message) {
    std::vector<Fd> taken;
    for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr;
         part = CMSG_NXTHDR(&message, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
        const std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (std::size_t index = 0; index < count; ++index) {
            int fd = -1;
            std::memcpy(&fd, CMSG_DATA(part) + index * sizeof(int), sizeof(int));
            taken.emplace_back(fd);
        }
    }
    return taken;
}

Result<void, ChannelError> send_packet(int socket, std::span<const std::byte> bytes,
                                       std::span<const int> fds) noexcept {
    WEIR_CHECK(bytes.size() <= packet_bytes_max);
    WEIR_CHECK(fds.size() <= packet_fds_max);
    // The kernel only reads from it; the interface has no const.
    iovec piece{const_cast<std::byte*>(bytes.data()), bytes.size()};
    ControlBuffer control;
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    if (!fds.empty()) {
        message.msg_control = control.bytes.data();
        message.msg_controllen = CMSG_SPACE(fds.size_bytes());
        cmsghdr* const part = CMSG_FIRSTHDR(&message);
        part->cmsg_level = SOL_SOCKET;
        part->cmsg_type = SCM_RIGHTS;
        part->cmsg_len = CMSG_LEN(fds.size_bytes());
        std::memcpy(CMSG_DATA(part), fds.data(), fds.size_bytes());
    }
    for (;;) {
        const ssize_t sent = ::sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent >= 0) return {};  // a packet is taken whole or not at all
        if (errno != EINTR) return fail(error_of(errno));
    }
}

Result<Packet, ChannelError> receive_packet(int socket, std::uint64_t deadline_ns) {
    Packet packet;
    for (;;) {
        iovec piece{packet.bytes.data(), packet.bytes.size()};
        ControlBuffer control;
        msghdr message{};
        message.msg_iov = &piece;
        message.msg_iovlen = 1;
        message.msg_control = control.bytes.data();
        message.msg_controllen = control.bytes.size();
        const ssize_t length = ::recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (length >= 0) {
            packet.fds = take_descriptors(message);
            if (length == 0) return fail(ChannelError::closed);
            if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0)
                return fail(ChannelError::garbage);
            packet.size = static_cast<std::size_t>(length);
            return packet;
        }
        if (errno == EINTR) continue;
        if (errno != EAGAIN) return fail(error_of(errno));
        auto readable = wait_readable(socket, deadline_ns);
        if (!readable) return fail(readable.error());
        if (!*readable) return fail(ChannelError::timed_out);
    }
}

void copy_text(std::span<char> field, std::string_view text) noexcept {
    WEIR_CHECK(!field.empty());
    const std::size_t length = std::min(text.size(), field.size() - 1);
    std::copy_n(text.data(), length, field.data());
    std::fill(field.begin() + static_cast<std::ptrdiff_t>(length), field.end(), '\0');
}

std::string_view read_text(std::span<const char> field) noexcept {
    if (field.empty()) return {};
    const auto last = field.end() - 1;  // also a text without a zero ends
    const auto end = std::find(field.begin(), last, '\0');
    return {field.data(), static_cast<std::size_t>(end - field.begin())};
}

}  // namespace weir::protocol
