// SPDX-License-Identifier: Apache-2.0
//
// How far a producer runs ahead of consumers that are fast too.
//
// A producer that outruns its consumers fills whatever there is, and from then on each byte is read
// as late as the region is large, out of memory instead of a cache: 256 MiB walked round and round
// give 8 GB/s between two cores, 4 to 32 MiB 15 to 24 (26 November 2026, Sapphire Rapids, plain
// copy loop). Nothing is gained by it, and nothing is left for others. So once more than the head
// start lies unread before consumers that read gigabytes a second, a lane is served at their pace:
//
//     pace                         the next grant is due  given / pace  behind the last one, but
//      |  .                        before consumers have read half of what they have, and within
//      |   `.                      `hold_most_ns`
//    drain -`- - . _
//      |           |  `------      so unread settles near the head start
//      +-----------+---------> unread
//             head start
//
// Slow consumers gain nothing by that, so a burst before them is taken in as fast as it comes, nor
// does who reads what comes from disk. The slowest consumer counts: of a topic one that is caught
// up waits with the others. And it is for the only producer of a destination: several share its
// consumers by what they are granted, which has an order of its own (grants.hpp); each at the pace
// at which it is read, who is read more would be granted more.
//
// All of it is arithmetic on copies, so it is tested as tables.
#ifndef WEIR_CORE_BROKER_HEAD_START_HPP
#define WEIR_CORE_BROKER_HEAD_START_HPP

#include <algorithm>

#include "core/base/clock.hpp"
#include "shm/units.hpp"

namespace weir::broker {

inline constexpr std::uint64_t head_start_most = 16 * 1024 * 1024;
inline constexpr std::uint64_t hold_most_ns = 4 * ns_per_ms;
inline constexpr std::uint64_t drain_fast = 1'000'000'000;  // bytes a second
inline constexpr std::uint64_t drain_least = 64'000'000;    // 64 KiB a millisecond
// Shorter spans say little, and a mean over longer ones says what was once.
inline constexpr std::uint64_t drain_look_least_ns = 20 * ns_per_us;
inline constexpr std::uint64_t drain_look_most_ns = 100 * ns_per_ms;

inline constexpr double pace_least = 0.5;  // of the drain: enough for the lead to shrink
inline constexpr std::uint64_t alone_after_ns = 10 * ns_per_ms;
inline constexpr std::uint64_t no_bound = ~std::uint64_t{0};

// In a region of this size.
constexpr std::uint64_t head_start(std::uint64_t direct_bytes) noexcept {
    return std::min(head_start_most, direct_bytes / 16);
}

// Whether one lane is the only one that asked of late.
class SoleAsker {
public:
    constexpr void asked(LaneId lane, std::uint64_t now_ns) noexcept {
        if (lane != last_) shared_ns_ = now_ns;
        last_ = lane;
    }
    constexpr bool is_alone(std::uint64_t now_ns) const noexcept {
        return now_ns - shared_ns_ >= alone_after_ns;
    }

private:
    LaneId last_ = ~LaneId{0};
    std::uint64_t shared_ns_ = 0;  // when somebody else asked
};

class HeadStart {
public:
    // At each request, with the place of the slowest consumer; beyond position_limit: there is
    // none.
    constexpr void look(Position cursor, std::uint64_t now_ns) noexcept {
        const std::uint64_t span_ns = now_ns - looked_ns_;
        if (span_ns < drain_look_least_ns) return;
        const bool moved = cursor_ != 0 && cursor > cursor_ && cursor < position_limit;
        const std::uint64_t read = moved ? cursor - cursor_ : 0;
        const double rate = static_cast<double>(read) * ns_per_s / static_cast<double>(span_ns);
        drain_ = span_ns > drain_look_most_ns ? rate : (drain_ + rate) / 2;
        cursor_ = cursor;
        looked_ns_ = now_ns;
    }
    // What a lane is granted at most with so many bytes unread: what comes due at its pace before
    // it is served next.
    constexpr std::uint64_t most_bytes(std::uint64_t unread, std::uint64_t head_start) noexcept {
        pace_ = 0;
        if (unread <= head_start || drain_ < drain_fast) return no_bound;
        const double share = static_cast<double>(head_start) / static_cast<double>(unread);
        pace_ = drain_ * std::max(share, pace_least);
        return static_cast<std::uint64_t>(pace_ * hold_most_ns / ns_per_s);
    }
    // Behind a grant of so many bytes, with so many unread.
    constexpr void granted(std::uint64_t bytes, std::uint64_t unread,
                           std::uint64_t now_ns) noexcept {
        due_ns_ = now_ns;
        if (pace_ == 0) return;
        due_ns_ += within(static_cast<double>(bytes) * ns_per_s / pace_,
                          busy_ns(unread / 2, hold_most_ns));
    }
    // When the lane is to be served next.
    constexpr std::uint64_t due_ns() const noexcept { return due_ns_; }
    // How long consumers are busy with so much, at most `most_ns`; 0: they read so slowly that
    // nothing worth a turn would come of it.
    constexpr std::uint64_t busy_ns(std::uint64_t bytes, std::uint64_t most_ns) const noexcept {
        if (drain_ < drain_least) return 0;
        return within(static_cast<double>(bytes) * ns_per_s / drain_, most_ns);
    }

private:
    static constexpr std::uint64_t within(double ns, std::uint64_t most_ns) noexcept {
        return ns < static_cast<double>(most_ns) ? static_cast<std::uint64_t>(ns) : most_ns;
    }

    double drain_ = 0;  // bytes a second
    double pace_ = 0;   // bytes a second; 0: it is not ahead
    Position cursor_ = 0;
    std::uint64_t looked_ns_ = 0;
    std::uint64_t due_ns_ = 0;
};

}  // namespace weir::broker

#endif
