// SPDX-License-Identifier: Apache-2.0
//
// Peer: a pipe. Settings: enlarged to 1 MiB (what an ordinary user may ask for), one write per
// message, reads of up to 256 KiB.
#include <array>

#include "bench/peers/streams.hpp"
#include "bench/peers/system.hpp"

namespace weir::bench {
namespace {

Probed<std::pair<Fd, Fd>> one_pipe() {
    std::array<int, 2> ends{-1, -1};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0)
        return fail_with_errno(ProbeFault::no_process, "pipe2");
    ::fcntl(ends[1], F_SETPIPE_SZ, 1 << 20);  // refused over the user's share: 64 KiB stay
    return std::pair{Fd(ends[0]), Fd(ends[1])};
}

struct Pipe : PeerTraits {
    static constexpr std::string_view name = "pipe";
    static constexpr std::string_view settings =
        "F_SETPIPE_SZ 1 MiB, one write per message, reads of up to 256 KiB";

    static Probed<Channels> open() {
        auto there = one_pipe();
        if (!there) return fail(there.error());
        auto back = one_pipe();
        if (!back) return fail(back.error());
        return Channels{std::move(there->second), std::move(there->first), std::move(back->second),
                        std::move(back->first)};
    }
};

}  // namespace

std::vector<std::unique_ptr<System>> pipe_peers() {
    std::vector<std::unique_ptr<System>> peers;
    peers.push_back(std::make_unique<PairSystem<StreamCarrier<Pipe, StreamSender>>>());
    return peers;
}

}  // namespace weir::bench
