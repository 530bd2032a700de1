// SPDX-License-Identifier: Apache-2.0
#include "tools/send_delivery.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "core/base/bytes.hpp"
#include "core/base/clock.hpp"
#include "tools/attach.hpp"
#include "tools/command.hpp"
#include "tools/end_request.hpp"

namespace weir::tools {
namespace {

constexpr std::uint64_t slice_ns = 100 * ns_per_ms;

}  // namespace

Result<Delivery, int> Delivery::open(Session& session, const DeliveryPlan& plan) {
    const bool own_waiting = plan.destination.find("producer.") == std::string::npos;
    ProducerOptions options;
    if (own_waiting) options.timeout = std::chrono::nanoseconds(slice_ns);
    auto producer = session.producer(plan.destination, options);
    if (!producer) return fail(give_up("send", producer.error()));
    return Delivery(std::move(*producer), plan, session.broker().largest_message, own_waiting);
}

Delivery::Delivery(Producer producer, const DeliveryPlan& plan, std::uint64_t largest,
                   bool own_waiting)
    : producer_(std::move(producer)),
      plan_(plan),
      largest_(largest),
      own_waiting_(own_waiting),
      began_ns_(monotonic_ns()) {}

// What the user said, else the destination's policy; 0: for ever.
std::uint64_t Delivery::patience() const {
    const auto policy = producer_.policy_timeout();
    if (plan_.timeout_ns != 0 || !policy) return plan_.timeout_ns;
    return std::max<std::uint64_t>(1, static_cast<std::uint64_t>(policy->count()));
}

// False if a stop was asked for.
bool Delivery::wait_for_turn() {
    if (plan_.rate_per_s > 0) {
        const double after_ns = static_cast<double>(progress_.messages()) *
                                static_cast<double>(ns_per_s) / plan_.rate_per_s;
        const std::uint64_t due_ns = began_ns_ + static_cast<std::uint64_t>(after_ns);
        if (monotonic_ns() < due_ns) {
            progress_.idle();
            end_request::sleep_until(due_ns);
        }
    }
    return !end_request::asked();
}

template <class Try>
Delivery::Step Delivery::until_room(std::size_t bytes, const std::string& source,
                                    const Try& try_once) {
    if (!wait_for_turn()) return Step::stop_asked;
    std::uint64_t waiting_since_ns = 0;
    for (;;) {
        const auto failed = try_once();
        if (!failed) return Step::sent;
        if (*failed != SendError::timed_out || !own_waiting_) return refuse(*failed, bytes, source);
        if (end_request::asked()) return Step::stop_asked;
        progress_.idle();
        const std::uint64_t now_ns = monotonic_ns();
        if (waiting_since_ns == 0) waiting_since_ns = now_ns - std::min(now_ns, slice_ns);
        const std::uint64_t patience_ns = patience();
        if (patience_ns != 0 && now_ns - waiting_since_ns >= patience_ns)
            return refuse(*failed, bytes, source);
    }
}

Delivery::Step Delivery::send(std::span<const std::byte> payload) {
    const Step step = until_room(payload.size(), {}, [&]() -> std::optional<SendError> {
        const auto sent = plan_.envelope.empty() ? producer_.send(payload)
                                                 : producer_.send(payload, plan_.envelope);
        if (sent) return std::nullopt;
        return sent.error();
    });
    if (step == Step::sent) count(payload.size());
    return step;
}

Delivery::Step Delivery::claim(std::size_t bytes, const Envelope& envelope,
                               const std::string& source, OpenMessage& open) {
    return until_room(bytes, source, [&]() -> std::optional<SendError> {
        auto claimed = producer_.claim(bytes, {.envelope = envelope.empty() ? nullptr : &envelope});
        if (!claimed && claimed.error() == SendError::dropped) return std::nullopt;
        if (!claimed) return claimed.error();
        open = std::move(*claimed);
        return std::nullopt;
    });
}

Delivery::Step Delivery::refuse(SendError error, std::size_t bytes, const std::string& source) {
    progress_.end();
    exit_code_ = exit_failed;
    std::string why(sentence(error));
    if (error == SendError::too_large) {
        why = bytes <= largest_ ? fmt::format(
                                      "a message of {} is above the max-message of its "
                                      "destination: raise it or split the message",
                                      format_size(bytes))
                                : fmt::format(
                                      "a message of {} is above this broker's largest message, {} "
                                      "with its envelope: start "
                                      "the broker with more --direct, or split the message",
                                      format_size(bytes), format_size(largest_));
    } else if (error == SendError::timed_out || error == SendError::no_grant ||
               error == SendError::never_fits) {
        exit_code_ = exit_limit;
        if (const auto wait = producer_.last_wait()) why = wait->sentence;
    }
    const std::string where = source.empty() ? "" : source + ": ";
    give_up("send", exit_code_,
            fmt::format("after {} messages: {}{}", progress_.messages(), where, why));
    return Step::refused;
}

}  // namespace weir::tools
