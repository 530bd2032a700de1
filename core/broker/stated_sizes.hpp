// SPDX-License-Identifier: Apache-2.0
//
// What is charged for the broker's objects in private memory.
//
// Heap-like memory is refused before it is taken, so what an object will take is stated in advance,
// as an upper bound: what the allocator gives for the object itself and for a name of the greatest
// length, its places in the lists of others, and what its own lists and deques own beside what is
// in them. Each thing in them is charged for by itself. So every statement is a sum of sizes that
// the compiler knows, and a unit test holds it against what the allocator really gave.
//
//   Destination   name | lanes, consumers, line (lists) | pending (deque)     each range_bytes
//   Lane          pages (deque)             each page_table_bytes, paid when the broker starts
//   Subscription  pattern | places | outstanding (deque)     each range_bytes
//
// What of a lane is out of memory (runs, pages that leave or arrive) costs run_charge_bytes.
#ifndef WEIR_CORE_BROKER_STATED_SIZES_HPP
#define WEIR_CORE_BROKER_STATED_SIZES_HPP

#include <algorithm>

#include "core/base/allocated.hpp"
#include "core/broker/tables.hpp"

namespace weir::broker {

// The broker itself: stack, loop, what the allocator and the libraries keep. One that does nothing
// has 0.6 MiB of resident private memory; its program's file is not counted, the kernel drops those
// pages when it needs them.
inline constexpr Bytes process_bytes = 1024 * 1024;

inline constexpr Bytes page_table_bytes = Deque<Page>::bytes_each;
// In the lists of its destination and its session, and in a waiting line.
inline constexpr Bytes lane_object_bytes =
    allocated_bytes(sizeof(Lane)) + Deque<Page>::bytes_beside + 3 * number_bytes;
inline constexpr Bytes destination_object_bytes =
    allocated_bytes(sizeof(Destination)) + allocated_bytes(name_bytes) + 3 * numbers_bytes_beside +
    Deque<Range>::bytes_beside;
// In the lists of its destination and its session.
inline constexpr Bytes subscription_object_bytes =
    allocated_bytes(sizeof(Subscription)) + allocated_bytes(name_bytes) + 2 * number_bytes +
    allocated_bytes(places_least / 8) + Deque<Outstanding>::bytes_beside;
inline constexpr Bytes session_object_bytes = sizeof(Session) + 512;
// Vectors double, also the one with a bit for each place.
inline constexpr Bytes attachment_bytes = 2 * sizeof(Attachment) + 1;
// Pending or assigned.
inline constexpr Bytes range_bytes =
    std::max(Deque<Range>::bytes_each, Deque<Outstanding>::bytes_each);
// For as many runs, or pages that will be one each.
inline constexpr std::size_t charged_runs = 64;
inline constexpr Bytes run_charge_bytes = charged_runs * 64;

}  // namespace weir::broker

#endif
