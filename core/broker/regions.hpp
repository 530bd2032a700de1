// SPDX-License-Identifier: Apache-2.0
//
// Making a broker's regions at its start: sizes checked, memory allocated and charged, tables
// empty.
//
// Everything that has a fixed size is charged to heap-like memory here, so what is left is what
// sessions, lanes and subscriptions may take. The direct region is allocated in slices: the first
// before the start is over, the rest by the loop's turns (allocating takes 60-190 ms for 256 MiB,
// in huge pages up to twice as long), and units are handed to the allocator only when their slice
// is there. What is still to come is not short: who would be refused for want of direct memory
// gets slices until it fits.
#ifndef WEIR_CORE_BROKER_REGIONS_HPP
#define WEIR_CORE_BROKER_REGIONS_HPP

#include "core/base/clock.hpp"
#include "core/broker/refusal.hpp"
#include "core/broker/segment.hpp"
#include "core/broker/tables.hpp"

namespace weir::broker {

inline constexpr Bytes first_slice_bytes = 4 * 1024 * 1024;
// How long a slice is put off for whoever has opened something, while half of what is there is
// neither used nor reserved.
inline constexpr std::uint64_t letting_in_ns = 2 * ns_per_ms;
inline constexpr Bytes slice_bytes = 2 * 1024 * 1024;

// Heap-like memory that is charged from the start.
Bytes fixed_bytes(const Limits& limits) noexcept;
// A broker starts only if they leave something for what is opened.
constexpr bool tables_fit(Bytes fixed, const Limits& limits) noexcept {
    return fixed <= limits.heap_bytes / 4 * 3;
}

// Fills the tables, or says what is short and the cure.
Result<void, Refused> make_regions(Tables& tables, const SegmentOptions& options);

// True once no slice of the direct region is to come any more.
bool direct_is_whole(const Tables& tables) noexcept;
// Allocates the next slice of the direct region. False: there is no other one, or no memory for it.
bool extend_direct(Tables& tables);
// Tries again with one slice more each time, until it succeeds or the region is whole.
template <class Attempt>
bool succeeds_in_direct(Tables& tables, Attempt attempt) {
    bool done = attempt();
    while (!done && extend_direct(tables)) done = attempt();
    return done;
}

}  // namespace weir::broker

#endif
