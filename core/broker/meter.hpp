// SPDX-License-Identifier: Apache-2.0
//
// Rates and depths: how many messages, and how much payload, the producers of a destination may
// send beside the pages that they have.
//
// A rate fills a bucket: so many units a second, at most a tenth of a second's worth. Sending
// empties it. What producers sent is what is counted in their lanes, and not what they say; so with
// honest producers (shm/LAYOUT.md: who may write pages may write them) a rate holds over any span:
//
//   sent by all lanes  <=  rate * time + one tenth of a second's worth + one message
//
// A lane gets an allotment out of the bucket and may send that much before it asks again
// (LaneSlot.message_stop, payload_stop). What is allotted and not sent yet is *open*; it is not
// given out twice, and comes back when the lane asks or ends, or when it lies unused while others
// have nothing.
//
// Allotments come in batches of a hundredth of a second, shared by those who wait: one by one they
// would cost a trip through the broker for each message. A bucket holds ten batches, so a broker
// that was not scheduled for a while gives out what came due meanwhile.
//
//   M1  level - open >= what may still be allotted; the level may be below zero by one message
//       that is larger than the bucket, which is then paid for
//   M2  depth + open <= max_depth
#ifndef WEIR_CORE_BROKER_METER_HPP
#define WEIR_CORE_BROKER_METER_HPP

#include <algorithm>
#include <cstdint>

#include "core/base/clock.hpp"

namespace weir::broker {

inline constexpr std::uint64_t batches_a_second = 100;
inline constexpr std::uint64_t bucket_batches = 10;
// A lane that waits for consumers is looked at again so often: they ring per page, not per message.
inline constexpr std::uint64_t depth_look_ns = 2 * ns_per_ms;
inline constexpr std::uint64_t meter_look_ns = ns_per_ms;  // and for time at most so often
// What a lane was allotted and did not use for so long is taken back when others need it.
inline constexpr std::uint64_t unused_ns = 20 * ns_per_ms;

class Bucket {
public:
    // Zero: no limit. The level stays within what the new rate allows.
    constexpr void set_rate(std::uint64_t rate, std::uint64_t now_ns) noexcept {
        if (rate == rate_) return;
        const bool fresh = rate_ == 0;
        fill(now_ns);
        rate_ = rate;
        rest_ = 0;
        filled_ns_ = now_ns;
        level_ = fresh ? static_cast<std::int64_t>(batch()) : std::min(level_, size());
    }
    constexpr bool limits() const noexcept { return rate_ != 0; }
    constexpr std::uint64_t batch() const noexcept {
        return std::max<std::uint64_t>(1, rate_ / batches_a_second);
    }
    constexpr std::int64_t size() const noexcept {
        return static_cast<std::int64_t>(
            std::max<std::uint64_t>(1, rate_ / (batches_a_second / bucket_batches)));
    }
    // What came due until now is added exactly: parts of a unit are kept for the next time.
    constexpr void fill(std::uint64_t now_ns) noexcept {
        const std::uint64_t passed_ns = now_ns - filled_ns_;
        filled_ns_ = now_ns;
        if (rate_ == 0) return;
        const std::uint64_t seconds = passed_ns / ns_per_s;
        const auto missing = static_cast<std::uint64_t>(std::max<std::int64_t>(size() - level_, 0));
        if (seconds > missing / rate_) {
            level_ = size();
            rest_ = 0;
            return;
        }
        // rate * passed / 10^9 without a product that can overflow: of the seconds it is at most
        // what is missing, and of the rest both factors are below 10^9, or below 2^63 in all.
        const std::uint64_t left_ns = passed_ns % ns_per_s;
        const std::uint64_t whole = rate_ * seconds + rate_ / ns_per_s * left_ns;
        const std::uint64_t part = rate_ % ns_per_s * left_ns + rest_;
        level_ += static_cast<std::int64_t>(whole + part / ns_per_s);
        rest_ = part % ns_per_s;
        if (level_ > size()) {
            level_ = size();
            rest_ = 0;
        }
    }
    constexpr std::int64_t level() const noexcept { return level_; }
    constexpr void take(std::uint64_t units) noexcept {
        level_ -= static_cast<std::int64_t>(units);
    }
    // How long until there are `units` more than now.
    constexpr std::uint64_t time_for(std::int64_t units) const noexcept {
        if (units <= 0 || rate_ == 0) return 0;
        // Only when to look again, so that rounding does no harm.
        return static_cast<std::uint64_t>(static_cast<double>(units) * ns_per_s /
                                          static_cast<double>(rate_)) +
               1;
    }

private:
    std::uint64_t rate_ = 0;
    std::int64_t level_ = 0;
    std::uint64_t rest_ = 0;  // of a unit, in units of 1/10^9
    std::uint64_t filled_ns_ = 0;
};

// Messages and payload bytes that were allotted and are not sent yet.
struct Allotment {
    std::uint64_t messages = 0;
    std::uint64_t payload = 0;
};

// Of a destination.
struct Meter {
    Bucket messages;
    Bucket payload;
    Allotment open;            // of all lanes
    std::uint64_t due_ns = 0;  // when those who wait are worth looking at
    std::uint64_t taken_back_ns = 0;
};

// Of a lane.
struct LaneMeter {
    bool on = false;
    Allotment billed;  // the lane's counts up to which the buckets have paid
    Allotment open;
    std::uint64_t allotted_ns = 0;
};

struct Tables;
struct Destination;
struct Lane;

enum class Metered {
    allotted,
    rate_used_up,
    depth_reached,
};

bool is_metered(const Destination& destination) noexcept;
// The lane's producer may send nothing until it asks, or everything if its destination has neither
// rate nor depth. To be called when a lane is opened and when the policy changes.
void begin_meter(Tables& tables, Lane& lane);
// What it sent is paid, what it was allotted comes back.
void end_meter(Tables& tables, Lane& lane);
// Allots to a lane that wants to send a record of so many bytes. `sharers`: how many want
// something.
Metered allot(Tables& tables, Lane& lane, std::uint64_t record, std::size_t sharers);

}  // namespace weir::broker

#endif
