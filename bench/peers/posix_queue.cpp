// SPDX-License-Identifier: Apache-2.0
//
// Peer: POSIX message queues. Settings: the depth that an ordinary user gets without asking (10
// messages of at most 8 KiB; more needs RLIMIT_MSGQUEUE and a privileged setting), one call per
// message on both sides. A spinning receiver asks with O_NONBLOCK. Unlinked as soon as it is open.
#include <fcntl.h>
#include <mqueue.h>
#include <poll.h>

#include <array>
#include <cerrno>

#include "bench/peers/system.hpp"
#include "core/base/errno.hpp"
#include "core/base/fd.hpp"

namespace weir::bench {
namespace {

class QueueSender : public Failing {
public:
    explicit QueueSender(int queue) : queue_(queue) {}

    bool send(std::span<const std::byte> bytes) {
        const auto* const text = reinterpret_cast<const char*>(bytes.data());
        for (;;) {
            if (::mq_send(queue_, text, bytes.size(), 0) == 0) return true;
            if (errno != EINTR) return failed("mq_send: " + errno_text(errno));
        }
    }
    bool flush() noexcept { return true; }

private:
    int queue_;
};

class QueueReceiver : public Failing {
public:
    QueueReceiver(int queue, std::uint64_t message_bytes) : queue_(queue), held_(message_bytes) {}

    std::span<const std::byte> receive() {
        auto* const text = reinterpret_cast<char*>(held_.data());
        for (;;) {
            const ssize_t got = ::mq_receive(queue_, text, held_.size(), nullptr);
            if (got >= 0) return {held_.data(), static_cast<std::size_t>(got)};
            if (errno == EINTR || errno == EAGAIN) continue;
            failed("mq_receive: " + errno_text(errno));
            return {};
        }
    }

private:
    int queue_;
    std::vector<std::byte> held_;
};

class PosixQueue : public PeerTraits {
public:
    static constexpr std::string_view name = "posix mq";
    static constexpr std::string_view settings =
        "10 messages deep (the limit of an ordinary user), one mq_send and one mq_receive each";
    static constexpr std::uint64_t bytes_max = 8 << 10;
    using Sender = QueueSender;
    using Receiver = QueueReceiver;

    static Probed<PosixQueue> wire(const Scene& scene, std::uint64_t message_bytes) {
        PosixQueue queue(message_bytes);
        for (Way way : {Way::there, Way::back}) {
            const std::string file = "/weir-bench-" + scene.tag + "-" + way_name(way);
            mq_attr shape{};
            shape.mq_maxmsg = 10;
            shape.mq_msgsize = static_cast<long>(message_bytes);
            Ends& ends = queue.ends_[way == Way::there ? 0 : 1];
            ends.blocking = Fd(::mq_open(file.c_str(), O_RDWR | O_CREAT | O_EXCL, 0600, &shape));
            if (!ends.blocking) return fail_with_errno(ProbeFault::no_process, "mq_open");
            ends.looking = Fd(::mq_open(file.c_str(), O_RDONLY | O_NONBLOCK));
            ::mq_unlink(file.c_str());
            if (!ends.looking) return fail_with_errno(ProbeFault::no_process, "mq_open");
        }
        return queue;
    }
    Probed<Sender> sender(Way way) const { return Sender(at(way).blocking.get()); }
    Probed<Receiver> receiver(Way way, Mode mode) const {
        const Ends& ends = at(way);
        return Receiver((mode == Mode::spin ? ends.looking : ends.blocking).get(), bytes_);
    }

private:
    // Linux queues are descriptors: two of each, since O_NONBLOCK belongs to one.
    struct Ends {
        Fd blocking;
        Fd looking;
    };
    explicit PosixQueue(std::uint64_t message_bytes) : bytes_(message_bytes) {}
    const Ends& at(Way way) const { return ends_[way == Way::there ? 0 : 1]; }

    std::uint64_t bytes_;
    std::array<Ends, 2> ends_;
};

}  // namespace

std::vector<std::unique_ptr<System>> posix_queue_peers() {
    std::vector<std::unique_ptr<System>> peers;
    peers.push_back(std::make_unique<PairSystem<PosixQueue>>());
    return peers;
}

}  // namespace weir::bench
