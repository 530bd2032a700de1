// SPDX-License-Identifier: Apache-2.0
//
// Peer: Unix domain sockets, what services on one host use today.
//
// Three ways: a stream with one write per message, a stream with as many messages as fit into 64
// KiB per write (which is another program, since a message then waits for others, and the one to
// beat), and packets, one per message. Settings: a send buffer of up to 4 MiB where the kernel
// allows it, a reader that takes up to 256 KiB per read.
#include <sys/socket.h>

#include <array>

#include "bench/peers/streams.hpp"
#include "bench/peers/system.hpp"

namespace weir::bench {
namespace {

constexpr int buffer_bytes = 4 << 20;

Probed<Channels> connected(int type) {
    std::array<int, 2> ends{-1, -1};
    if (::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends.data()) != 0)
        return fail_with_errno(ProbeFault::no_process, "socketpair");
    for (int end : ends) {
        // The kernel takes what net.core.wmem_max allows; the default stays where it refuses.
        ::setsockopt(end, SOL_SOCKET, SO_SNDBUF, &buffer_bytes, sizeof buffer_bytes);
    }
    Channels channels{Fd(ends[0]), Fd(ends[1]), Fd(::dup(ends[1])), Fd(::dup(ends[0]))};
    if (!channels.write_back || !channels.read_back)
        return fail_with_errno(ProbeFault::no_process, "dup");
    return channels;
}

struct Stream : PeerTraits {
    static constexpr std::string_view name = "unix stream";
    static constexpr std::string_view settings =
        "socketpair, SO_SNDBUF up to 4 MiB, one write per message, reads of up to 256 KiB";
    static Probed<Channels> open() { return connected(SOCK_STREAM); }
};

struct Coalescing : PeerTraits {
    static constexpr Kind kind = Kind::coalescing;
    static constexpr bool round_trips = false;
    static constexpr std::string_view name = "unix stream, coalescing";
    static constexpr std::string_view settings =
        "as unix stream, but up to 64 KiB of messages per write";
    static Probed<Channels> open() { return connected(SOCK_STREAM); }
};

// A read takes one packet: nothing can be gathered on either side.
class PacketReceiver : public Failing {
public:
    PacketReceiver(int fd, Mode mode, std::uint64_t message_bytes)
        : fd_(fd), flags_(mode == Mode::spin ? MSG_DONTWAIT : 0), held_(message_bytes) {}

    std::span<const std::byte> receive() {
        for (;;) {
            const ssize_t got = ::recv(fd_, held_.data(), held_.size(), flags_);
            if (got == static_cast<ssize_t>(held_.size())) return held_;
            if (got < 0 && look_again(fd_, POLLIN)) continue;
            failed(got < 0 ? "recv: " + errno_text(errno) : "a packet of another size came");
            return {};
        }
    }

private:
    int fd_;
    int flags_;
    std::vector<std::byte> held_;
};

class Packets : public PeerTraits {
public:
    static constexpr std::string_view name = "unix seqpacket";
    static constexpr std::string_view settings =
        "socketpair, SO_SNDBUF up to 4 MiB, one write and one read per message";
    // A packet must fit the send buffer whole; 208 KiB is Debian's limit for that.
    static constexpr std::uint64_t bytes_max = 64 << 10;
    using Sender = StreamSender;
    using Receiver = PacketReceiver;

    static Probed<Packets> wire(const Scene&, std::uint64_t message_bytes) {
        auto channels = connected(SOCK_SEQPACKET);
        if (!channels) return fail(channels.error());
        return Packets(std::move(*channels), message_bytes);
    }
    Probed<Sender> sender(Way way) const { return Sender(channels_.to_write(way).get()); }
    Probed<Receiver> receiver(Way way, Mode mode) const {
        return Receiver(channels_.to_read(way).get(), mode, bytes_);
    }

private:
    Packets(Channels channels, std::uint64_t message_bytes)
        : channels_(std::move(channels)), bytes_(message_bytes) {}

    Channels channels_;
    std::uint64_t bytes_;
};

}  // namespace

std::vector<std::unique_ptr<System>> unix_socket_peers() {
    std::vector<std::unique_ptr<System>> peers;
    peers.push_back(std::make_unique<PairSystem<StreamCarrier<Stream, StreamSender>>>());
    peers.push_back(std::make_unique<PairSystem<StreamCarrier<Coalescing, CoalescingSender>>>());
    peers.push_back(std::make_unique<PairSystem<Packets>>());
    return peers;
}

}  // namespace weir::bench
