// SPDX-License-Identifier: Apache-2.0
//
// A broker whose backlog goes to disk as fast as it can, and comes back.
//
//   write   one producer, no consumer: from the moment at which memory first stood at its threshold
//           the disk limits it; that part is measured, up to the last message
//   read    one consumer, no producer: what was still in memory comes from there, so it is measured
//           until the last byte came from disk, and by the bytes that did
//
// Each message is written anew and each is checked, byte by byte and in order.
#ifndef WEIR_BENCH_SPILL_FLOW_LEGS_HPP
#define WEIR_BENCH_SPILL_FLOW_LEGS_HPP

#include <cstdint>
#include <string>

#include "bench/scenarios/carrier.hpp"

namespace weir::bench {

struct WriteFigures {
    double sent_gb_per_s = 0;  // as the producer sees it
    double disk_gb_per_s = 0;  // of pages, in the same time
    double cpu_s_per_gb = 0;   // of the broker, per GB to disk
};

struct ReadFigures {
    double disk_gb_per_s = 0;
    double cpu_s_per_gb = 0;
    double from_disk_gb = 0;
    double written_gb = 0;  // to disk, though nothing was sent
};

inline constexpr std::uint64_t flow_message_bytes = 1024;
inline constexpr const char* flow_memory = "256M";

Probed<WriteFigures> flow_out(const Scene& scene, const std::string& broker,
                              std::uint64_t messages);
Probed<ReadFigures> flow_back(const Scene& scene, const std::string& broker,
                              std::uint64_t messages);

}  // namespace weir::bench

#endif  // WEIR_BENCH_SPILL_FLOW_LEGS_HPP
