// SPDX-License-Identifier: Apache-2.0
//
// Peer: ZeroMQ over ipc://. Settings: PUSH and PULL, high-water marks of 10000 messages (the
// default 1000 is slower here), one I/O thread per process, one zmq_send per message. Its I/O
// threads gather what is there, so it coalesces behind the caller's back; it counts as message by
// message, since that is how it is called. It only parks: a spinning caller would take the
// processor from its own I/O thread.
#include <zmq.h>

#include <memory>

#include "bench/peers/system.hpp"

namespace weir::bench {
namespace {

// A process that is about to end need not wait for what nobody reads any more.
struct Ending {
    void operator()(void* socket) const noexcept {
        const int at_once = 0;
        zmq_setsockopt(socket, ZMQ_LINGER, &at_once, sizeof at_once);
        zmq_close(socket);
    }
};

class End : public Failing {
public:
    // The context lives until the process ends, by _exit.
    static Probed<End> open(int type, const std::string& address, std::uint64_t message_bytes) {
        static void* const context = zmq_ctx_new();
        End end(zmq_socket(context, type), message_bytes);
        const int mark = 10'000;
        zmq_setsockopt(end.socket_.get(), ZMQ_SNDHWM, &mark, sizeof mark);
        zmq_setsockopt(end.socket_.get(), ZMQ_RCVHWM, &mark, sizeof mark);
        const int done = type == ZMQ_PULL ? zmq_bind(end.socket_.get(), address.c_str())
                                          : zmq_connect(end.socket_.get(), address.c_str());
        if (done != 0) return fail(ProbeFault::subject_failed, zmq_strerror(zmq_errno()));
        return end;
    }

    bool send(std::span<const std::byte> bytes) {
        for (;;) {
            if (zmq_send(socket_.get(), bytes.data(), bytes.size(), 0) >= 0) return true;
            if (zmq_errno() != EINTR) return failed(zmq_strerror(zmq_errno()));
        }
    }
    bool flush() noexcept { return true; }

    std::span<const std::byte> receive() {
        for (;;) {
            const int got = zmq_recv(socket_.get(), held_.data(), held_.size(), 0);
            if (got >= 0) return {held_.data(), static_cast<std::size_t>(got)};
            if (zmq_errno() == EINTR) continue;
            failed(zmq_strerror(zmq_errno()));
            return {};
        }
    }

private:
    End(void* socket, std::uint64_t message_bytes) : socket_(socket), held_(message_bytes) {}

    std::unique_ptr<void, Ending> socket_;
    std::vector<std::byte> held_;
};

class ZeroMq : public PeerTraits {
public:
    static constexpr std::string_view name = "zeromq ipc";
    static constexpr std::string_view settings =
        "PUSH/PULL over ipc://, high-water mark 10000, one I/O thread, one zmq_send per message";
    static constexpr bool spins = false;
    using Sender = End;
    using Receiver = End;

    static Probed<ZeroMq> wire(const Scene& scene, std::uint64_t message_bytes) {
        return ZeroMq("ipc://" + scene.folder + "/zmq-", message_bytes);
    }
    Probed<Sender> sender(Way way) const {
        return End::open(ZMQ_PUSH, address_ + way_name(way), bytes_);
    }
    Probed<Receiver> receiver(Way way, Mode) const {
        return End::open(ZMQ_PULL, address_ + way_name(way), bytes_);
    }

private:
    ZeroMq(std::string address, std::uint64_t message_bytes)
        : address_(std::move(address)), bytes_(message_bytes) {}

    std::string address_;
    std::uint64_t bytes_;
};

}  // namespace

std::vector<std::unique_ptr<System>> zeromq_peers() {
    std::vector<std::unique_ptr<System>> peers;
    peers.push_back(std::make_unique<PairSystem<ZeroMq>>());
    return peers;
}

}  // namespace weir::bench
