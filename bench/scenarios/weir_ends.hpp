// SPDX-License-Identifier: Apache-2.0
//
// Weir as a carrier: the public library, over one topic for each way.
//
// Settings: one subscriber per way. A consumer spins, parks as the library does by default
// (`balanced`), or sits in epoll_wait on `wait_fd`. Prefetch 1000; all else is the default.
#ifndef WEIR_BENCH_SCENARIOS_WEIR_ENDS_HPP
#define WEIR_BENCH_SCENARIOS_WEIR_ENDS_HPP

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <weir/weir.hpp>

#include "bench/scenarios/carrier.hpp"
#include "core/base/fd.hpp"

namespace weir::bench {

// The broker of the benchmark has this name; its sockets lie in the scene's private folder.
std::string weir_broker_name(const Scene& scene);

class WeirSender : public Failing {
public:
    static Probed<WeirSender> open(const std::string& broker, const std::string& destination,
                                   const ProducerOptions& options = {});

    bool send(std::span<const std::byte> bytes) {
        auto sent = producer_.send(bytes);
        return sent ? true : refused(sent.error());
    }
    bool flush() noexcept { return true; }
    Producer& producer() noexcept { return producer_; }

private:
    WeirSender(Session session, Producer producer)
        : session_(std::move(session)), producer_(std::move(producer)) {}
    bool refused(SendError error);

    Session session_;
    Producer producer_;
};

class WeirReceiver : public Failing {
public:
    static Probed<WeirReceiver> open(const std::string& broker, const std::string& pattern,
                                     Mode mode);

    std::span<const std::byte> receive() {
        auto message = consumer_.poll();
        if (!message) [[unlikely]]
            return receive_later(message.error());
        return message->bytes();
    }
    // As receive(), but at most that long; no data and why() unchanged when nothing came.
    std::optional<std::span<const std::byte>> receive_within(std::chrono::nanoseconds timeout);
    // Everything received so far is done with.
    void acknowledge() { consumer_.acknowledge(); }
    void close() { consumer_.close(); }

private:
    WeirReceiver(Session session, Consumer consumer, Mode mode)
        : session_(std::move(session)), consumer_(std::move(consumer)), mode_(mode) {}
    std::span<const std::byte> receive_later(ReceiveError error);
    std::span<const std::byte> receive_by_epoll();
    bool refused(ReceiveError error);

    Session session_;
    Consumer consumer_;
    Mode mode_;
    Fd epoll_;
};

class WeirTopic {
public:
    using Sender = WeirSender;
    using Receiver = WeirReceiver;
    // Two windows of pages pass before anything is measured, and at least ten are: a leg pays for
    // getting memory and giving it back.
    static constexpr std::uint64_t warm_up_bytes = 64ULL << 20;
    static constexpr std::uint64_t bytes_min = 352ULL << 20;

    static Probed<WeirTopic> wire(const Scene& scene, std::uint64_t) {
        return WeirTopic(weir_broker_name(scene));
    }
    Probed<Sender> sender(Way way) const { return Sender::open(broker_, name_of(way)); }
    Probed<Receiver> receiver(Way way, Mode mode) const {
        return Receiver::open(broker_, name_of(way), mode);
    }

private:
    explicit WeirTopic(std::string broker) : broker_(std::move(broker)) {}
    static std::string name_of(Way way) {
        return std::string("topic://bench.pair.") + way_name(way);
    }

    std::string broker_;
};

}  // namespace weir::bench

#endif  // WEIR_BENCH_SCENARIOS_WEIR_ENDS_HPP
