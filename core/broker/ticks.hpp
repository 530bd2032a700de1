// SPDX-License-Identifier: Apache-2.0
//
// When the broker looks around: once a second, and less often while all is at rest.
//
// A look costs an idle machine half a millisecond or more, next to none of it in instructions:
// whatever it touches has long left the caches. So once nothing has moved for some seconds, looks
// are `rest_period_ns` apart, until something happens. A longer period would spare little more, and
// a broker's published numbers may be as old.
#ifndef WEIR_CORE_BROKER_TICKS_HPP
#define WEIR_CORE_BROKER_TICKS_HPP

#include <algorithm>
#include <cstdint>

#include "core/base/clock.hpp"

namespace weir::broker {

class Ticks {
public:
    static constexpr std::uint64_t period_ns = ns_per_s;
    static constexpr std::uint64_t rest_period_ns = 4 * ns_per_s;
    static constexpr unsigned before_rest = 3;  // ticks in a row that found all at rest

    explicit Ticks(std::uint64_t now_ns) noexcept : due_ns_(now_ns + period_ns) {}

    std::uint64_t due_ns() const noexcept { return due_ns_; }

    // The next one is counted from the one that was due, so that a busy loop does not stretch the
    // seconds; after a long stop of the process (SIGSTOP, suspend) they begin anew instead of being
    // made up for.
    void ticked(std::uint64_t now_ns, bool at_rest) noexcept {
        at_rest_ = at_rest ? std::min(at_rest_ + 1, before_rest) : 0;
        const std::uint64_t period = resting() ? rest_period_ns : period_ns;
        due_ns_ += period;
        if (due_ns_ < now_ns) due_ns_ = now_ns + period;
    }

    // Something has happened: seconds are seconds again.
    void stir(std::uint64_t now_ns) noexcept {
        due_ns_ = std::min(due_ns_, now_ns + period_ns);
        at_rest_ = 0;
    }
    bool resting() const noexcept { return at_rest_ == before_rest; }

private:
    std::uint64_t due_ns_;
    unsigned at_rest_ = 0;  // in a row, up to the last
};

}  // namespace weir::broker

#endif
