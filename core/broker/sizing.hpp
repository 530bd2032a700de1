// SPDX-License-Identifier: Apache-2.0
//
// How much memory a load needs, and what to start a broker with.
//
// Nothing is estimated here: the sum is made with the same constants and functions that a broker
// charges and grants by (regions.hpp, tables.hpp, exchange_blocks.hpp, window.hpp), so the plan
// changes when they do. tools/README.md has the formula in words.
//
//   Z1  what a plan says is in use is what the books say, within 5 % (tests/system/plan_test.py)
//   Z2  what a plan says to configure leaves a quarter of direct memory free, so that nothing flows
//       to disk, a tenth of heap-like memory, and a slot for each thing that is opened
#ifndef WEIR_CORE_BROKER_SIZING_HPP
#define WEIR_CORE_BROKER_SIZING_HPP

#include <cstdint>
#include <optional>

#include "core/broker/quota.hpp"

namespace weir::broker {

struct PlannedLoad {
    std::uint64_t connections = 1;
    std::uint64_t sessions = 1;  // of each connection; each sends to a queue of its own
    std::uint64_t messages = 0;  // of each session, waiting to be consumed
    Bytes size = 0;              // of each message
};

struct PlannedMemory {
    Bytes direct = 0;
    Bytes heap = 0;
};

struct MemoryPlan {
    PlannedMemory used;       // at rest: nobody sends, windows have shrunk
    PlannedMemory configure;  // --direct and --heap
};

// How many sessions, of all connections together, a broker can have at most.
std::uint64_t planned_sessions_max() noexcept;
// Pages of one lane that holds so many messages of this size, sent one behind the other through a
// broker with so much direct memory.
Bytes lane_direct_bytes(std::uint64_t messages, Bytes size, Bytes direct);
// Blocks of a session's exchange with so many producers.
Bytes producer_blocks_bytes(std::uint64_t producers) noexcept;
// Nothing if no broker can hold it: too many sessions, or more bytes than any machine has.
std::optional<MemoryPlan> plan_memory(const PlannedLoad& load);

}  // namespace weir::broker

#endif
