// SPDX-License-Identifier: Apache-2.0
//
// The kernel's own round trip: one side sleeps, the other wakes it, and back.
//
//   first process                          second process
//   word there = i, FUTEX_WAKE  -->        sleeps in FUTEX_WAIT on there
//   sleeps in FUTEX_WAIT on back   <--     word back = i, FUTEX_WAKE
//
// Nobody that sleeps can be reached faster, so what Weir needs when both of its sides are parked is
// a multiple of this one; through a descriptor the same with an eventfd, one write and one blocking
// read a side. Neither side ever looks twice before it sleeps: the probe is the price of sleeping,
// not the best mix of spinning and sleeping.
#ifndef WEIR_BENCH_PROBES_PARKED_ROUND_TRIP_HPP
#define WEIR_BENCH_PROBES_PARKED_ROUND_TRIP_HPP

#include <cstdint>

#include "bench/probes/latency.hpp"
#include "bench/probes/stage.hpp"

namespace weir::bench {

struct ParkedFigures {
    LatencyFigures rtt;
    std::uint64_t elapsed_ns = 0;
};

enum class Parking { futex, eventfd };

// One leg of `round_trips` samples, after a tenth as many unmeasured ones.
Probed<ParkedFigures> parked_round_trip(const Stage& stage, Parking parking,
                                        std::uint64_t round_trips);

}  // namespace weir::bench

#endif  // WEIR_BENCH_PROBES_PARKED_ROUND_TRIP_HPP
