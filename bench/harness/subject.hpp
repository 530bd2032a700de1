// SPDX-License-Identifier: Apache-2.0
//
// What is compared with the machine's own limits: a messaging system that two processes use.
//
// The harness knows nothing of Weir. It asks a subject for legs and sets them beside the probes of
// the same round; Weir is one subject, a peer could be another, a test scripts a third. A subject
// runs its two sides as run_pair() does (processes of their own, pinned to stage.placement), fills
// messages with fill_words(), reads them whole with sum_words(), and takes every round-trip sample
// with stage.clock, so that both sides of each ratio did the same work under the same clock.
#ifndef WEIR_BENCH_HARNESS_SUBJECT_HPP
#define WEIR_BENCH_HARNESS_SUBJECT_HPP

#include <cstdint>
#include <string>

#include "bench/probes/latency.hpp"
#include "bench/probes/probe_error.hpp"

namespace weir::bench {

struct SubjectRoundTrip {
    LatencyFigures rtt;
    std::uint64_t elapsed_ns = 0;
};

struct SubjectThroughput {
    double msgs_per_s = 0;
    double bytes_per_s = 0;           // payload only
    std::uint64_t granted_bytes = 0;  // of pages that were handed out during the leg
    std::uint64_t elapsed_ns = 0;
};

// Open loop: message i is due at i / rate, however late the one before it was, and its latency
// counts from then.
struct SubjectPaced {
    LatencyFigures latency;
    double rate_per_s = 0;  // at which the messages really left
    std::uint64_t elapsed_ns = 0;
};

class Subject {
public:
    virtual ~Subject() = default;

    virtual std::string name() const = 0;

    // The memory that messages of this size pass through: Weir's window.
    virtual std::uint64_t footprint_bytes(std::uint64_t message_bytes) const = 0;

    virtual Probed<SubjectRoundTrip> round_trip(std::uint64_t message_bytes,
                                                std::uint64_t round_trips) = 0;
    virtual Probed<SubjectThroughput> throughput(std::uint64_t message_bytes,
                                                 std::uint64_t messages) = 0;
    virtual Probed<SubjectPaced> paced(std::uint64_t message_bytes, std::uint64_t messages,
                                       double rate_per_s) = 0;
};

}  // namespace weir::bench

#endif  // WEIR_BENCH_HARNESS_SUBJECT_HPP
