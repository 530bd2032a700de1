// SPDX-License-Identifier: Apache-2.0
#include "core/client/cores.hpp"

#include <sched.h>

#include <algorithm>

#include "core/base/clock.hpp"
#include "shm/futex.hpp"

namespace weir::detail {
namespace {

constexpr std::uint32_t rounds = 256;
constexpr int tries = 3;

unsigned count_cores() noexcept {
    cpu_set_t cores;
    CPU_ZERO(&cores);
    // Fails on a machine with more cores than the set holds: then there are enough.
    if (::sched_getaffinity(0, sizeof cores, &cores) != 0) return CPU_SETSIZE;
    return static_cast<unsigned>(CPU_COUNT(&cores));
}

// Picoseconds of one relax. The shortest of a few tries is the one that was not interrupted.
std::uint64_t measure_relax_ps() noexcept {
    std::uint64_t best_ns = ns_per_ms;
    for (int i = 0; i < tries; ++i) {
        const std::uint64_t begin = monotonic_ns();
        for (std::uint32_t round = 0; round < rounds; ++round) relax();
        best_ns = std::min(best_ns, monotonic_ns() - begin);
    }
    return std::max<std::uint64_t>(best_ns * 1000 / rounds, 1);
}

}  // namespace

unsigned usable_cores() noexcept {
    static const unsigned cores = count_cores();
    return cores;
}

std::uint32_t relaxes_in(std::uint64_t span_ns) noexcept {
    static const std::uint64_t relax_ps = measure_relax_ps();
    // A pause is bounded by a millisecond whatever was asked for: it is no sleep.
    return static_cast<std::uint32_t>(std::min(span_ns, ns_per_ms) * 1000 / relax_ps);
}

std::uint64_t deadline_after(std::uint64_t span_ns) noexcept {
    const std::uint64_t now = monotonic_ns();
    return span_ns >= no_deadline - now ? no_deadline : now + span_ns;
}

std::uint64_t slice_before(std::uint64_t deadline_ns, std::uint64_t slices) noexcept {
    // relaxed: a setting.
    const std::uint64_t slice = sleep_slice_ns.load(std::memory_order_relaxed);
    return std::min(deadline_ns,
                    slice == no_deadline ? no_deadline : deadline_after(slices * slice));
}

}  // namespace weir::detail
