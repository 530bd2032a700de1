// SPDX-License-Identifier: Apache-2.0
//
// Between its high-water mark and its limit, what a destination's producers are granted follows
// what its consumers drain: a producer slows down before it stops, and with a steady drain it does
// not stop at all.
//
//   bytes a second                 pace = drain * balance / above + left / pace_span
//      |   |
//      |   |.                      above = use - high-water
//      |   | `.                    left  = limit - use
//      |   |   ` .
//   drain -|- - - - -`- . _
//      |   |             |   ` |
//      +---+-------------+-----+----> use
//      high-water     balance  limit
//
// The first part is without bound at the high-water mark, is the drain at `balance`, seven eighths
// of the way to the limit, and less than that behind it: so use settles below the limit. The second
// part lets a destination that is not drained reach its limit, most of the way within a few
// `pace_span`; and however little is left, one smallest page comes each `duty_cycle_ns`.
//
// What is granted is paid for in time: credit comes due at the pace, and a request waits until
// there is as much as it needs. Credit is saved up for a moment, so that a broker that was not
// scheduled gives out what came due meanwhile, and for the largest request that waits: it is set
// aside for that as freed memory is (grants.hpp), and smaller ones may pass it no further than
// there.
//
//   W1  below the high-water mark nothing waits
//   W2  granted <= pace * time + one saved moment + one request + one page more than was needed
//   W3  a request that waits for nothing but its pace gets it, because pace > 0
#ifndef WEIR_CORE_BROKER_PACE_HPP
#define WEIR_CORE_BROKER_PACE_HPP

#include <algorithm>
#include <cstdint>

#include "core/base/clock.hpp"
#include "core/broker/mean_rate.hpp"
#include "shm/units.hpp"

namespace weir::broker {

inline constexpr std::uint64_t pace_span_ns = 250 * ns_per_ms;
inline constexpr std::uint64_t duty_cycle_ns = 10 * ns_per_ms;
inline constexpr std::uint64_t pace_saved_ns = 10 * ns_per_ms;
// Who waits for its pace is looked at again so often at most, and so often at least: a drain that
// grows meanwhile is not missed.
inline constexpr std::uint64_t pace_look_ns = ns_per_ms;
inline constexpr std::uint64_t pace_look_most_ns = 20 * ns_per_ms;
inline constexpr std::uint64_t drain_span_ns = 100 * ns_per_ms;

// What the pace depends on, in bytes and bytes a second.
struct PaceInput {
    std::uint64_t use = 0;
    std::uint64_t high_water = 0;  // 0: none
    std::uint64_t limit = 0;       // 0: none
    std::uint64_t drain = 0;
};

constexpr bool is_paced(const PaceInput& input) noexcept {
    return input.high_water != 0 && input.high_water < input.limit && input.use > input.high_water;
}

// Bytes a second. Only for what is_paced.
constexpr double pace_of(const PaceInput& input) noexcept {
    // In floating point, because a product of two sizes need not fit a word; its rounding is far
    // below what is known of the drain.
    const auto above = static_cast<double>(input.use - input.high_water);
    const auto balance = static_cast<double>(input.limit - input.high_water) * 7 / 8;
    const auto left = static_cast<double>(input.limit - std::min(input.use, input.limit));
    const double least = static_cast<double>(page_unit) * (ns_per_s / duty_cycle_ns);
    const double pace = static_cast<double>(input.drain) * balance / above +
                        left * ns_per_s / static_cast<double>(pace_span_ns);
    return std::max(pace, least);
}

// How fast a destination is drained.
using DrainRate = MeanRate<RateSpans{pace_look_ns, drain_span_ns, drain_span_ns}>;

class Pace {
public:
    // To be called before `is_open`, with what is known now and what the request needs.
    constexpr void look(const PaceInput& input, std::uint64_t now_ns,
                        std::uint64_t needed) noexcept {
        const auto passed = static_cast<double>(now_ns - looked_ns_);
        looked_ns_ = now_ns;
        pace_ = is_paced(input) ? pace_of(input) : 0;
        if (pace_ == 0) {
            credit_ = largest_ = 0;
            return;
        }
        needed_ = static_cast<double>(needed);
        largest_ = std::max(largest_, needed_);
        const double most = largest_ + pace_ * pace_saved_ns / ns_per_s;
        credit_ = std::min(credit_ + pace_ * passed / ns_per_s, most);
    }
    constexpr bool binds() const noexcept { return pace_ != 0; }
    constexpr bool is_open() const noexcept { return !binds() || credit_ >= needed_; }
    constexpr void granted(std::uint64_t bytes) noexcept {
        if (!binds()) return;
        credit_ -= static_cast<double>(bytes);
        if (needed_ >= largest_) largest_ = 0;  // others that wait look again
    }
    // When there is enough for the request that looked last, as far as is known now.
    constexpr std::uint64_t due_ns() const noexcept {
        if (is_open()) return looked_ns_;
        const auto wait_ns = static_cast<std::uint64_t>(std::min(
            (needed_ - credit_) * ns_per_s / pace_, static_cast<double>(pace_look_most_ns)));
        return looked_ns_ + std::max(wait_ns, pace_look_ns);
    }

private:
    double pace_ = 0;     // bytes a second, 0: not slowed down
    double credit_ = 0;   // bytes
    double needed_ = 0;   // by the request that looked last
    double largest_ = 0;  // by any since the largest was granted
    std::uint64_t looked_ns_ = 0;
};

}  // namespace weir::broker

#endif
