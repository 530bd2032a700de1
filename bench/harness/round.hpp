// SPDX-License-Identifier: Apache-2.0
//
// One round, and whether it may be believed.
//
// How far apart two cores are is not a constant of a machine: a hypervisor moves its guests, a
// neighbour fills the shared cache, the clock rate changes. A ratio is only worth something when
// both of its sides saw the same machine, so they run in one round, and the raw ping-pong runs
// before, in the middle and after it as the witness:
//
//   raw | round trip of the subject | raw | its throughput | ring | copy | socket | raw
//
// A round is *calm* when the slowest of its raw medians is at most a tenth above the fastest and
// the machine took less than a fifth of the raw probes' time for others. It is *near* when its raw
// round trip is below 200 ns, else *far*; the two are kept apart, because a median over both would
// describe neither.
//
// Invariants
//   C1  a round that is not calm contributes to no figure of a distance
//   C2  every figure of a distance comes from rounds of that distance
#ifndef WEIR_BENCH_HARNESS_ROUND_HPP
#define WEIR_BENCH_HARNESS_ROUND_HPP

#include <algorithm>
#include <array>

#include "bench/harness/subject.hpp"
#include "bench/probes/ping_pong.hpp"
#include "bench/probes/ring_leg.hpp"
#include "bench/probes/unix_socket.hpp"

namespace weir::bench {

enum class Distance { near, far };

struct Round {
    std::array<PingPongFigures, 3> raw;  // before, in the middle, after
    SubjectRoundTrip round_trip;
    SubjectThroughput throughput;
    SubjectPaced paced;  // empty unless a rate was asked for
    RingFigures plain_ring;
    SocketFigures socket;
    SocketRoundTripFigures socket_round_trip;
    RingFigures copy_stream;

    double raw_ns() const {
        std::array<double, 3> ns = raw_medians();
        std::sort(ns.begin(), ns.end());
        return ns[1];
    }

    bool calm() const {
        constexpr double move_max = 1.10;
        constexpr double interrupted_max = 0.20;
        std::array<double, 3> ns = raw_medians();
        auto [least, most] = std::minmax_element(ns.begin(), ns.end());
        bool quiet = std::all_of(raw.begin(), raw.end(), [&](const PingPongFigures& probe) {
            return probe.rtt.interrupted_share < interrupted_max;
        });
        return quiet && *most <= *least * move_max;
    }

    Distance distance() const {
        constexpr double near_below_ns = 200;
        return raw_ns() < near_below_ns ? Distance::near : Distance::far;
    }

private:
    std::array<double, 3> raw_medians() const {
        return {raw[0].rtt.ns_p50, raw[1].rtt.ns_p50, raw[2].rtt.ns_p50};
    }
};

}  // namespace weir::bench

#endif  // WEIR_BENCH_HARNESS_ROUND_HPP
