// SPDX-License-Identifier: Apache-2.0
//
// How far producers run ahead of consumers that are fast too.
//
// A producer that outruns its consumers fills whatever there is, and from then on each byte is read
// as late as the region is large, out of memory instead of a cache: 256 MiB walked round and round
// give 8 GB/s between two cores, 4 to 32 MiB 15 to 24 (26 November 2026, Sapphire Rapids, plain
// copy loop). Nothing is gained by it, and nothing is left for others. So before consumers that
// read gigabytes a second a lane is held once it has its head start:
//
//     unread                       held until consumers have come so far by what they read a
//      |  .                        second, at most `hold_most_ns`; who is still ahead then gets a
//      |   `.  held                page or two
//      | - - `- - - - head start
//      |       `.
//      | - - - - `- - three quarters
//
// Slow consumers gain nothing by that, so a burst before them is taken in as fast as it comes, nor
// does who reads what comes from disk. The slowest consumer counts: of a topic one that is caught
// up waits with the others.
//
// Several producers of a destination share its head start evenly, and each is held for what lies
// unread of its own: consumers that go from lane to lane find as much in each, and who sends little
// is never held because others send much.
//
// All of it is arithmetic on copies, so it is tested as tables.
#ifndef WEIR_CORE_BROKER_HEAD_START_HPP
#define WEIR_CORE_BROKER_HEAD_START_HPP

#include <algorithm>

#include "core/base/clock.hpp"
#include "core/broker/mean_rate.hpp"
#include "shm/units.hpp"

namespace weir::broker {

inline constexpr std::uint64_t head_start_most = 16 * 1024 * 1024;
// Of one of many producers: smaller shares would be asked for too often.
inline constexpr std::uint64_t head_start_least = 1024 * 1024;
inline constexpr std::uint64_t hold_most_ns = 4 * ns_per_ms;
inline constexpr std::uint64_t alone_after_ns = 10 * ns_per_ms;
inline constexpr std::uint64_t no_bound = ~std::uint64_t{0};

// Of one of so many producers of a destination, in a region of this size. A small region as a whole
// is not more than a head start.
constexpr std::uint64_t head_start(std::uint64_t direct_bytes, std::uint32_t sharers) noexcept {
    const std::uint64_t whole = std::min(head_start_most, direct_bytes / 16);
    if (whole < head_start_least) return no_bound;
    return std::max(whole / std::max(sharers, 1u), head_start_least);
}

// How fast the consumers of a destination read. Whether they are fast tells a mean that rises
// faster than it falls: who was not scheduled for some milliseconds is not slow. How long they will
// be busy tells what they read just now. What they read while nobody asked for pages says nothing.
class ReadingSpeed {
public:
    static constexpr std::uint64_t fast = 1'000'000'000;  // bytes a second
    static constexpr std::uint64_t least = 64'000'000;    // 64 KiB a millisecond

    constexpr void read(std::uint64_t bytes) noexcept {
        steady_.add(bytes);
        recent_.add(bytes);
    }
    // At each request for pages.
    constexpr void look(std::uint64_t now_ns) noexcept {
        steady_.look(now_ns);
        recent_.look(now_ns);
    }
    constexpr bool is_fast() const noexcept { return steady_.per_s() >= fast; }
    // How long it takes them to come so far, at most `most_ns`.
    constexpr std::uint64_t coming_ns(std::uint64_t bytes, std::uint64_t most_ns) const noexcept {
        return within(bytes, steady_.per_s(), most_ns);
    }
    // How long they are busy with so much, at most `most_ns`; 0: they read so slowly that nothing
    // worth a turn would come of it.
    constexpr std::uint64_t busy_ns(std::uint64_t bytes, std::uint64_t most_ns) const noexcept {
        return recent_.per_s() < least ? 0 : within(bytes, recent_.per_s(), most_ns);
    }

private:
    static constexpr std::uint64_t look_ns = 500 * ns_per_us;
    static constexpr std::uint64_t gap_ns = 100 * ns_per_ms;

    static constexpr std::uint64_t within(std::uint64_t bytes, std::uint64_t per_s,
                                          std::uint64_t most_ns) noexcept {
        const double ns = static_cast<double>(bytes) * ns_per_s / static_cast<double>(per_s);
        return ns < static_cast<double>(most_ns) ? static_cast<std::uint64_t>(ns) : most_ns;
    }

    MeanRate<RateSpans{look_ns, 2 * ns_per_ms, 50 * ns_per_ms, gap_ns}> steady_;
    MeanRate<RateSpans{look_ns, ns_per_ms, ns_per_ms, gap_ns}> recent_;
};

// How many lanes of a destination ask for pages: those that did within the last ten milliseconds,
// or the ten before.
class Askers {
public:
    static constexpr std::uint64_t span_ns = 10 * ns_per_ms;

    // `before_ns`: when the lane asked last.
    constexpr void asked(std::uint64_t before_ns, std::uint64_t now_ns) noexcept {
        if (now_ns - began_ns_ >= span_ns) {
            before_ = now_ns - began_ns_ < 2 * span_ns ? now_ : 0;
            now_ = 0;
            began_ns_ = now_ns;
        }
        if (before_ns < began_ns_ || now_ == 0) ++now_;
    }
    constexpr std::uint32_t count() const noexcept { return std::max({before_, now_, 1u}); }

private:
    std::uint32_t now_ = 0;
    std::uint32_t before_ = 0;
    std::uint64_t began_ns_ = 0;
};

// Whether one lane of all is the only one that asked of late.
class SoleAsker {
public:
    constexpr void asked(LaneId lane, std::uint64_t now_ns) noexcept {
        if (lane != last_) shared_ns_ = now_ns;
        last_ = lane;
    }
    constexpr bool is_alone(std::uint64_t now_ns) const noexcept {
        return now_ns >= shared_ns_ + alone_after_ns;
    }

private:
    LaneId last_ = ~LaneId{0};
    std::uint64_t shared_ns_ = 0;  // when somebody else asked
};

// Of a lane before fast consumers.
struct Lead {
    std::uint64_t unread = 0;      // bytes
    std::uint64_t head_start = 0;  // bytes
    std::uint32_t sharers = 1;

    constexpr bool is_ahead() const noexcept { return unread > head_start; }
    // How long it is held.
    constexpr std::uint64_t hold_ns(const ReadingSpeed& speed) const noexcept {
        if (!is_ahead()) return 0;
        const std::uint64_t all = (unread - head_start / 4 * 3) * sharers;
        return speed.coming_ns(all, hold_most_ns);
    }
    // What it is granted ahead of its need at most: who is held at its head start and asks at half
    // of that has not much more than its share then.
    constexpr std::uint64_t most_bytes() const noexcept {
        return is_ahead() ? head_start / 8 : head_start / 2;
    }
};

}  // namespace weir::broker

#endif
