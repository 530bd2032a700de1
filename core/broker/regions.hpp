// SPDX-License-Identifier: Apache-2.0
//
// Making a broker's regions at its start: sizes checked, memory allocated and charged, tables
// empty.
//
// Everything that has a fixed size is charged to heap-like memory here, so what is left is what
// sessions, lanes and subscriptions may take. The direct region is allocated in slices: the first
// before the start is over, the rest by the loop's turns (allocating takes 60-190 ms for 256 MiB,
// in huge pages up to twice as long), and units are handed to the allocator only when their slice
// is there.
#ifndef WEIR_CORE_BROKER_REGIONS_HPP
#define WEIR_CORE_BROKER_REGIONS_HPP

#include "core/base/clock.hpp"
#include "core/broker/refusal.hpp"
#include "core/broker/segment.hpp"
#include "core/broker/tables.hpp"

namespace weir::broker {

inline constexpr Bytes first_slice_bytes = 4 * 1024 * 1024;
// How long a slice is put off for whoever has opened something, unless somebody waits for memory;
// and for how long in all if one comes soon after the other.
inline constexpr std::uint64_t letting_in_ns = 2 * ns_per_ms;
inline constexpr std::uint64_t letting_in_all_ns = 20 * ns_per_ms;
inline constexpr Bytes slice_bytes = 2 * 1024 * 1024;

// Heap-like memory that is charged from the start.
Bytes fixed_bytes(const Limits& limits) noexcept;
// A broker starts only if they leave something for what is opened.
constexpr bool tables_fit(Bytes fixed, const Limits& limits) noexcept {
    return fixed <= limits.heap_bytes / 4 * 3;
}

// Fills the tables, or says what is short and the cure.
Result<void, Refused> make_regions(Tables& tables, const SegmentOptions& options);

// Allocates the next slice of the direct region. True: there is more to come.
bool extend_direct(Tables& tables);

}  // namespace weir::broker

#endif
