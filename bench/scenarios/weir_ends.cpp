// SPDX-License-Identifier: Apache-2.0
//
// See weir_ends.hpp.
#include "bench/scenarios/weir_ends.hpp"

#include <sys/epoll.h>

#include <cerrno>

namespace weir::bench {
namespace {

template <class Code>
Failure<ProbeError> failed_open(const Error<Code>& error) {
    return fail(ProbeFault::subject_failed, error.sentence);
}

Probed<Session> attach(const std::string& broker) {
    ConnectOptions options;
    options.client_name = "weir bench";
    auto session = connect(broker, options);
    if (!session) return failed_open(session.error());
    return std::move(*session);
}

}  // namespace

std::string weir_broker_name(const Scene& scene) { return "bench-" + scene.tag; }

Probed<WeirSender> WeirSender::open(const std::string& broker, const std::string& destination,
                                    const ProducerOptions& options) {
    auto session = attach(broker);
    if (!session) return fail(session.error());
    auto producer = session->producer(destination, options);
    if (!producer) return failed_open(producer.error());
    return WeirSender(std::move(*session), std::move(*producer));
}

bool WeirSender::refused(SendError error) { return failed(std::string(sentence(error))); }

Probed<WeirReceiver> WeirReceiver::open(const std::string& broker, const std::string& pattern,
                                        Mode mode) {
    auto session = attach(broker);
    if (!session) return fail(session.error());
    ConsumerOptions options;
    options.prefetch = 1000;
    options.waiting = mode == Mode::spin ? Waiting::spin : Waiting::balanced;
    auto consumer = session->consumer(pattern, options);
    if (!consumer) return failed_open(consumer.error());
    WeirReceiver receiver(std::move(*session), std::move(*consumer), mode);
    if (mode != Mode::epoll) return receiver;
    const int fd = receiver.consumer_.wait_fd();
    receiver.epoll_ = Fd(::epoll_create1(EPOLL_CLOEXEC));
    epoll_event event{};
    event.events = EPOLLIN;
    if (fd < 0 || !receiver.epoll_ ||
        ::epoll_ctl(receiver.epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0)
        return fail_with_errno(ProbeFault::subject_failed, "a descriptor for epoll");
    return receiver;
}

bool WeirReceiver::refused(ReceiveError error) { return failed(std::string(sentence(error))); }

std::span<const std::byte> WeirReceiver::receive_later(ReceiveError error) {
    if (error == ReceiveError::timed_out && mode_ == Mode::epoll) return receive_by_epoll();
    if (error == ReceiveError::timed_out) {
        auto message = consumer_.receive();
        if (message) return message->bytes();
        error = message.error();
    }
    refused(error);
    return {};
}

std::span<const std::byte> WeirReceiver::receive_by_epoll() {
    for (;;) {
        epoll_event event{};
        if (::epoll_wait(epoll_.get(), &event, 1, -1) < 0 && errno != EINTR) {
            failed("epoll_wait failed");
            return {};
        }
        auto message = consumer_.poll();
        if (message) return message->bytes();
        if (message.error() == ReceiveError::timed_out) continue;  // a wake-up for nothing
        refused(message.error());
        return {};
    }
}

std::optional<std::span<const std::byte>> WeirReceiver::receive_within(
    std::chrono::nanoseconds timeout) {
    auto message = consumer_.receive(timeout);
    if (message) return message->bytes();
    if (message.error() == ReceiveError::timed_out) return std::nullopt;
    refused(message.error());
    return std::span<const std::byte>{};
}

}  // namespace weir::bench
