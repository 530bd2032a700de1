// SPDX-License-Identifier: Apache-2.0
//
// The machine's own limits as the harness asks for them. ProbedMachine measures them; a test plays
// a machine that moves.
#ifndef WEIR_BENCH_HARNESS_MACHINE_HPP
#define WEIR_BENCH_HARNESS_MACHINE_HPP

#include <cstdint>
#include <map>

#include "bench/probes/ping_pong.hpp"
#include "bench/probes/ring_leg.hpp"
#include "bench/probes/stage.hpp"
#include "bench/probes/unix_socket.hpp"

namespace weir::bench {

class Machine {
public:
    virtual ~Machine() = default;

    virtual Probed<PingPongFigures> raw() = 0;
    virtual Probed<RingFigures> plain_ring(std::uint64_t message_bytes,
                                           std::uint64_t footprint_bytes) = 0;
    virtual Probed<SocketFigures> socket(std::uint64_t message_bytes) = 0;
    virtual Probed<SocketRoundTripFigures> socket_round_trip(std::uint64_t message_bytes) = 0;
    virtual Probed<RingFigures> copy_stream(std::uint64_t message_bytes,
                                            std::uint64_t footprint_bytes) = 0;
};

class ProbedMachine final : public Machine {
public:
    explicit ProbedMachine(const Stage& stage) : stage_(stage) {}

    Probed<PingPongFigures> raw() override;
    Probed<RingFigures> plain_ring(std::uint64_t message_bytes,
                                   std::uint64_t footprint_bytes) override;
    Probed<SocketFigures> socket(std::uint64_t message_bytes) override;
    Probed<SocketRoundTripFigures> socket_round_trip(std::uint64_t message_bytes) override;
    Probed<RingFigures> copy_stream(std::uint64_t message_bytes,
                                    std::uint64_t footprint_bytes) override;

private:
    // What was learned about the length of a leg, by message size: a run may compare several.
    using Scales = std::map<std::uint64_t, LegScale>;
    static LegScale& scale_of(Scales& scales, std::uint64_t message_bytes);

    Stage stage_;
    LegScale raw_scale_{1000};
    Scales ring_scales_;
    Scales socket_scales_;
    Scales socket_round_trip_scales_;
    Scales copy_scales_;
};

}  // namespace weir::bench

#endif  // WEIR_BENCH_HARNESS_MACHINE_HPP
