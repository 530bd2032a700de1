// SPDX-License-Identifier: Apache-2.0
//
// Peer: Boost.Interprocess message_queue, a queue in shared memory behind a mutex and two condition
// variables. Settings: 4 MiB deep, at least 4 and at most 4096 messages; a spinning receiver calls
// try_receive. The named object is removed when both processes have it open.
#include <algorithm>
#include <boost/interprocess/ipc/message_queue.hpp>
#include <memory>

#include "bench/peers/system.hpp"

namespace weir::bench {
namespace {

using boost::interprocess::message_queue;

class BoostSender : public Failing {
public:
    explicit BoostSender(message_queue& queue) : queue_(&queue) {}

    bool send(std::span<const std::byte> bytes) {
        queue_->send(bytes.data(), bytes.size(), 0);  // throws only when it is larger than agreed
        return true;
    }
    bool flush() noexcept { return true; }

private:
    message_queue* queue_;
};

class BoostReceiver : public Failing {
public:
    BoostReceiver(message_queue& queue, Mode mode, std::uint64_t message_bytes)
        : queue_(&queue), spins_(mode == Mode::spin), held_(message_bytes) {}

    std::span<const std::byte> receive() {
        message_queue::size_type got = 0;
        unsigned priority = 0;
        if (spins_) {
            while (!queue_->try_receive(held_.data(), held_.size(), got, priority)) cpu::pause();
        } else {
            queue_->receive(held_.data(), held_.size(), got, priority);
        }
        return {held_.data(), got};
    }

private:
    message_queue* queue_;
    bool spins_;
    std::vector<std::byte> held_;
};

class BoostQueue : public PeerTraits {
public:
    static constexpr std::string_view name = "boost message_queue";
    static constexpr std::string_view settings = "4 MiB deep (4 to 4096 messages), in /dev/shm";
    using Sender = BoostSender;
    using Receiver = BoostReceiver;

    static Probed<BoostQueue> wire(const Scene& scene, std::uint64_t message_bytes) {
        BoostQueue carrier(message_bytes);
        const std::uint64_t depth =
            std::clamp<std::uint64_t>((4ULL << 20) / message_bytes, 4, 4096);
        for (Way way : {Way::there, Way::back}) {
            const std::string file = "weir-bench-" + scene.tag + "-" + way_name(way);
            message_queue::remove(file.c_str());
            try {
                carrier.queues_[index(way)] = std::make_unique<message_queue>(
                    boost::interprocess::create_only, file.c_str(), depth, message_bytes);
            } catch (const boost::interprocess::interprocess_exception& refused) {
                return fail(ProbeFault::no_memory, std::string("message_queue: ") + refused.what());
            }
            message_queue::remove(file.c_str());  // both processes inherit the mapping
        }
        return carrier;
    }
    Probed<Sender> sender(Way way) const { return Sender(*queues_[index(way)]); }
    Probed<Receiver> receiver(Way way, Mode mode) const {
        return Receiver(*queues_[index(way)], mode, bytes_);
    }

private:
    explicit BoostQueue(std::uint64_t message_bytes) : bytes_(message_bytes) {}
    static std::size_t index(Way way) { return way == Way::there ? 0 : 1; }

    std::uint64_t bytes_;
    std::array<std::unique_ptr<message_queue>, 2> queues_;
};

}  // namespace

std::vector<std::unique_ptr<System>> boost_queue_peers() {
    std::vector<std::unique_ptr<System>> peers;
    peers.push_back(std::make_unique<PairSystem<BoostQueue>>());
    return peers;
}

}  // namespace weir::bench
