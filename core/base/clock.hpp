// SPDX-License-Identifier: Apache-2.0
//
// Time, as nanoseconds in 64 bits.
//
// monotonic_ns() measures spans and deadlines; it does not run backwards and is one clock for all
// processes of the host. realtime_ns() is for people and for message properties only. 64 bits of
// nanoseconds last 584 years after boot, so spans are plain differences that never wrap.
//
// What decides by time takes a Clock, so that a test runs hours of a broker's life in a
// millisecond. The call is virtual: at least one duty cycle lies between two of the broker's looks,
// and the hot path of send and receive reads no clock at all.
#ifndef WEIR_CORE_BASE_CLOCK_HPP
#define WEIR_CORE_BASE_CLOCK_HPP

#include <cstdint>
#include <ctime>

namespace weir {

inline constexpr std::uint64_t ns_per_us = 1'000;
inline constexpr std::uint64_t ns_per_ms = 1'000'000;
inline constexpr std::uint64_t ns_per_s = 1'000'000'000;

namespace detail {

inline std::uint64_t read_clock_ns(clockid_t id) noexcept {
    timespec now{};
    ::clock_gettime(id, &now);  // fails only for an unknown clock or a bad address
    return static_cast<std::uint64_t>(now.tv_sec) * ns_per_s +
           static_cast<std::uint64_t>(now.tv_nsec);
}

}  // namespace detail

inline std::uint64_t monotonic_ns() noexcept { return detail::read_clock_ns(CLOCK_MONOTONIC); }
inline std::uint64_t realtime_ns() noexcept { return detail::read_clock_ns(CLOCK_REALTIME); }

class Clock {
public:
    virtual ~Clock() = default;
    virtual std::uint64_t now_ns() const noexcept = 0;

protected:
    Clock() = default;
    Clock(const Clock&) = default;
    Clock& operator=(const Clock&) = default;
};

class MonotonicClock final : public Clock {
public:
    std::uint64_t now_ns() const noexcept override { return monotonic_ns(); }
};

// A test's clock: it stands still until it is told to move. For one thread.
class ManualClock final : public Clock {
public:
    explicit ManualClock(std::uint64_t now_ns = ns_per_s) noexcept : now_ns_(now_ns) {}

    std::uint64_t now_ns() const noexcept override { return now_ns_; }
    void set_ns(std::uint64_t now_ns) noexcept { now_ns_ = now_ns; }
    void advance_ns(std::uint64_t span_ns) noexcept { now_ns_ += span_ns; }

private:
    std::uint64_t now_ns_;
};

}  // namespace weir

#endif  // WEIR_CORE_BASE_CLOCK_HPP
