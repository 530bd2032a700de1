// SPDX-License-Identifier: Apache-2.0
//
// What is asked of a destination: its limits, what it is always given, and what a send does when
// there is no grant.
//
// A policy is written for a pattern ("queue://orders.>") and says only what it wants to say. What
// holds for one destination is put together key by key: the most specific pattern that says
// anything about a key wins, and what no pattern says is the default below.
//
//   P1  a resolved policy holds in itself: reserve and high_water are at most the limit if any
//   P2  sizes are bytes, whole pages of 4 KiB where they are memory, rounded so that no promise
//       grows: limits down, reserves up
#ifndef WEIR_CORE_BROKER_POLICY_HPP
#define WEIR_CORE_BROKER_POLICY_HPP

#include <cstdint>

#include "core/broker/quota.hpp"
#include "shm/control.hpp"

namespace weir::broker {

// Two smallest pages, because one alone can never turn over: a producer leaves its page by entering
// the next one (lane_writer.hpp, W3).
inline constexpr std::uint64_t reserve_default = 2 * page_unit;

// In force for one destination.
struct Policy {
    std::uint64_t limit = 0;                  // bytes of direct memory, both parts; 0: none
    std::uint64_t reserve = reserve_default;  // bytes of direct memory, always available to it
    // Bytes of direct memory from which backlog flows or producers are slowed down; 0: none.
    std::uint64_t high_water = 0;
    std::uint64_t page_bytes = 0;       // a page class; 0: follows the lane's rate
    std::uint64_t largest_message = 0;  // payload plus envelope, bytes; 0: the broker's
    Overflow overflow = Overflow::block;
    std::uint64_t fail_after_ns = 0;
    FlowToDisk flow_to_disk = FlowToDisk::automatic;
    SlowSubscriber slow_subscriber = SlowSubscriber::throttle;
    std::uint64_t rate_bytes = 0;     // payload bytes a second; 0: no limit
    std::uint64_t rate_messages = 0;  // messages a second; 0: no limit
    std::uint32_t max_producers = 0;  // 0: no limit
    std::uint32_t max_consumers = 0;  // 0: no limit
    std::uint64_t max_depth = 0;      // messages; 0: no limit

    friend bool operator==(const Policy&, const Policy&) = default;
};

// The limit of its account.
constexpr Bytes limit_of(const Policy& policy) noexcept {
    return policy.limit != 0 ? policy.limit : no_limit;
}

// Whether backlog of a destination may go to disk. What would rather lose its oldest than wait is
// bounded by that, and on disk the oldest would be in nobody's way.
constexpr bool may_flow(const Policy& policy, DestinationKind kind) noexcept {
    if (policy.flow_to_disk == FlowToDisk::never) return false;
    const bool loses =
        kind == DestinationKind::topic && policy.slow_subscriber != SlowSubscriber::throttle;
    return !loses && policy.overflow != Overflow::drop_oldest;
}

// Writes it where clients and tools read it.
void show(const Policy& policy, PolicySlot& slot) noexcept;

}  // namespace weir::broker

#endif
