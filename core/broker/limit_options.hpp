// SPDX-License-Identifier: Apache-2.0
//
// Limits that hold for the whole broker, beside the sizes of its two memories: how direct memory is
// shared between producers and consumers, when backlog flows to disk and how much of it may, and
// what one session or one user may hold.
//
// configure() fills them from options and file. A default that depends on the size of direct memory
// is written as 0 and meant as the function beside it, so that who makes a segment without a
// configuration (a test) need not repeat it.
#ifndef WEIR_CORE_BROKER_LIMIT_OPTIONS_HPP
#define WEIR_CORE_BROKER_LIMIT_OPTIONS_HPP

#include <cstdint>
#include <string>

#include "core/base/clock.hpp"

namespace weir::broker {

// [flow-to-disk]
struct FlowOptions {
    std::uint64_t threshold_bytes = 0;  // of direct memory in use: flow begins; 0: three quarters
    // Below it flow ends; never above the threshold. 0: 14/15 of that, so 70 % beside 75 %.
    std::uint64_t resume_bytes = 0;
    std::string directory;    // absolute; empty: there is no flow to disk
    bool by_default = false;  // nobody named it: where it is of no use, there is no flow to disk
    // At most so much spill space: bytes, or if 0 a share of the file system's free space when the
    // broker starts, in hundredths of a percent.
    std::uint64_t limit_bytes = 0;
    std::uint32_t limit_share = 5000;
    std::uint64_t dwell_ns = ns_per_s;  // it neither begins nor ends again within this time
};

constexpr std::uint64_t flow_threshold(const FlowOptions& flow, std::uint64_t direct) noexcept {
    return flow.threshold_bytes != 0 ? flow.threshold_bytes : direct / 100 * 75;
}
constexpr std::uint64_t flow_resume(const FlowOptions& flow, std::uint64_t direct) noexcept {
    return flow.resume_bytes != 0 ? flow.resume_bytes : flow_threshold(flow, direct) / 15 * 14;
}

// [memory] producer-part: pages being filled and backlog; the rest is the consumer part.
constexpr std::uint64_t producer_part(std::uint64_t bytes, std::uint64_t direct) noexcept {
    return bytes != 0 ? bytes : direct / 100 * 60;
}

// [session]: what one session may hold.
struct SessionLimits {
    std::uint32_t lanes = 0;                   // 0: three quarters of the broker's (holders.cpp)
    std::uint32_t subscriptions = 0;           // 0: as above
    std::uint64_t heap_bytes = 0;              // 0: as above
    std::uint64_t direct_bytes = 0;            // 0: no limit
    std::uint64_t max_uncommitted = 10 << 20;  // bytes of open transactions in memory
};

// [user]: what the sessions of one user may hold together. 0: no limit.
struct UserLimits {
    std::uint32_t sessions = 0;
    std::uint32_t lanes = 0;
    std::uint32_t subscriptions = 0;
    std::uint64_t heap_bytes = 0;
    std::uint64_t direct_bytes = 0;
};

struct LimitOptions {
    std::uint64_t producer_part_bytes = 0;  // 0: 60 % of direct memory
    FlowOptions flow;
    SessionLimits session;
    UserLimits user;
};

}  // namespace weir::broker

#endif
