// SPDX-License-Identifier: Apache-2.0
//
// Bytes a second, as a mean over the last moments: exponential, over the time since the last look
// if that is longer.
//
// All of it is arithmetic on copies, so it is tested as tables.
#ifndef WEIR_CORE_BROKER_MEAN_RATE_HPP
#define WEIR_CORE_BROKER_MEAN_RATE_HPP

#include <cstdint>

#include "core/base/clock.hpp"

namespace weir::broker {

struct RateSpans {
    std::uint64_t look_ns;                     // shorter spans say little
    std::uint64_t rising_ns;                   // of the mean, while the rate is above it
    std::uint64_t falling_ns;                  // and below it
    std::uint64_t gap_ns = ~std::uint64_t{0};  // a longer span says nothing
};

template <RateSpans spans>
class MeanRate {
public:
    constexpr void add(std::uint64_t bytes) noexcept { bytes_ += bytes; }
    constexpr std::uint64_t look(std::uint64_t now_ns) noexcept {
        const std::uint64_t passed_ns = now_ns - looked_ns_;
        if (passed_ns < spans.look_ns) return per_s();
        if (passed_ns <= spans.gap_ns) {
            const auto passed = static_cast<double>(passed_ns);
            const double rate = static_cast<double>(bytes_) * ns_per_s / passed;
            const auto span =
                static_cast<double>(rate > mean_ ? spans.rising_ns : spans.falling_ns);
            mean_ += (rate - mean_) * passed / (passed + span);
        }
        bytes_ = 0;
        looked_ns_ = now_ns;
        return per_s();
    }
    // At the last look.
    constexpr std::uint64_t per_s() const noexcept { return static_cast<std::uint64_t>(mean_); }

private:
    std::uint64_t bytes_ = 0;  // since the last look
    std::uint64_t looked_ns_ = 0;
    double mean_ = 0;
};

}  // namespace weir::broker

#endif
