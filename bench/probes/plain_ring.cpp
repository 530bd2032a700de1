// SPDX-License-Identifier: Apache-2.0
//
// See plain_ring.hpp.
#include "bench/probes/plain_ring.hpp"

namespace weir::bench {
namespace {

// Message i holds the words from i * words on.
struct CountedTraffic {
    std::uint64_t words;

    void write(std::span<std::byte> slot, std::uint64_t index) const noexcept {
        fill_words(slot, first_of(index));
    }
    std::uint64_t first_of(std::uint64_t index) const noexcept { return index * words; }
    std::uint64_t sum_of(std::uint64_t count) const noexcept { return sum_of_run(count * words); }
};

}  // namespace

Probed<RingFigures> plain_ring_leg(const Stage& stage, const RingShape& shape,
                                   std::uint64_t messages) {
    CountedTraffic traffic{shape.message_bytes / 8};
    return shape.message_bytes == 64
               ? run_ring_leg<64>(stage, "plain ring", shape, traffic, messages)
               : run_ring_leg<0>(stage, "plain ring", shape, traffic, messages);
}

std::vector<RingShape> plain_ring_shapes(std::uint64_t message_bytes,
                                         std::uint64_t own_footprint_bytes) {
    constexpr std::uint64_t small_bytes = 256 << 10;
    constexpr std::uint64_t middle_bytes = 4 << 20;
    std::vector<std::uint64_t> footprints{small_bytes, middle_bytes};
    if (own_footprint_bytes != 0 && own_footprint_bytes != small_bytes &&
        own_footprint_bytes != middle_bytes) {
        footprints.push_back(own_footprint_bytes);
    }
    std::vector<RingShape> shapes;
    for (std::uint64_t footprint_bytes : footprints) {
        for (std::uint64_t publish_every : {1U, 32U, 256U}) {
            for (std::uint64_t stay_behind_ns : {0U, 2000U}) {
                for (bool prefetch : {false, true}) {
                    if (prefetch && message_bytes > 1024) continue;
                    RingShape shape{whole_words(message_bytes), footprint_bytes, publish_every,
                                    stay_behind_ns, prefetch};
                    if (shape.possible()) shapes.push_back(shape);
                }
            }
        }
    }
    return shapes;
}

Probed<RingFigures> best_plain_ring(const Stage& stage, LegScale& scale,
                                    std::uint64_t message_bytes,
                                    std::uint64_t own_footprint_bytes) {
    std::vector<RingShape> shapes = plain_ring_shapes(message_bytes, own_footprint_bytes);
    return best_ring(shapes, stage, scale, [&](const RingShape& shape, std::uint64_t count) {
        return plain_ring_leg(stage, shape, count);
    });
}

}  // namespace weir::bench
