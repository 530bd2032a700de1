// SPDX-License-Identifier: Apache-2.0
//
// What carries messages between two processes: Weir, a socket, a queue, somebody else's broker.
//
// The scenarios are templates over a carrier, so that a call per message costs what the carrier
// costs and nothing of ours. A carrier is made in the parent, once per leg, and inherited by both
// processes (descriptors, names, shared memory); each process then opens its ends.
//
//   Carrier::wire(scene, bytes)     in the parent: everything both sides need to find each other
//   carrier.sender(way)             in a process, after its receivers: an object with
//       send(bytes) -> bool             takes one message; the bytes may be used again at once
//       flush() -> bool                 nothing is held back any longer
//       why() -> ProbeError             after a false
//   carrier.receiver(way, mode)     in a process: an object with
//       receive() -> bytes              the next message, good until the next call; no data:
//                                       it failed
//       why() -> ProbeError
//   Carrier::warm_up_bytes          what passes before anything is measured
//   Carrier::bytes_min              what a throughput leg must at least move
//
// `send` and `receive` return plain values, not Results: at ten nanoseconds a message an error with
// a sentence in it would be most of what is measured.
#ifndef WEIR_BENCH_SCENARIOS_CARRIER_HPP
#define WEIR_BENCH_SCENARIOS_CARRIER_HPP

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "bench/probes/probe_error.hpp"
#include "bench/probes/stage.hpp"
#include "bench/scenarios/measured.hpp"

namespace weir::bench {

// The two directions between the first and the second process.
enum class Way { there, back };

constexpr const char* way_name(Way way) noexcept { return way == Way::there ? "there" : "back"; }

// Where a leg plays.
struct Scene {
    Stage stage;
    std::string folder;   // private, for sockets, logs and data of servers
    std::string program;  // weir
    std::string tag;      // in names that the whole machine sees
};

class Failing {
public:
    bool failed(ProbeError why_not) {
        why_not_ = std::move(why_not);
        return false;
    }
    bool failed(std::string reason) {
        return failed(ProbeError{ProbeFault::subject_failed, std::move(reason)});
    }
    const ProbeError& why() const noexcept { return why_not_; }

private:
    ProbeError why_not_{ProbeFault::subject_failed, "no reason given"};
};

}  // namespace weir::bench

#endif  // WEIR_BENCH_SCENARIOS_CARRIER_HPP
