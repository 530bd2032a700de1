// SPDX-License-Identifier: Apache-2.0
//
// Receiving messages from a destination, or from all that a pattern means.
//
//   queue   each message goes to one of its consumers; what a consumer did not acknowledge before
//   it
//           left or died is delivered again, to another one, flagged as redelivered
//   topic   each consumer gets everything that is sent after it subscribed; there is one copy in
//   memory
//
// A message is read where its producer wrote it. Order is kept per producer.
#ifndef WEIR_CONSUMER_HPP
#define WEIR_CONSUMER_HPP

#include <chrono>
#include <memory>
#include <string>

#include "weir/detail/consumer_core.hpp"
#include "weir/errors.hpp"
#include "weir/message.hpp"

namespace weir {

// Movable. One thread at a time; different consumers are independent of each other.
class Consumer {
public:
    Consumer(Consumer&&) noexcept;
    Consumer& operator=(Consumer&&) noexcept;
    ~Consumer();  // as close()

    // The next message; waits for it at most `timeout`. Zero: as poll().
    [[gnu::always_inline]] Result<Message, ReceiveError> receive(std::chrono::nanoseconds timeout) {
        // One object from here to the caller: a copy of fields just stored would wait for them.
        Result<Message, ReceiveError> message = core_->poll(timeout.count() > 0);
        if (!message && timeout.count() > 0) [[unlikely]]
            message = wait_for_message(message.error(), timeout);
        return message;
    }
    // The next message; waits without end. Returns ReceiveError::timed_out only when the consumer
    // may hold no more messages (prefetch) until some are acknowledged.
    [[gnu::always_inline]] Result<Message, ReceiveError> receive() {
        return receive(std::chrono::nanoseconds::max());
    }

    // The next message if there is one now, else ReceiveError::timed_out. With automatic
    // acknowledgement it acknowledges the one before. Never waits; behind a dense burst it may
    // pause for dense_pause.
    [[gnu::always_inline]] Result<Message, ReceiveError> poll() { return core_->poll(); }

    // A descriptor for epoll: readable when there may be a message. A poll that finds nothing makes
    // it unreadable again, and only that: poll until ReceiveError::timed_out before waiting for it.
    // It belongs to the consumer. -1: neither io_uring nor futex_waitv can be used here.
    int wait_fd();

    // Acknowledges everything received so far.
    void acknowledge();
    // The full name or pattern, with its scheme.
    const std::string& pattern() const;
    ConsumerCounts counts() const;
    // Leaves. From a queue, what was not acknowledged is delivered again. Idempotent.
    void close();

private:
    friend class Session;
    friend struct detail::Maker;
    explicit Consumer(std::unique_ptr<detail::ConsumerCore> core) noexcept;
    Result<Message, ReceiveError> wait_for_message(ReceiveError why,
                                                   std::chrono::nanoseconds timeout);

    std::unique_ptr<detail::ConsumerCore> core_;
};

}  // namespace weir

#endif
