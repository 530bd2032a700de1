// SPDX-License-Identifier: Apache-2.0
//
// What one cell of the table is, and what running it once gives.
//
// A cell is a scenario, a system, a size and a way of waiting. The suite runs every cell once in
// each round and takes medians over the rounds; a scenario only ever sees one run.
#ifndef WEIR_BENCH_SCENARIOS_MEASURED_HPP
#define WEIR_BENCH_SCENARIOS_MEASURED_HPP

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "bench/probes/latency.hpp"

namespace weir::bench {

// How a side waits for a message.
enum class Mode {
    spin,   // keeps looking, a processor of its own
    park,   // sleeps in the kernel, as the system does by itself
    epoll,  // sleeps in epoll_wait on a descriptor that the system offers
};

constexpr std::string_view mode_name(Mode mode) noexcept {
    switch (mode) {
        case Mode::spin: return "spin";
        case Mode::park: return "park";
        case Mode::epoll: return "epoll";
    }
    return "";
}

struct Cell {
    std::string scenario;
    std::string system;
    std::uint64_t size = 64;
    Mode mode = Mode::spin;
    double rate_per_s = 0;  // of an open-loop scenario

    auto operator<=>(const Cell&) const = default;
};

// What a scenario does not measure stays 0.
struct Measured {
    double msgs_per_s = 0;
    double bytes_per_s = 0;  // payload only
    LatencyFigures latency;
    double rate_per_s = 0;                 // of an open loop: at which messages really left
    std::map<std::string, double> counts;  // what was counted, by name
    std::uint64_t elapsed_ns = 0;
    int spinning = 0;   // processes that never slept
    std::string state;  // what the figure belongs to, such as the cache that bytes came from
};

}  // namespace weir::bench

#endif  // WEIR_BENCH_SCENARIOS_MEASURED_HPP
