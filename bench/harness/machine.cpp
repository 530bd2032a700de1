// SPDX-License-Identifier: Apache-2.0
//
// See machine.hpp.
#include "bench/harness/machine.hpp"

#include <algorithm>

#include "bench/probes/copy_stream.hpp"
#include "bench/probes/plain_ring.hpp"

namespace weir::bench {

LegScale& ProbedMachine::scale_of(Scales& scales, std::uint64_t message_bytes) {
    constexpr std::uint64_t first_leg_bytes = 4 << 20;  // a millisecond or a few, at any rate seen
    std::uint64_t first_count =
        std::clamp<std::uint64_t>(first_leg_bytes / whole_words(message_bytes), 16, 16'384);
    return scales.try_emplace(message_bytes, first_count).first->second;
}

Probed<PingPongFigures> ProbedMachine::raw() { return ping_pong(stage_, raw_scale_); }

Probed<RingFigures> ProbedMachine::plain_ring(std::uint64_t message_bytes,
                                              std::uint64_t footprint_bytes) {
    LegScale& scale = scale_of(ring_scales_, message_bytes);
    return best_plain_ring(stage_, scale, message_bytes, footprint_bytes);
}

Probed<SocketFigures> ProbedMachine::socket(std::uint64_t message_bytes) {
    return best_socket(stage_, scale_of(socket_scales_, message_bytes), message_bytes);
}

Probed<SocketRoundTripFigures> ProbedMachine::socket_round_trip(std::uint64_t message_bytes) {
    LegScale& scale = scale_of(socket_round_trip_scales_, message_bytes);
    return best_socket_round_trip(stage_, scale, message_bytes);
}

Probed<RingFigures> ProbedMachine::copy_stream(std::uint64_t message_bytes,
                                               std::uint64_t footprint_bytes) {
    LegScale& scale = scale_of(copy_scales_, message_bytes);
    return best_copy_stream(stage_, scale, message_bytes, footprint_bytes);
}

}  // namespace weir::bench
