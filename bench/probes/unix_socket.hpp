// SPDX-License-Identifier: Apache-2.0
//
// What co-located services use today: a Unix domain socket, one write per message, one read per
// message, blocking. As a stream and with packet borders; the faster of both counts.
//
// Batching several messages into one write is faster and is what a program can do that has several
// at hand; it is not what is compared here.
#ifndef WEIR_BENCH_PROBES_UNIX_SOCKET_HPP
#define WEIR_BENCH_PROBES_UNIX_SOCKET_HPP

#include <cstdint>

#include "bench/probes/latency.hpp"
#include "bench/probes/stage.hpp"

namespace weir::bench {

enum class SocketKind { stream, packets };

struct SocketFigures {
    double msgs_per_s = 0;
    double bytes_per_s = 0;
    SocketKind kind = SocketKind::stream;
    std::uint64_t elapsed_ns = 0;
};

struct SocketRoundTripFigures {
    LatencyFigures rtt;
    SocketKind kind = SocketKind::stream;
    std::uint64_t elapsed_ns = 0;
};

// One leg, one way. A packet larger than the kernel's limit on send buffers is not_possible.
Probed<SocketFigures> socket_leg(const Stage& stage, SocketKind kind, std::uint64_t message_bytes,
                                 std::uint64_t messages);

// There and back. Not part of a comparison: the figure a reader knows from experience.
Probed<SocketRoundTripFigures> socket_round_trip_leg(const Stage& stage, SocketKind kind,
                                                     std::uint64_t message_bytes,
                                                     std::uint64_t round_trips);

Probed<SocketFigures> best_socket(const Stage& stage, LegScale& scale, std::uint64_t message_bytes);

Probed<SocketRoundTripFigures> best_socket_round_trip(const Stage& stage, LegScale& scale,
                                                      std::uint64_t message_bytes);

}  // namespace weir::bench

#endif  // WEIR_BENCH_PROBES_UNIX_SOCKET_HPP
