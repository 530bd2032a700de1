// SPDX-License-Identifier: Apache-2.0
//
// A received message: a view of bytes that lie in the lane of whoever sent them.
//
// Nothing is copied on the way. A producer with ill intent could still change the bytes while they
// are read; who does not trust the producers of this broker reads from `copy()`. Lengths are
// private copies: they are safe to follow in any case.
#ifndef WEIR_MESSAGE_HPP
#define WEIR_MESSAGE_HPP

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "shm/lane_reader.hpp"
#include "weir/envelope.hpp"

namespace weir {

namespace detail {
struct ConsumerCore;
}

// Valid until it is acknowledged or, with automatic acknowledgement, until its consumer is asked
// for the next message; never longer than the consumer. Cheap to copy. Used by the consumer's
// thread.
class Message {
public:
    std::span<const std::byte> bytes() const noexcept {
        return {record_ + commit_word_bytes + commit_envelope_words(word_) * 8,
                commit_payload(word_)};
    }
    std::string_view text() const noexcept {
        const std::span<const std::byte> all = bytes();
        return {reinterpret_cast<const char*>(all.data()), all.size()};  // NOLINT: bytes as text
    }
    // True if it was handed to a consumer before, who did not acknowledge it.
    bool redelivered() const noexcept { return redelivered_; }
    // So many messages of the same producer, directly before this one, are gone: their page could
    // not be read back from disk, or not as it was written. 0 but behind such a gap.
    std::uint64_t lost_before() const noexcept;
    // The full name of where it was sent to: with a pattern, one of those it matches.
    std::string_view destination() const noexcept;
    bool has_envelope() const noexcept { return commit_envelope_words(word_) != 0; }
    // Parsed from a private copy; what is damaged in it is left out. Empty if there is none.
    Envelope envelope() const;
    // The payload in private memory.
    std::vector<std::byte> copy() const;
    // Acknowledges this message and all that its consumer received before it.
    void acknowledge() const;

private:
    friend class Consumer;
    friend struct detail::ConsumerCore;

    Message(const std::byte* record, std::uint64_t word, Position position,
            detail::ConsumerCore* core, std::uint64_t serial, LaneId lane,
            bool redelivered) noexcept
        : record_(record),
          word_(word),
          position_(position),
          core_(core),
          serial_(serial),
          lane_(lane),
          redelivered_(redelivered) {}

    const std::byte* record_;
    std::uint64_t word_;
    Position position_;
    detail::ConsumerCore* core_;
    std::uint64_t serial_;  // its number among those that this consumer received, from 1
    LaneId lane_;
    bool redelivered_;
};

}  // namespace weir

#endif
