// SPDX-License-Identifier: Apache-2.0
//
// Peer: iceoryx, shared memory through a daemon that owns the pools (iox-roudi).
//
// Settings: untyped publisher and subscriber, a queue of 256 samples, the publisher waits for the
// subscriber (nothing may be lost), the subscriber polls. A message is copied into a loaned sample,
// as Weir's send copies. Pools of 4096 small, 4096 of 1 KiB and 1024 of 64 KiB samples.
#include <fcntl.h>
#include <grp.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <iceoryx_posh/mepoo/chunk_header.hpp>
#include <iceoryx_posh/popo/untyped_publisher.hpp>
#include <iceoryx_posh/popo/untyped_subscriber.hpp>
#include <iceoryx_posh/runtime/posh_runtime.hpp>
#include <memory>

#include "bench/peers/system.hpp"
#include "core/base/fd.hpp"

namespace weir::bench {
namespace {

void attach() {
    // It tells on standard error what it maps; what fails is said by return values.
    const Fd nowhere(::open("/dev/null", O_WRONLY | O_CLOEXEC));
    if (nowhere) ::dup2(nowhere.get(), STDERR_FILENO);
    const std::string name = "weir-bench-" + std::to_string(::getpid());
    iox::runtime::PoshRuntime::initRuntime({iox::cxx::TruncateToCapacity, name.c_str()});
}

// With its length: g++ takes the library's own strnlen of a short literal for an overrun.
iox::capro::IdString_t word_of(std::string_view word) {
    return {iox::cxx::TruncateToCapacity, word.data(), word.size()};
}

iox::capro::ServiceDescription service(const std::string& leg, Way way) {
    return {word_of("weir-bench"), word_of(leg), word_of(way_name(way))};
}

class IceSender : public Failing {
public:
    static Probed<IceSender> open(const iox::capro::ServiceDescription& to) {
        attach();
        iox::popo::PublisherOptions options;
        options.subscriberTooSlowPolicy = iox::popo::ConsumerTooSlowPolicy::WAIT_FOR_CONSUMER;
        IceSender sender(std::make_unique<iox::popo::UntypedPublisher>(to, options));
        // The daemon makes the connection within a tenth of a second or so.
        for (int look = 0; look < 5000; ++look) {
            if (sender.publisher_->hasSubscribers()) return sender;
            ::usleep(1000);
        }
        return fail(ProbeFault::subject_failed, "no subscriber appeared");
    }

    bool send(std::span<const std::byte> bytes) {
        auto loan = publisher_->loan(static_cast<std::uint32_t>(bytes.size()));
        if (loan.has_error()) return failed("no sample could be loaned");
        std::memcpy(loan.value(), bytes.data(), bytes.size());
        publisher_->publish(loan.value());
        return true;
    }
    bool flush() noexcept { return true; }

private:
    explicit IceSender(std::unique_ptr<iox::popo::UntypedPublisher> publisher)
        : publisher_(std::move(publisher)) {}

    std::unique_ptr<iox::popo::UntypedPublisher> publisher_;
};

class IceReceiver : public Failing {
public:
    explicit IceReceiver(const iox::capro::ServiceDescription& from) {
        attach();
        iox::popo::SubscriberOptions options;
        options.queueCapacity = 256;
        options.queueFullPolicy = iox::popo::QueueFullPolicy::BLOCK_PRODUCER;
        subscriber_ = std::make_unique<iox::popo::UntypedSubscriber>(from, options);
    }
    IceReceiver(IceReceiver&&) = default;
    ~IceReceiver() { release(); }

    std::span<const std::byte> receive() {
        release();
        for (;;) {
            auto taken = subscriber_->take();
            if (!taken.has_error()) {
                held_ = taken.value();
                const auto* const header = iox::mepoo::ChunkHeader::fromUserPayload(held_);
                return {static_cast<const std::byte*>(held_), header->userPayloadSize()};
            }
            if (taken.get_error() != iox::popo::ChunkReceiveResult::NO_CHUNK_AVAILABLE) {
                failed("a sample could not be taken");
                return {};
            }
            cpu::pause();
        }
    }

private:
    void release() {
        if (subscriber_ && held_ != nullptr) subscriber_->release(held_);
        held_ = nullptr;
    }

    std::unique_ptr<iox::popo::UntypedSubscriber> subscriber_;
    const void* held_ = nullptr;
};

class Iceoryx : public PeerTraits {
public:
    static constexpr std::string_view name = "iceoryx";
    static constexpr std::string_view settings =
        "untyped, queue of 256, publisher waits for the subscriber, which polls; iox-roudi";
    static constexpr bool parks = false;
    static constexpr std::uint64_t bytes_max = 64 << 10;
    using Sender = IceSender;
    using Receiver = IceReceiver;

    static Probed<Server> serve(const Scene& scene) {
        const std::string config = scene.folder + "/roudi.toml";
        std::ofstream(config) << "[general]\nversion = 1\n[[segment]]\n"
                                 "[[segment.mempool]]\nsize = 128\ncount = 4096\n"
                                 "[[segment.mempool]]\nsize = 1152\ncount = 4096\n"
                                 "[[segment.mempool]]\nsize = 65664\ncount = 1024\n";
        return Server::start({"iox-roudi", "-c", config, "-l", "warning"}, scene.folder,
                             [&] { return log_says(scene.folder, "ready for clients"); });
    }
    // Its daemon aborts at its end if a process of a leg is gone, and leaves its memory behind.
    // There is one daemon on a host, so it was ours.
    static void clear() noexcept {
        ::shm_unlink("/iceoryx_mgmt");
        if (const group* const own = ::getgrgid(::getegid())) ::shm_unlink(own->gr_name);
    }
    static Probed<Iceoryx> wire(const Scene&, std::uint64_t) {
        // Each leg has a name of its own: what a leg before left behind is not met again.
        static int legs = 0;
        return Iceoryx("leg-" + std::to_string(++legs));
    }
    Probed<Sender> sender(Way way) const { return IceSender::open(service(leg_, way)); }
    Probed<Receiver> receiver(Way way, Mode) const { return IceReceiver(service(leg_, way)); }

private:
    explicit Iceoryx(std::string leg) : leg_(std::move(leg)) {}

    std::string leg_;
};

}  // namespace

std::vector<std::unique_ptr<System>> iceoryx_peers() {
    std::vector<std::unique_ptr<System>> peers;
    peers.push_back(std::make_unique<PairSystem<Iceoryx>>());
    return peers;
}

}  // namespace weir::bench
