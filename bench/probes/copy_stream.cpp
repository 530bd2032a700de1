// SPDX-License-Identifier: Apache-2.0
//
// See copy_stream.hpp.
#include "bench/probes/copy_stream.hpp"

#include <cstring>

namespace weir::bench {
namespace {

// Every message is the same private block. That each came exactly once is in the sum of all; their
// order cannot be seen, and need not be: the ring's own probe proves it for the same engine.
struct CopiedTraffic {
    std::span<const std::byte> source;
    std::uint64_t source_sum;
    std::uint64_t source_first;

    void write(std::span<std::byte> slot, std::uint64_t) const noexcept {
        std::memcpy(slot.data(), source.data(), slot.size());
    }
    std::uint64_t first_of(std::uint64_t) const noexcept { return source_first; }
    std::uint64_t sum_of(std::uint64_t count) const noexcept { return count * source_sum; }
};

}  // namespace

Probed<RingFigures> copy_stream_leg(const Stage& stage, const RingShape& shape,
                                    std::uint64_t messages) {
    std::vector<std::byte> source(shape.message_bytes);
    fill_words(source, 1);
    CopiedTraffic traffic{source, sum_words(source), first_word(source)};
    return shape.message_bytes == 64
               ? run_ring_leg<64>(stage, "copy stream", shape, traffic, messages)
               : run_ring_leg<0>(stage, "copy stream", shape, traffic, messages);
}

std::vector<RingShape> copy_stream_shapes(std::uint64_t message_bytes,
                                          std::uint64_t footprint_bytes) {
    constexpr std::uint64_t batch_bytes = 64 << 10;
    std::uint64_t block_bytes = whole_words(message_bytes);
    footprint_bytes = std::max(footprint_bytes, 4 * block_bytes);
    std::vector<std::uint64_t> batches{1};
    if (block_bytes <= batch_bytes / 2) batches.push_back(batch_bytes / block_bytes);
    std::vector<RingShape> shapes;
    for (std::uint64_t publish_every : batches) {
        for (std::uint64_t stay_behind_ns : {0U, 2000U}) {
            RingShape shape{block_bytes, footprint_bytes, publish_every, stay_behind_ns, false};
            if (shape.possible()) shapes.push_back(shape);
        }
    }
    return shapes;
}

Probed<RingFigures> best_copy_stream(const Stage& stage, LegScale& scale,
                                     std::uint64_t message_bytes, std::uint64_t footprint_bytes) {
    std::vector<RingShape> shapes = copy_stream_shapes(message_bytes, footprint_bytes);
    return best_ring(shapes, stage, scale, [&](const RingShape& shape, std::uint64_t count) {
        return copy_stream_leg(stage, shape, count);
    });
}

}  // namespace weir::bench
