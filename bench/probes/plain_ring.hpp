// SPDX-License-Identifier: Apache-2.0
//
// The best ring one would write by hand for two processes and nothing else: the upper bound for
// messages per second. ring_leg.hpp draws it.
//
// No single choice is best everywhere, so the figure is the best of all of these, taken anew in
// every round:
//
//   publish every   1, 32, 256 messages
//   footprint       256 KiB, 4 MiB, and the footprint of what it is compared with
//   consumer        takes at once, or stays 2 us behind
//   producer        with and without prefetching, for messages up to 1 KiB
//
// Being the best of up to 36 short legs it is flattered by luck; that is on purpose.
#ifndef WEIR_BENCH_PROBES_PLAIN_RING_HPP
#define WEIR_BENCH_PROBES_PLAIN_RING_HPP

#include <cstdint>
#include <vector>

#include "bench/probes/ring_leg.hpp"

namespace weir::bench {

// One leg: the producer writes and the consumer reads every word of `messages` messages.
Probed<RingFigures> plain_ring_leg(const Stage& stage, const RingShape& shape,
                                   std::uint64_t messages);

// The shapes above; `own_footprint_bytes` 0 leaves the third footprint out.
std::vector<RingShape> plain_ring_shapes(std::uint64_t message_bytes,
                                         std::uint64_t own_footprint_bytes);

Probed<RingFigures> best_plain_ring(const Stage& stage, LegScale& scale,
                                    std::uint64_t message_bytes, std::uint64_t own_footprint_bytes);

}  // namespace weir::bench

#endif  // WEIR_BENCH_PROBES_PLAIN_RING_HPP
