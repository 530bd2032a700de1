// SPDX-License-Identifier: Apache-2.0
//
// The calls of the public consumer that are not per message; what they do is in consumer_core.cpp
// and parking.cpp. A message is a view with the consumer's address in it, so its calls end here
// too.
#include "weir/consumer.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "core/client/connection.hpp"
#include "core/client/cores.hpp"
#include "core/client/envelope_codec.hpp"
#include "core/client/queue_source.hpp"
#include "core/client/topic_source.hpp"
#include "core/client/wake_fd.hpp"
#include "shm/futex.hpp"

namespace weir {

using detail::ConsumerCore;

namespace {

std::vector<std::uint32_t> subscriptions_of(const ConsumerCore& core) {
    std::vector<std::uint32_t> numbers;
    if (core.topic != nullptr) numbers.push_back(core.topic->subscription());
    for (const auto& queue : core.queues) numbers.push_back(queue->subscription());
    return numbers;
}

}  // namespace

Consumer::Consumer(std::unique_ptr<ConsumerCore> core) noexcept : core_(std::move(core)) {}
Consumer::Consumer(Consumer&&) noexcept = default;
Consumer& Consumer::operator=(Consumer&&) noexcept = default;
Consumer::~Consumer() = default;

Result<Message, ReceiveError> Consumer::wait_for_message(ReceiveError why,
                                                         std::chrono::nanoseconds timeout) {
    if (why != ReceiveError::timed_out) return fail(why);
    const bool endless = timeout == std::chrono::nanoseconds::max();
    return core_->wait(endless
                           ? no_deadline
                           : detail::deadline_after(static_cast<std::uint64_t>(timeout.count())));
}

int Consumer::wait_fd() {
    ConsumerCore& core = *core_;
    if (!core.open || core.made_under_forks != detail::forks()) return -1;
    if (core.wake_fd == nullptr) core.wake_fd = detail::WakeFd::make();
    if (core.wake_fd == nullptr) return -1;
    core.alone = false;  // an empty look is to arm it
    return core.wake_fd->fd();
}

void Consumer::acknowledge() { core_->acknowledge(core_->received, 0); }

const std::string& Consumer::pattern() const { return core_->pattern; }

ConsumerCounts Consumer::counts() const {
    ConsumerCounts counts = core_->counts;
    counts.received = core_->received - core_->not_given_out;
    if (!core_->open || core_->made_under_forks != detail::forks()) return counts;
    for (const std::uint32_t number : subscriptions_of(*core_)) {
        const SubscriptionSlot& slot = core_->connection->control().subscription(number);
        // relaxed: both are numbers for people.
        counts.dropped += slot.dropped.load(std::memory_order_relaxed);
        counts.lost += slot.lost.load(std::memory_order_relaxed);
    }
    return counts;
}

void Consumer::close() {
    ConsumerCore& core = *core_;
    if (!core.open || core.made_under_forks != detail::forks()) return;
    const std::vector<std::uint32_t> subscriptions = subscriptions_of(core);
    core.connection->leave(&core);
    core.close();
    for (const std::uint32_t subscription : subscriptions)
        core.connection->close_consumer(subscription);
}

std::string_view Message::destination() const noexcept { return core_->destination_of(lane_); }

std::uint64_t Message::lost_before() const noexcept { return core_->lost_before(serial_); }

Envelope Message::envelope() const {
    const std::byte* const area = record_ + commit_word_bytes;
    const std::vector<std::byte> copy(area, area + commit_envelope_words(word_) * 8);
    return detail::read_envelope(copy);
}

std::vector<std::byte> Message::copy() const {
    const auto all = bytes();
    return {all.begin(), all.end()};
}

void Message::acknowledge() const {
    core_->acknowledge(serial_, position_ + record_bytes_of(word_));
}

}  // namespace weir
