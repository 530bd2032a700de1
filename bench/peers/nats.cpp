// SPDX-License-Identifier: Apache-2.0
//
// Peer: NATS, as a broker: core publish and subscribe, the fastest of its ways.
//
// Settings: loopback TCP (it has no Unix socket), a synchronous subscription without limits. It
// drops what a slow subscriber does not take, so the sender is told through shared memory how far
// the receiver is and stays at most 8 MiB ahead: a credit that costs it nothing. Twice: each
// publish sent at once (SendAsap), and gathered by the client's own buffer, which is its default.
#include <nats/nats.h>
#include <sched.h>

#include <atomic>
#include <memory>

#include "bench/peers/system.hpp"

namespace weir::bench {
namespace {

struct Credit {
    alignas(apart) std::atomic<std::uint64_t> taken[2];  // by the receiver of each way
};

Probed<natsConnection*> attach(const std::string& url, bool at_once) {
    natsOptions* options = nullptr;
    natsConnection* connection = nullptr;
    natsStatus status = natsOptions_Create(&options);
    if (status == NATS_OK) status = natsOptions_SetURL(options, url.c_str());
    if (status == NATS_OK && at_once) status = natsOptions_SetSendAsap(options, true);
    if (status == NATS_OK) status = natsConnection_Connect(&connection, options);
    natsOptions_Destroy(options);
    if (status != NATS_OK) return fail(ProbeFault::subject_failed, natsStatus_GetText(status));
    return connection;
}

class NatsSender : public Failing {
public:
    NatsSender(natsConnection* connection, std::string subject, std::atomic<std::uint64_t>& taken,
               std::uint64_t ahead_max)
        : connection_(connection),
          subject_(std::move(subject)),
          taken_(&taken),
          ahead_max_(ahead_max) {}

    bool send(std::span<const std::byte> bytes) {
        if (sent_ - seen_ >= ahead_max_) await_credit();
        const natsStatus status = natsConnection_Publish(
            connection_, subject_.c_str(), bytes.data(), static_cast<int>(bytes.size()));
        ++sent_;
        return status == NATS_OK || failed(natsStatus_GetText(status));
    }
    // The client's flusher thread sends what is held back within a few microseconds.
    bool flush() noexcept { return true; }

private:
    void await_credit() noexcept {
        for (;;) {
            // relaxed: a number of messages; nothing is read because of it.
            seen_ = taken_->load(std::memory_order_relaxed);
            if (sent_ - seen_ < ahead_max_) return;
            ::sched_yield();
        }
    }

    natsConnection* connection_;  // lives until the process ends
    std::string subject_;
    std::atomic<std::uint64_t>* taken_;
    std::uint64_t ahead_max_;
    std::uint64_t sent_ = 0;
    std::uint64_t seen_ = 0;
};

class NatsReceiver : public Failing {
public:
    static Probed<NatsReceiver> open(natsConnection* connection, const std::string& subject,
                                     std::atomic<std::uint64_t>& taken) {
        NatsReceiver receiver(taken);
        natsStatus status =
            natsConnection_SubscribeSync(&receiver.subscription_, connection, subject.c_str());
        if (status == NATS_OK)
            status = natsSubscription_SetPendingLimits(receiver.subscription_, -1, -1);
        if (status == NATS_OK) status = natsConnection_Flush(connection);  // the server knows it
        if (status != NATS_OK) return fail(ProbeFault::subject_failed, natsStatus_GetText(status));
        return receiver;
    }

    std::span<const std::byte> receive() {
        message_.reset();
        natsMsg* raw = nullptr;
        const natsStatus status = natsSubscription_NextMsg(&raw, subscription_, 10'000);
        if (status != NATS_OK) {
            failed(natsStatus_GetText(status));
            return {};
        }
        message_.reset(raw);
        // relaxed: a credit, see NatsSender.
        taken_->fetch_add(1, std::memory_order_relaxed);
        return {reinterpret_cast<const std::byte*>(natsMsg_GetData(raw)),
                static_cast<std::size_t>(natsMsg_GetDataLength(raw))};
    }

private:
    struct Discard {
        void operator()(natsMsg* message) const noexcept { natsMsg_Destroy(message); }
    };
    explicit NatsReceiver(std::atomic<std::uint64_t>& taken) : taken_(&taken) {}

    natsSubscription* subscription_ = nullptr;  // lives until the process ends
    std::unique_ptr<natsMsg, Discard> message_;
    std::atomic<std::uint64_t>* taken_;
};

template <bool AtOnce>
class Nats : public PeerTraits {
public:
    static constexpr Kind kind = AtOnce ? Kind::single : Kind::coalescing;
    static constexpr std::string_view name = AtOnce ? "nats" : "nats, coalescing";
    static constexpr std::string_view settings =
        AtOnce ? "core publish/subscribe over loopback, SendAsap, at most 8 MiB ahead"
               : "as nats, but the client's buffer gathers (its default)";
    static constexpr bool spins = false;
    static constexpr bool round_trips = AtOnce;
    using Sender = NatsSender;
    using Receiver = NatsReceiver;

    static Probed<Server> serve(const Scene& scene) {
        port = free_port();
        return Server::start({"nats-server", "-a", "127.0.0.1", "-p", std::to_string(port)},
                             scene.folder, [] { return port_answers(port); });
    }
    static Probed<Nats> wire(const Scene&, std::uint64_t message_bytes) {
        static int legs = 0;
        auto area = SharedArea::create(sizeof(Credit));
        if (!area) return fail(area.error());
        return Nats(std::move(*area), "leg." + std::to_string(++legs) + ".", message_bytes);
    }
    Probed<Sender> sender(Way way) const {
        auto connection = attach(url(), AtOnce);
        if (!connection) return fail(connection.error());
        constexpr std::uint64_t ahead_bytes = 8ULL << 20;
        return Sender(*connection, subject_ + way_name(way), taken(way),
                      std::clamp<std::uint64_t>(ahead_bytes / bytes_, 4, 16'384));
    }
    Probed<Receiver> receiver(Way way, Mode) const {
        auto connection = attach(url(), AtOnce);
        if (!connection) return fail(connection.error());
        return Receiver::open(*connection, subject_ + way_name(way), taken(way));
    }

private:
    Nats(SharedArea area, std::string subject, std::uint64_t message_bytes)
        : area_(std::make_unique<SharedArea>(std::move(area))),
          subject_(std::move(subject)),
          bytes_(message_bytes) {}
    static std::string url() { return "nats://127.0.0.1:" + std::to_string(port); }
    std::atomic<std::uint64_t>& taken(Way way) const {
        return area_->front<Credit>().taken[way == Way::there ? 0 : 1];
    }

    static inline std::uint16_t port = 0;
    std::unique_ptr<SharedArea> area_;
    std::string subject_;
    std::uint64_t bytes_;
};

}  // namespace

std::vector<std::unique_ptr<System>> nats_peers() {
    std::vector<std::unique_ptr<System>> peers;
    peers.push_back(std::make_unique<PairSystem<Nats<true>>>());
    peers.push_back(std::make_unique<PairSystem<Nats<false>>>());
    return peers;
}

}  // namespace weir::bench
