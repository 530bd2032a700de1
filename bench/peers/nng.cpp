// SPDX-License-Identifier: Apache-2.0
//
// Peer: nng over ipc://. Settings: the pipeline protocol (push, pull), send and receive buffers of
// 8192 messages, one nng_send per message. It only parks: its own threads do the work.
#include <nng/nng.h>
#include <nng/protocol/pipeline0/pull.h>
#include <nng/protocol/pipeline0/push.h>
#include <unistd.h>

#include "bench/peers/system.hpp"

namespace weir::bench {
namespace {

constexpr int depth = 8192;

class NngSender : public Failing {
public:
    static Probed<NngSender> open(const std::string& address) {
        nng_socket socket = NNG_SOCKET_INITIALIZER;
        int error = nng_push0_open(&socket);
        if (error == 0) error = nng_socket_set_int(socket, NNG_OPT_SENDBUF, depth);
        // The partner may not listen yet: dialled until it does, at most two seconds.
        for (int attempt = 0; error == 0 && attempt < 1000; ++attempt) {
            const int dialled = nng_dial(socket, address.c_str(), nullptr, 0);
            if (dialled == 0) return NngSender(socket);
            if (dialled != NNG_ECONNREFUSED && dialled != NNG_ENOENT) error = dialled;
            ::usleep(2000);
        }
        return fail(ProbeFault::subject_failed, nng_strerror(error));
    }

    bool send(std::span<const std::byte> bytes) {
        const int error = nng_send(socket_, const_cast<std::byte*>(bytes.data()), bytes.size(), 0);
        return error == 0 || failed(nng_strerror(error));
    }
    bool flush() noexcept { return true; }

private:
    explicit NngSender(nng_socket socket) : socket_(socket) {}

    nng_socket socket_;
};

class NngReceiver : public Failing {
public:
    static Probed<NngReceiver> open(const std::string& address, std::uint64_t message_bytes) {
        nng_socket socket = NNG_SOCKET_INITIALIZER;
        int error = nng_pull0_open(&socket);
        if (error == 0) error = nng_socket_set_size(socket, NNG_OPT_RECVMAXSZ, 0);
        if (error == 0) error = nng_listen(socket, address.c_str(), nullptr, 0);
        if (error != 0) return fail(ProbeFault::subject_failed, nng_strerror(error));
        // Refused by builds whose pull socket has no buffer of its own.
        nng_socket_set_int(socket, NNG_OPT_RECVBUF, depth);
        return NngReceiver(socket, message_bytes);
    }

    std::span<const std::byte> receive() {
        std::size_t got = held_.size();
        const int error = nng_recv(socket_, held_.data(), &got, 0);
        if (error == 0) return {held_.data(), got};
        failed(nng_strerror(error));
        return {};
    }

private:
    NngReceiver(nng_socket socket, std::uint64_t message_bytes)
        : socket_(socket), held_(message_bytes) {}

    nng_socket socket_;
    std::vector<std::byte> held_;
};

class Nng : public PeerTraits {
public:
    static constexpr std::string_view name = "nng ipc";
    static constexpr std::string_view settings =
        "push/pull over ipc://, buffers of 8192 messages, one nng_send per message";
    static constexpr bool spins = false;
    using Sender = NngSender;
    using Receiver = NngReceiver;

    static Probed<Nng> wire(const Scene& scene, std::uint64_t message_bytes) {
        for (Way way : {Way::there, Way::back})
            ::unlink((scene.folder + "/nng-" + way_name(way)).c_str());  // of the leg before
        return Nng(scene.folder + "/nng-", message_bytes);
    }
    Probed<Sender> sender(Way way) const { return Sender::open("ipc://" + path_ + way_name(way)); }
    Probed<Receiver> receiver(Way way, Mode) const {
        return Receiver::open("ipc://" + path_ + way_name(way), bytes_);
    }

private:
    Nng(std::string path, std::uint64_t message_bytes)
        : path_(std::move(path)), bytes_(message_bytes) {}

    std::string path_;
    std::uint64_t bytes_;
};

}  // namespace

std::vector<std::unique_ptr<System>> nng_peers() {
    std::vector<std::unique_ptr<System>> peers;
    peers.push_back(std::make_unique<PairSystem<Nng>>());
    return peers;
}

}  // namespace weir::bench
