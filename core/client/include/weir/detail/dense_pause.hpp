// SPDX-License-Identifier: Apache-2.0
//
// How long a consumer leaves its producer alone behind a burst that it has read to its end.
//
// Who looks for the next message at once takes the cache line that is being written, and what the
// processor fetches ahead of the look takes twenty more. The producer has to get each of them back,
// which costs as much as writing some thousand bytes. So the pause is as long as it must be for a
// burst to be large beside that: it doubles while a producer writes a byte per nanosecond or more,
// up to a bound that its user sets, and ends where messages come singly.
//
//   burst ended: fewer than 16 messages            no pause, the next look is at once
//                first one                         2 us
//                a byte per ns of the pause        twice the last one
//                less than a quarter of that       half of it
//
// Plain numbers, so that it is tested as a table.
#ifndef WEIR_DETAIL_DENSE_PAUSE_HPP
#define WEIR_DETAIL_DENSE_PAUSE_HPP

#include <algorithm>
#include <cstdint>

namespace weir::detail {

// One thread at a time.
class DensePause {
public:
    static constexpr std::uint64_t dense_messages = 16;
    static constexpr std::uint64_t first_ns = 2000;

    DensePause() = default;
    // No pause is longer than `most_ns`; 0: never pauses.
    explicit DensePause(std::uint64_t most_ns) noexcept : most_ns_(most_ns) {}

    // A look found nothing; so many messages and bytes came since the last such look. Returns the
    // pause before the next look in nanoseconds.
    std::uint64_t behind(std::uint64_t messages, std::uint64_t bytes) noexcept {
        if (messages < dense_messages)
            now_ns_ = 0;
        else if (now_ns_ == 0)
            now_ns_ = std::min(first_ns, most_ns_);
        else if (bytes >= now_ns_)
            now_ns_ = std::min(now_ns_ * 2, most_ns_);
        else if (bytes < now_ns_ / 4)
            now_ns_ = std::max(now_ns_ / 2, std::min(first_ns, most_ns_));
        return now_ns_;
    }

private:
    std::uint64_t most_ns_ = 0;
    std::uint64_t now_ns_ = 0;
};

}  // namespace weir::detail

#endif
