// SPDX-License-Identifier: Apache-2.0
//
// The scenarios with more than two processes, or with verbs that only Weir has. One file each.
//
// `count` is the number of messages of one leg (round trips, turns), which the suite scales to the
// length of a leg. All run against the broker that weir_system.hpp started; flow_to_disk, idle and
// first_message start one of their own.
#ifndef WEIR_BENCH_SCENARIOS_WEIR_SCENARIOS_HPP
#define WEIR_BENCH_SCENARIOS_WEIR_SCENARIOS_HPP

#include <cstdint>

#include "bench/scenarios/carrier.hpp"
#include "bench/scenarios/measured.hpp"

namespace weir::bench {

inline constexpr std::uint32_t fan_width = 4;

// 4 producers to one consumer. Messages per second at the consumer.
Probed<Measured> fan_in(const Scene& scene, const Cell& cell, std::uint64_t count);
// One producer to 4 subscribers of a topic. Messages per second, summed over the subscribers.
Probed<Measured> fan_out(const Scene& scene, const Cell& cell, std::uint64_t count);
// One producer, 4 consumers of one queue. Messages per second, summed over the consumers.
Probed<Measured> competing(const Scene& scene, const Cell& cell, std::uint64_t count);
// A topic with a fast and a slow subscriber. Messages per second at the fast one.
Probed<Measured> slow_consumer(const Scene& scene, const Cell& cell, std::uint64_t count);
// One producer process to 100 destinations in turn, one consumer of all of them.
Probed<Measured> many_destinations(const Scene& scene, const Cell& cell, std::uint64_t count);
// 4 pairs, each one to one, on the two processors. Messages per second, summed over the pairs.
Probed<Measured> oversubscribed(const Scene& scene, const Cell& cell, std::uint64_t count);
// As one_to_one, but written where the consumer reads it: claim, fill, commit.
Probed<Measured> in_place(const Scene& scene, const Cell& cell, std::uint64_t count);
// Round trips of records that neither side touches.
Probed<Measured> untouched(const Scene& scene, const Cell& cell, std::uint64_t count);
// More than memory holds, written without a consumer, then read. Bytes per second through the disk.
Probed<Measured> flow_to_disk(const Scene& scene, const Cell& cell, std::uint64_t count);
// CPU time of a broker and parked clients, in milliseconds per ten seconds.
Probed<Measured> idle(const Scene& scene, const Cell& cell, std::uint64_t count);
// From the start of a broker's process to the first message, in milliseconds.
Probed<Measured> first_message(const Scene& scene, const Cell& cell, std::uint64_t count);

}  // namespace weir::bench

#endif  // WEIR_BENCH_SCENARIOS_WEIR_SCENARIOS_HPP
