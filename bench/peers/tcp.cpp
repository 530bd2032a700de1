// SPDX-License-Identifier: Apache-2.0
//
// Peer: TCP over the loopback interface. Settings: TCP_NODELAY, buffers of up to 4 MiB, one write
// per message, reads of up to 256 KiB. The connection is made before the two processes are forked.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "bench/peers/streams.hpp"
#include "bench/peers/system.hpp"

namespace weir::bench {
namespace {

void tune(int fd) {
    const int on = 1;
    const int buffer_bytes = 4 << 20;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer_bytes, sizeof buffer_bytes);
}

struct Tcp : PeerTraits {
    static constexpr std::string_view name = "tcp loopback";
    static constexpr std::string_view settings =
        "127.0.0.1, TCP_NODELAY, SO_SNDBUF up to 4 MiB, one write per message";

    static Probed<Channels> open() {
        const Fd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        Fd first(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        auto* const generic = reinterpret_cast<sockaddr*>(&address);
        socklen_t length = sizeof address;
        if (!listener || !first || ::bind(listener.get(), generic, length) != 0 ||
            ::listen(listener.get(), 1) != 0 ||
            ::getsockname(listener.get(), generic, &length) != 0 ||
            ::connect(first.get(), generic, length) != 0)
            return fail_with_errno(ProbeFault::no_process, "a loopback connection");
        Fd second(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (!second) return fail_with_errno(ProbeFault::no_process, "accept");
        tune(first.get());
        tune(second.get());
        Fd second_too(::dup(second.get()));
        Fd first_too(::dup(first.get()));
        return Channels{std::move(first), std::move(second), std::move(second_too),
                        std::move(first_too)};
    }
};

}  // namespace

std::vector<std::unique_ptr<System>> tcp_peers() {
    std::vector<std::unique_ptr<System>> peers;
    peers.push_back(std::make_unique<PairSystem<StreamCarrier<Tcp, StreamSender>>>());
    return peers;
}

}  // namespace weir::bench
