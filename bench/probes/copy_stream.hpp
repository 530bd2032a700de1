// SPDX-License-Identifier: Apache-2.0
//
// How fast bytes get from one core to another: the bound for large messages.
//
// The producer copies a private block into shared blocks of the message's size, one after another;
// the consumer adds every word of each. That is the least that sending by copy and reading in place
// can do. The footprint is that of what it is compared with, because it decides more than anything
// else: lines that still lie in the writer's own cache are slower to fetch than lines that have
// been pushed out to the shared one, so a small ring is the slow case for bulk data.
//
// Published per block, and for blocks below 64 KiB also in batches of 64 KiB; the consumer takes at
// once, or stays 2 us behind. The best counts.
#ifndef WEIR_BENCH_PROBES_COPY_STREAM_HPP
#define WEIR_BENCH_PROBES_COPY_STREAM_HPP

#include <cstdint>
#include <vector>

#include "bench/probes/ring_leg.hpp"

namespace weir::bench {

Probed<RingFigures> copy_stream_leg(const Stage& stage, const RingShape& shape,
                                    std::uint64_t messages);

// `footprint_bytes` is raised to four blocks where it holds fewer.
std::vector<RingShape> copy_stream_shapes(std::uint64_t message_bytes,
                                          std::uint64_t footprint_bytes);

Probed<RingFigures> best_copy_stream(const Stage& stage, LegScale& scale,
                                     std::uint64_t message_bytes, std::uint64_t footprint_bytes);

}  // namespace weir::bench

#endif  // WEIR_BENCH_PROBES_COPY_STREAM_HPP
