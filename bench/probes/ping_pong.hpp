// SPDX-License-Identifier: Apache-2.0
//
// The machine's own round trip: one cache line there, one cache line back.
//
//   first process                       second process
//   store ping = i      --line-->       load ping until i
//   load pong until i   <--line--       store pong = i
//
// Nothing that two processes say to each other through memory can be faster, so Weir's round trip
// is reported as a multiple of this one. The words stand 128 bytes apart, with plain release stores
// and acquire loads and no system call. Looking with and without the processor's pause hint differs
// by a tenth either way from machine to machine: both are run, the faster median counts.
#ifndef WEIR_BENCH_PROBES_PING_PONG_HPP
#define WEIR_BENCH_PROBES_PING_PONG_HPP

#include <cstdint>

#include "bench/probes/latency.hpp"
#include "bench/probes/stage.hpp"

namespace weir::bench {

struct PingPongFigures {
    LatencyFigures rtt;
    bool pausing = false;  // which way of looking was faster
    std::uint64_t elapsed_ns = 0;
};

// One leg of `round_trips` samples, after a tenth as many unmeasured ones.
Probed<PingPongFigures> ping_pong_leg(const Stage& stage, std::uint64_t round_trips, bool pausing);

// The faster of both ways; `scale` is kept by the caller from round to round.
Probed<PingPongFigures> ping_pong(const Stage& stage, LegScale& scale);

}  // namespace weir::bench

#endif  // WEIR_BENCH_PROBES_PING_PONG_HPP
