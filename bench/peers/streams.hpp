// SPDX-License-Identifier: Apache-2.0
//
// What the peers of the kernel share: writing and reading whole messages on a descriptor.
//
// A spinning receiver makes its descriptor non-blocking and reads again until something comes; a
// parked one sleeps in read(2).
#ifndef WEIR_BENCH_PEERS_STREAMS_HPP
#define WEIR_BENCH_PEERS_STREAMS_HPP

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include "bench/scenarios/carrier.hpp"
#include "core/base/errno.hpp"
#include "core/base/fd.hpp"

namespace weir::bench {

// Both directions of a pair: what each way is written to and read from. Made before the fork.
struct Channels {
    Fd write_there;
    Fd read_there;
    Fd write_back;
    Fd read_back;

    const Fd& to_write(Way way) const noexcept {
        return way == Way::there ? write_there : write_back;
    }
    const Fd& to_read(Way way) const noexcept { return way == Way::there ? read_there : read_back; }
};

inline bool look_again(int fd, short events) noexcept {
    if (errno == EINTR) return true;
    if (errno != EAGAIN) return false;
    // Only a writer gets here that shares its description with a spinning reader: it waits.
    pollfd look{fd, events, 0};
    if (events == POLLOUT) ::poll(&look, 1, -1);
    return true;
}

// One write per message.
class StreamSender : public Failing {
public:
    explicit StreamSender(int fd) : fd_(fd) {}

    bool send(std::span<const std::byte> bytes) {
        while (!bytes.empty()) {
            const ssize_t wrote = ::write(fd_, bytes.data(), bytes.size());
            if (wrote < 0 && look_again(fd_, POLLOUT)) continue;
            if (wrote < 0) return failed("write: " + errno_text(errno));
            bytes = bytes.subspan(static_cast<std::size_t>(wrote));
        }
        return true;
    }
    bool flush() noexcept { return true; }

private:
    int fd_;
};

// As many messages as fit into 64 KiB per write.
class CoalescingSender : public Failing {
public:
    explicit CoalescingSender(int fd) : sender_(fd) { held_.reserve(batch_bytes); }

    bool send(std::span<const std::byte> bytes) {
        if (bytes.size() >= batch_bytes) return flush() && pass(sender_.send(bytes));
        if (held_.size() + bytes.size() > batch_bytes && !flush()) return false;
        held_.insert(held_.end(), bytes.begin(), bytes.end());
        return true;
    }
    bool flush() {
        if (held_.empty()) return true;
        const bool sent = pass(sender_.send(held_));
        held_.clear();
        return sent;
    }

private:
    static constexpr std::size_t batch_bytes = 64 << 10;
    bool pass(bool sent) { return sent || failed(sender_.why()); }

    StreamSender sender_;
    std::vector<std::byte> held_;
};

// Reads as much as there is, up to 256 KiB at a time, and gives out messages from that.
class StreamReceiver : public Failing {
public:
    StreamReceiver(int fd, Mode mode, std::uint64_t message_bytes)
        : fd_(fd),
          bytes_(message_bytes),
          held_(std::max<std::uint64_t>(read_bytes, message_bytes)) {
        if (mode == Mode::spin) ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
    }

    std::span<const std::byte> receive() {
        while (end_ - at_ < bytes_) {
            if (!read_more()) return {};
        }
        at_ += bytes_;
        return {held_.data() + at_ - bytes_, bytes_};
    }

private:
    static constexpr std::uint64_t read_bytes = 256 << 10;

    bool read_more() {
        if (at_ != 0) {  // the rest of a message moves to the front
            std::copy(held_.begin() + static_cast<std::ptrdiff_t>(at_),
                      held_.begin() + static_cast<std::ptrdiff_t>(end_), held_.begin());
            end_ -= at_;
            at_ = 0;
        }
        const ssize_t got = ::read(fd_, held_.data() + end_, held_.size() - end_);
        if (got < 0 && look_again(fd_, POLLIN)) return true;
        if (got < 0) return failed("read: " + errno_text(errno));
        if (got == 0) return failed("the partner hung up");
        end_ += static_cast<std::uint64_t>(got);
        return true;
    }

    int fd_;
    std::uint64_t bytes_;
    std::vector<std::byte> held_;
    std::uint64_t at_ = 0;
    std::uint64_t end_ = 0;
};

// A carrier over descriptors that keep the order of bytes but no bounds of messages.
template <class Traits, class SenderType>
class StreamCarrier : public Traits {
public:
    using Sender = SenderType;
    using Receiver = StreamReceiver;

    static Probed<StreamCarrier> wire(const Scene&, std::uint64_t message_bytes) {
        auto channels = Traits::open();
        if (!channels) return fail(channels.error());
        return StreamCarrier(std::move(*channels), message_bytes);
    }
    Probed<Sender> sender(Way way) const { return Sender(channels_.to_write(way).get()); }
    Probed<Receiver> receiver(Way way, Mode mode) const {
        return Receiver(channels_.to_read(way).get(), mode, bytes_);
    }

private:
    StreamCarrier(Channels channels, std::uint64_t message_bytes)
        : channels_(std::move(channels)), bytes_(message_bytes) {}

    Channels channels_;
    std::uint64_t bytes_;
};

}  // namespace weir::bench

#endif  // WEIR_BENCH_PEERS_STREAMS_HPP
