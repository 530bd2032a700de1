// SPDX-License-Identifier: Apache-2.0
//
// How much memory a load needs: what the broker charges for each thing, and the sum.
//
// The constants are what the broker charges by (core/broker/tables.hpp asserts that its objects fit
// into them), the functions are the ones that it makes its regions with. README.md has the formula
// in words.
//
//   Z1  what a plan says is in use is what the books say, within 5 % (tests/system/plan_test.py)
//   Z2  what a plan says to configure leaves a quarter of direct memory free, so that nothing flows
//       to disk, and a tenth of heap-like memory
#ifndef WEIR_CORE_PROTOCOL_SIZING_HPP
#define WEIR_CORE_PROTOCOL_SIZING_HPP

#include <algorithm>
#include <cstdint>

#include "shm/control.hpp"
#include "shm/exchange.hpp"

namespace weir::sizing {

using Bytes = std::uint64_t;

// Private memory of the broker for each object: the object and what its containers keep for it.
inline constexpr Bytes page_bytes = 64;  // charged for every smallest page, in use or not
inline constexpr Bytes lane_bytes = 512;
inline constexpr Bytes destination_bytes = 928;
inline constexpr Bytes subscription_bytes = 496;
inline constexpr Bytes session_bytes = 704;
inline constexpr Bytes lane_slot_bytes = 24;  // history and pointer, in use or not
inline constexpr Bytes slot_bytes = 8;        // pointer to any other object
// Stack, loop, and what the allocator and the libraries keep: anonymous memory that is resident in
// a broker without any load (0.4 MiB were measured). The program's file is not counted: the kernel
// drops its pages when it needs them, and shares them with every other Weir program.
inline constexpr Bytes process_bytes = 1024 * 1024;

// A name of this length, where it does not stand in its string object.
constexpr Bytes text_bytes(std::size_t length) noexcept {
    return length < 16 ? 0 : round_up(length + 1 + 8, 16);
}

// Heap-like memory that is charged from the start.
constexpr Bytes fixed_bytes(const Limits& limits) noexcept {
    return process_bytes + limits.control_bytes + limits.signals_bytes + limits.pages * page_bytes +
           limits.lanes * lane_slot_bytes +
           (limits.destinations + limits.subscriptions + limits.sessions) * slot_bytes;
}

// The next block of an exchange that has `blocks`: the first one small, because most sessions have
// one producer or one consumer.
constexpr Bytes next_block_bytes(std::size_t blocks, Bytes piece) noexcept {
    const Bytes doubled = page_unit << std::min<std::size_t>(blocks, 16);
    return std::max(round_up(piece, page_unit), std::min(doubled, exchange_block_bytes));
}

struct Load {
    std::uint64_t connections = 1;
    std::uint64_t sessions = 1;  // of each connection; each sends to a queue of its own
    std::uint64_t messages = 0;  // of each session, waiting to be consumed
    Bytes size = 0;              // of each message
};

struct Memory {
    Bytes direct = 0;
    Bytes heap = 0;
};

struct Plan {
    Memory used;       // at rest: nobody sends, windows have shrunk
    Memory configure;  // --direct and --heap
};

// Pages of one lane that holds so many messages of this size, sent one behind the other.
Bytes lane_direct_bytes(std::uint64_t messages, Bytes size) noexcept;
// Blocks of a session's exchange with so many producers.
Bytes exchange_bytes(std::uint64_t producers) noexcept;
Plan plan_for(const Load& load);

}  // namespace weir::sizing

#endif
