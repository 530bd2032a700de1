// SPDX-License-Identifier: Apache-2.0
//
// What a destination that flows to disk costs its neighbour.
//
// Two processes play ping-pong over two other topics of the same broker: 64 bytes, 10 000 a second,
// open loop, each answer's latency counted from when its question was due. Beside them is
//
//   flow    a producer that floods a queue nobody reads, and so the broker, writing to disk
//   plain   two processes that know nothing of Weir: one writes to the same disk at the same rate
//           and spins until it uses as much processor as the broker did, one spins as much as the
//           flooding producer did; both in pieces as long as those of whom they stand in for: who
//           spins for a tenth of a millisecond and sleeps is a better neighbour than who needs the
//           same processor in one piece. The broker is the pair's alone.
//   nobody  nothing
//
// All of them may run on either of the two processors of the placement.
#ifndef WEIR_BENCH_SPILL_NEIGHBOUR_HPP
#define WEIR_BENCH_SPILL_NEIGHBOUR_HPP

#include <array>
#include <cstdint>
#include <string>

#include "bench/scenarios/carrier.hpp"

namespace weir::bench {

// What goes on beside the pair: by the broker and its flood, or by those who stand in for them.
struct Load {
    double bytes_per_s = 0;              // to disk
    std::array<double, 2> cpu{0, 0};     // processors: writer, flood
    std::array<double, 2> run_ns{0, 0};  // how long each had a processor in one piece
};

struct NeighbourFigures {
    LatencyFigures round_trip;
    double rate_per_s = 0;  // at which questions left
    Load load;              // as it was
};

struct NeighbourPlan {
    std::string broker;
    std::string directory;
    std::uint64_t messages = 20'000;  // measured
};

inline constexpr double neighbour_rate_per_s = 10'000;

Probed<NeighbourFigures> beside_flow(const Scene& scene, const NeighbourPlan& plan);
Probed<NeighbourFigures> beside_plain(const Scene& scene, const NeighbourPlan& plan,
                                      const Load& load);
Probed<NeighbourFigures> beside_nobody(const Scene& scene, const NeighbourPlan& plan);

}  // namespace weir::bench

#endif  // WEIR_BENCH_SPILL_NEIGHBOUR_HPP
