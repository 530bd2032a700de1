// SPDX-License-Identifier: Apache-2.0
//
// Sending messages to one destination.
//
// A producer owns a lane: a log of records in pages that the broker has granted to it. Sending
// copies the payload into the lane and publishes it with one store; no system call, no lock, no
// allocation, no clock reading as long as pages are granted, which the broker does in advance. Only
// when none is, the send waits (or fails), and `last_wait` says for what.
//
//   producer->send(bytes);                              copies
//   auto open = producer->claim(n);                     or write in place:
//   fill(open->bytes());
//   open->commit();
#ifndef WEIR_PRODUCER_HPP
#define WEIR_PRODUCER_HPP

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "weir/detail/copy.hpp"
#include "weir/detail/producer_core.hpp"
#include "weir/envelope.hpp"
#include "weir/errors.hpp"

namespace weir {

// What a claimed message should look like.
struct OpenMessageOptions {
    std::size_t alignment = 8;           // of the payload's address: a power of two up to 64
    const Envelope* envelope = nullptr;  // written at once; the pointer is not kept
};

// A message that is being written in place. Movable; several may be open at once and end in any
// order, but readers see none of them before the oldest has ended. Abandoned when it is destroyed
// uncommitted. It must end before its producer does.
class OpenMessage {
public:
    OpenMessage() = default;
    OpenMessage(OpenMessage&& other) noexcept
        : core_(std::exchange(other.core_, nullptr)),
          claim_(other.claim_),
          payload_(std::exchange(other.payload_, nullptr)),
          payload_bytes_(std::exchange(other.payload_bytes_, 0)),
          envelope_words_(other.envelope_words_) {}
    OpenMessage& operator=(OpenMessage&& other) noexcept;
    ~OpenMessage() {
        if (core_ != nullptr) abandon();
    }

    // Where the payload is to be written; not initialised. Empty once the message has ended.
    std::span<std::byte> bytes() const noexcept { return {payload_, payload_bytes_}; }
    // Publishes all of it. Inlined by force, as Producer::send is.
    [[gnu::always_inline]] void commit() {
        if (!may_end() || claim_.page != core_->writer.page()) [[unlikely]]
            return commit(payload_bytes_);
        core_->writer.commit(claim_.record,
                             commit_word(RecordKind::message, envelope_words_, payload_bytes_));
        core_->hint();
        end();
    }
    // Publishes the first `bytes` bytes; the rest is given up. At most what was claimed.
    void commit(std::size_t bytes);
    // Gives it up: readers never see it.
    void abandon() noexcept;

private:
    friend class Producer;

    // False once its producer was closed or belongs to another process: its bytes are not ours any
    // more.
    bool may_end() const noexcept {
        return core_ != nullptr && core_->open && core_->made_under_forks == detail::forks();
    }
    void end() noexcept {
        core_ = nullptr;
        payload_ = nullptr;
        payload_bytes_ = 0;
    }

    detail::ProducerCore* core_ = nullptr;
    Claim claim_;
    std::byte* payload_ = nullptr;
    std::size_t payload_bytes_ = 0;
    std::uint64_t envelope_words_ = 0;
};

// Movable. One thread at a time; different producers are independent of each other.
class Producer {
public:
    using ClaimOptions = OpenMessageOptions;

    Producer(Producer&&) noexcept;
    Producer& operator=(Producer&&) noexcept;
    ~Producer();  // as close()

    // Copies one message and publishes it. It is visible to receivers when this returns. Inlined by
    // force: the stores of a call would wait in line behind those of the message.
    [[gnu::always_inline]] Result<void, SendError> send(std::span<const std::byte> payload) {
        detail::ProducerCore& core = *core_;
        if (payload.size() >= core.plain_limit || core.made_under_forks != detail::forks())
            [[unlikely]]
            return send_slowly(payload);
        std::byte* const record = core.writer.claim_alone(record_bytes(0, payload.size()));
        if (record == nullptr) [[unlikely]]
            return send_slowly(payload);
        detail::copy_payload(record + commit_word_bytes, payload.data(), payload.size());
        core.writer.commit_alone(record, commit_word(RecordKind::message, 0, payload.size()));
        core.let_sleepers_know();
        return {};
    }
    Result<void, SendError> send(std::string_view text) {
        return send(std::as_bytes(std::span(text.data(), text.size())));
    }
    // With an envelope: 8 bytes per field and its value more. An empty one costs nothing.
    Result<void, SendError> send(std::span<const std::byte> payload, const Envelope& envelope);

    // What happens without a grant is chosen for this one message.
    Result<void, SendError> send(std::span<const std::byte> payload, const SendOptions& options);
    Result<void, SendError> send(std::string_view text, const SendOptions& options) {
        return send(std::as_bytes(std::span(text.data(), text.size())), options);
    }

    // Several at once. Those that share a page become visible together, by one store. Returns how
    // many were sent: fewer than given if the broker granted no room for more (the next call says
    // why); an error only if none was.
    Result<std::size_t, SendError> send(std::span<const std::span<const std::byte>> payloads);

    // Room for a message of `bytes` bytes, to be written in place. Inlined by force: an open
    // message that is returned through memory could only be read once all that was written into it
    // has reached the cache.
    [[gnu::always_inline]] Result<OpenMessage, SendError> claim(std::size_t bytes) {
        detail::ProducerCore& core = *core_;
        if (bytes >= core.plain_limit || core.made_under_forks != detail::forks()) [[unlikely]]
            return claim(bytes, {});
        const std::uint64_t whole = record_bytes(0, bytes);
        std::byte* const record = core.writer.claim(whole);
        if (record == nullptr) [[unlikely]]
            return claim(bytes, {});
        OpenMessage open;
        open.core_ = &core;
        open.claim_ = core.writer.keep(record, whole);
        open.payload_ = record + commit_word_bytes;
        open.payload_bytes_ = bytes;
        return open;
    }
    Result<OpenMessage, SendError> claim(std::size_t bytes, ClaimOptions options);

    // A descriptor for epoll: readable when a send that found no grant may be tried again (also
    // when nobody knows; then that send fails again). It belongs to the producer. -1: neither
    // io_uring nor futex_waitv can be used here.
    int wait_fd();

    // Why the last send that found no room waited or failed; nothing if none did since it was
    // opened.
    std::optional<WaitInfo> last_wait() const;
    // Messages that were given up unsent (OnFull::drop_newest).
    std::uint64_t dropped() const;
    // How long the destination's policy lets a send wait (fail-after); nothing if it says nothing.
    std::optional<std::chrono::nanoseconds> policy_timeout() const;
    // The full name, with its scheme.
    const std::string& destination() const;
    // Gives the lane back; what was sent stays. Later sends return SendError::closed. Idempotent.
    void close();

private:
    friend class Session;
    friend struct detail::Maker;
    explicit Producer(std::unique_ptr<detail::ProducerCore> core) noexcept;
    Result<void, SendError> send_slowly(std::span<const std::byte> payload);

    std::unique_ptr<detail::ProducerCore> core_;
};

}  // namespace weir

#endif
