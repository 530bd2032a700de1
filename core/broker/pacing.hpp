// SPDX-License-Identifier: Apache-2.0
//
// Slowing producers down before they stop.
//
// A destination that holds more than its high-water mark fills faster than it is read. If it went
// on at full rate it would run into its limit and its producers would stop dead, each for as long
// as the next consumer takes. So between the two marks grants follow how fast it is read:
//
//      rate of grants
//      full  |-----------.
//            |            `.
//            |              `.            with u used, h high-water, l limit, d the measured drain
//      drain |................`.          rate and f the full rate:
//            |                  |
//            +-----------+------+---> u      rate(u) = d + (f - d) * (l - u) / (l - h)
//                        h      l
//
// Then du/dt = rate(u) - d = (f - d) * (l - u) / (l - h): what is left to the limit shrinks by the
// same part in the same time, (l - h) / (f - d), so it is approached and not run into, without a
// step at either mark. The full rate is the one at which it was granted before it came here, and at
// least the one that would fill the distance in `approach_cycles`, for a destination that was never
// seen below its mark.
//
// A rate alone would starve a destination that nobody reads, and pages come in sizes. So whatever
// the rate, one page is granted in each duty cycle until the limit is reached, and a grant that is
// larger than what is due is lent and paid for.
#ifndef WEIR_CORE_BROKER_PACING_HPP
#define WEIR_CORE_BROKER_PACING_HPP

#include <algorithm>
#include <cstdint>

#include "core/base/clock.hpp"

namespace weir::broker {

inline constexpr std::uint64_t duty_cycle_ns = 5 * ns_per_ms;
inline constexpr std::uint64_t approach_cycles = 16;
// Rates are averages over about so long.
inline constexpr std::uint64_t rate_memory_ns = 50 * ns_per_ms;

struct Marks {
    std::uint64_t high_water = 0;
    std::uint64_t limit = 0;

    constexpr bool between(std::uint64_t used) const noexcept {
        return high_water != 0 && high_water < limit && used >= high_water && used < limit;
    }
};

// Bytes a second. `used` lies between the marks.
constexpr double paced_rate(std::uint64_t used, const Marks& marks, double drain,
                            double full) noexcept {
    const double distance = static_cast<double>(marks.limit - marks.high_water);
    const double left = static_cast<double>(marks.limit - used);
    const double least_full = drain + distance * ns_per_s / (approach_cycles * duty_cycle_ns);
    return drain + (std::max(full, least_full) - drain) * left / distance;
}
static_assert(paced_rate(70, {70, 100}, 5, 1e9) == 1e9 && paced_rate(100, {70, 100}, 5, 1e9) == 5);

// A rate that is measured from a number that only grows, with a memory that fades.
class MeasuredRate {
public:
    constexpr void see(std::uint64_t total, std::uint64_t now_ns) noexcept {
        const std::uint64_t passed_ns = now_ns - seen_ns_;
        if (passed_ns < duty_cycle_ns) return;
        const double rate =
            static_cast<double>(total - total_) * ns_per_s / static_cast<double>(passed_ns);
        const double passed = static_cast<double>(passed_ns);
        rate_ += (rate - rate_) * passed / (passed + rate_memory_ns);
        total_ = total;
        seen_ns_ = now_ns;
    }
    constexpr double a_second() const noexcept { return rate_; }

private:
    double rate_ = 0;
    std::uint64_t total_ = 0;
    std::uint64_t seen_ns_ = 0;
};

// Of one destination.
class Pace {
public:
    // What it holds now, and what it was granted in all.
    constexpr void see(std::uint64_t used, std::uint64_t granted, const Marks& marks,
                       std::uint64_t now_ns) noexcept {
        drain_.see(granted - std::min(granted, used), now_ns);
        if (!marks.between(used)) {
            full_.see(granted, now_ns);
            credit_ = 0;
            credited_ns_ = now_ns;
            return;
        }
        const double rate = paced_rate(used, marks, drain_.a_second(), full_.a_second());
        const double passed = static_cast<double>(now_ns - credited_ns_);
        credit_ = std::min(credit_ + rate * passed / ns_per_s,
                           rate * static_cast<double>(duty_cycle_ns) / ns_per_s);
        credited_ns_ = now_ns;
    }
    constexpr bool may_grant(std::uint64_t now_ns) const noexcept {
        return credit_ > 0 || now_ns - granted_ns_ >= duty_cycle_ns;
    }
    constexpr void granted(std::uint64_t bytes, std::uint64_t now_ns) noexcept {
        // Never more in debt than this one grant: the next duty cycle grants one all the same.
        credit_ = std::max(credit_, 0.0) - static_cast<double>(bytes);
        granted_ns_ = now_ns;
    }
    // When the next duty cycle begins; until then there may be credit sooner.
    constexpr std::uint64_t due_ns(std::uint64_t now_ns) const noexcept {
        return std::min(granted_ns_ + duty_cycle_ns, now_ns + ns_per_ms);
    }
    // Bytes that are due: pages larger than that would make one page a duty cycle more than is
    // read.
    constexpr std::uint64_t credit() const noexcept {
        return credit_ > 0 ? static_cast<std::uint64_t>(credit_) : 0;
    }
    constexpr double drain_a_second() const noexcept { return drain_.a_second(); }

private:
    MeasuredRate drain_;
    MeasuredRate full_;
    double credit_ = 0;  // bytes
    std::uint64_t credited_ns_ = 0;
    std::uint64_t granted_ns_ = 0;
};

}  // namespace weir::broker

#endif
