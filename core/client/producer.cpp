// SPDX-License-Identifier: Apache-2.0
//
// Sending beside the hot path: in batches, in place, with an envelope.
//
// A batch is one page's worth after the other. The first record of each is filled but its commit
// word is withheld until the ones behind it are committed: readers stop at the first zero word, so
// that one store shows them all.
//
//      | 0 (withheld) first | W second | W third | W fourth | 0
//        ^ stored last: all four become visible
#include "weir/producer.hpp"

#include <utility>

#include "core/base/check.hpp"
#include "core/base/clock.hpp"
#include "core/client/connection.hpp"
#include "core/client/envelope_codec.hpp"
#include "core/client/wake_fd.hpp"

namespace weir {

using detail::ProducerCore;

Producer::Producer(std::unique_ptr<ProducerCore> core) noexcept : core_(std::move(core)) {}
Producer::Producer(Producer&&) noexcept = default;
Producer& Producer::operator=(Producer&&) noexcept = default;
Producer::~Producer() = default;

// A new page, a wait, a refusal, or a timestamp.
Result<void, SendError> Producer::send_slowly(std::span<const std::byte> payload) {
    ProducerCore& core = *core_;
    if (core.options.timestamps && core.open) return send(payload, Envelope{});
    if (const auto refused = core.refusal(payload.size(), 0)) return fail(*refused);
    auto record = core.room({.bytes = record_bytes(0, payload.size()), .payload = payload.size()});
    if (!record && record.error() == SendError::dropped) return {};
    if (!record) return fail(record.error());
    detail::copy_payload(*record + commit_word_bytes, payload.data(), payload.size());
    core.writer.commit(*record, commit_word(RecordKind::message, 0, payload.size()));
    core.hint();
    return {};
}

Result<void, SendError> Producer::send(std::span<const std::byte> payload,
                                       const Envelope& envelope) {
    if (envelope.empty() && !core_->options.timestamps) return send(payload);
    auto open = claim(payload.size(), {.alignment = 8, .envelope = &envelope});
    if (!open && open.error() == SendError::dropped) return {};
    if (!open) return fail(open.error());
    detail::copy_payload(open->bytes().data(), payload.data(), payload.size());
    open->commit();
    return {};
}

Result<void, SendError> Producer::send(std::span<const std::byte> payload,
                                       const SendOptions& options) {
    ProducerOptions& own = core_->options;
    const ProducerOptions before = own;
    own.on_full = options.on_full;
    own.timeout = options.timeout;
    auto sent = send(payload);
    own = before;
    return sent;
}

Result<std::size_t, SendError> Producer::send(
    std::span<const std::span<const std::byte>> payloads) {
    ProducerCore& core = *core_;
    std::size_t sent = 0;
    if (core.options.timestamps || core.refusal(0, 0)) {
        for (const auto payload : payloads) {
            if (auto one = send(payload); !one) {
                if (sent == 0) return fail(one.error());
                break;
            }
            ++sent;
        }
        return sent;
    }
    while (sent < payloads.size()) {
        // The first record of a page's worth is stored but not committed: nothing behind it can be
        // seen.
        const auto first = payloads[sent];
        const auto refused = core.refusal(first.size(), 0);
        auto withheld =
            refused ? Result<std::byte*, SendError>(fail(*refused))
                    : core.room({.bytes = record_bytes(0, first.size()), .payload = first.size()});
        if (!withheld && withheld.error() == SendError::dropped) {
            ++sent;
            continue;
        }
        if (!withheld) {
            if (sent == 0) return fail(withheld.error());
            break;
        }
        detail::copy_payload(*withheld + commit_word_bytes, first.data(), first.size());
        for (++sent; sent < payloads.size(); ++sent) {
            const auto payload = payloads[sent];
            if (payload.size() >= core.plain_limit) break;
            std::byte* const record = core.writer.claim(record_bytes(0, payload.size()));
            if (record == nullptr) break;
            detail::copy_payload(record + commit_word_bytes, payload.data(), payload.size());
            core.writer.commit(record, commit_word(RecordKind::message, 0, payload.size()));
        }
        core.writer.commit(*withheld, commit_word(RecordKind::message, 0, first.size()));
        core.hint();
    }
    return sent;
}

Result<OpenMessage, SendError> Producer::claim(std::size_t bytes, ClaimOptions options) {
    ProducerCore& core = *core_;
    WEIR_CHECK(options.alignment <= 64 && (options.alignment & (options.alignment - 1)) == 0);
    Envelope stamped;
    const Envelope* envelope = options.envelope;
    if (core.options.timestamps) {
        if (envelope != nullptr) stamped = *envelope;
        if (!stamped.timestamp_ns) stamped.timestamp_ns = realtime_ns();
        envelope = &stamped;
    }
    std::uint64_t words = 0;
    if (envelope != nullptr) {
        const auto measured = detail::envelope_words(*envelope);
        if (!measured) return fail(SendError::bad_envelope);
        words = *measured;
    }
    if (const auto refused = core.refusal(bytes, words * 8)) return fail(*refused);
    const std::uint64_t whole = record_bytes(words, bytes);
    const std::uint64_t before_payload = commit_word_bytes + words * 8;
    auto record = core.room({.bytes = whole,
                             .payload = bytes,
                             .before_payload = before_payload,
                             .alignment = options.alignment < 8 ? 8 : options.alignment});
    if (!record) return fail(record.error());
    if (words != 0) detail::write_envelope(*envelope, *record + commit_word_bytes);
    OpenMessage open;
    open.core_ = &core;
    open.claim_ = core.writer.keep(*record, whole);
    open.payload_ = *record + before_payload;
    open.payload_bytes_ = bytes;
    open.envelope_words_ = words;
    return open;
}

int Producer::wait_fd() {
    ProducerCore& core = *core_;
    if (!core.open || core.made_under_forks != detail::forks()) return -1;
    if (core.wake_fd == nullptr) core.wake_fd = detail::WakeFd::make();
    return core.wake_fd == nullptr ? -1 : core.wake_fd->fd();
}

std::optional<WaitInfo> Producer::last_wait() const { return core_->last_wait; }

std::optional<std::chrono::nanoseconds> Producer::policy_timeout() const {
    const ProducerCore& core = *core_;
    if (!core.open || core.made_under_forks != detail::forks()) return std::nullopt;
    // relaxed: settings, each read alone.
    if (core.policy->overflow.load(std::memory_order_relaxed) != Overflow::fail_after)
        return std::nullopt;
    return std::chrono::nanoseconds(static_cast<std::int64_t>(
        core.policy->fail_after_ns.load(std::memory_order_relaxed)));  // relaxed: as above
}

std::uint64_t Producer::dropped() const { return core_->dropped; }

const std::string& Producer::destination() const { return core_->destination; }

void Producer::close() {
    ProducerCore& core = *core_;
    if (!core.open || core.made_under_forks != detail::forks()) return;
    core.connection->leave(&core);
    core.close();
    core.connection->close_producer(core.lane);
}

OpenMessage& OpenMessage::operator=(OpenMessage&& other) noexcept {
    if (this == &other) return *this;
    abandon();
    core_ = std::exchange(other.core_, nullptr);
    claim_ = other.claim_;
    payload_ = std::exchange(other.payload_, nullptr);
    payload_bytes_ = std::exchange(other.payload_bytes_, 0);
    envelope_words_ = other.envelope_words_;
    return *this;
}

void OpenMessage::commit(std::size_t bytes) {
    if (may_end()) {
        WEIR_CHECK(bytes <= payload_bytes_);
        const std::uint64_t word = commit_word(RecordKind::message, envelope_words_, bytes);
        core_->writer.commit_shortened(claim_, word);
        core_->hint();
    }
    end();
}

void OpenMessage::abandon() noexcept {
    if (may_end()) {
        core_->writer.abandon(claim_);
        core_->hint();  // what lies behind may be visible now
    }
    end();
}

}  // namespace weir
