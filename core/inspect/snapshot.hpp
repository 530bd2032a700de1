// SPDX-License-Identifier: Apache-2.0
//
// A broker as its `control` region shows it, copied at one moment, without asking the broker.
//
// `control` is written by the broker alone while anybody looks, so nothing here is believed twice:
// each slot is copied between two looks at its state and its birth, and the books of a destination
// between two looks at their generation (shm/control.hpp, C2 and C4). A look that was disturbed is
// repeated, a bounded number of times: a broker that changes something without end, or one that
// died in the middle of a change, must not hang a tool. What was still moving after that is given
// as last seen and marked.
//
// The tables are consistent in themselves, not with one another: a message may be counted by its
// destination and not yet by its lane.
//
//   N1  nothing in the region is written, and nothing in it is trusted to be a valid number
//   N2  books that are not marked `moving` are of one generation
#ifndef WEIR_CORE_INSPECT_SNAPSHOT_HPP
#define WEIR_CORE_INSPECT_SNAPSHOT_HPP

#include <cstdint>
#include <string>
#include <vector>

#include "shm/control.hpp"

namespace weir::inspect {

struct BrokerFacts {
    std::string name;
    std::uint32_t pid = 0;
    std::uint64_t process_start = 0;  // /proc/PID/stat field 22
    std::uint64_t epoch = 0;
    std::uint64_t started_ns = 0;  // CLOCK_REALTIME
    std::uint64_t turns = 0;
    std::uint64_t largest_message = 0;
    bool stopping = false;
};

// Of a region or of an account of the tree (shm/usage.hpp).
struct RegionUse {
    std::uint64_t capacity = 0;  // of an account: its limit, 0: none
    std::uint64_t used = 0;
    std::uint64_t peak = 0;
};

struct PartsUse {
    RegionUse producer;
    RegionUse consumer;
};

// Who holds most of what is waited for.
struct HolderFacts {
    std::uint64_t bytes = 0;
    std::string destination;
    std::uint32_t pid = 0;  // 0: the producer has left
    std::string name;       // of the process
};

// Why the producers of a destination wait (shm/usage.hpp).
struct ShortageFacts {
    WaitReason reason = WaitReason::none;  // none: nobody waits
    LimitLevel level = LimitLevel::none;
    std::uint64_t used = 0;  // at that level, bytes
    std::uint64_t capacity = 0;
    std::uint64_t since_ns = 0;  // CLOCK_MONOTONIC
    Freeable freeable = Freeable::by_several;
    std::uint32_t only_pid = 0;        // by_one: whose reading could free it
    std::vector<HolderFacts> holders;  // the largest first
};

struct DestinationBooks {
    std::uint32_t slot = 0;
    std::string name;  // with scheme
    std::uint32_t producers = 0;
    std::uint32_t consumers = 0;
    std::uint32_t blocked_producers = 0;
    std::uint64_t messages_in = 0;
    std::uint64_t messages_out = 0;
    std::uint64_t depth_messages = 0;
    std::uint64_t depth_bytes = 0;
    std::uint64_t direct_bytes = 0;
    std::uint64_t disk_bytes = 0;
    std::uint64_t redelivered = 0;
    std::uint64_t damaged = 0;
    std::uint64_t dropped = 0;
    std::uint64_t dropped_newest = 0;
    std::uint64_t limit = 0;
    RegionUse direct;  // both parts
    PartsUse direct_parts;
    RegionUse heap;
    ShortageFacts shortage;
    std::uint64_t settled_ns = 0;  // CLOCK_MONOTONIC of the books
    std::uint64_t birth = 0;
    bool moving = false;  // the books changed during every look
};

struct DiskFacts {
    bool flowing = false;
    DiskTrouble trouble = DiskTrouble::none;
    std::uint32_t trouble_errno = 0;
    std::uint64_t bytes_written = 0;
    std::uint64_t bytes_read = 0;
    std::uint64_t written_per_s = 0;
    std::uint64_t read_per_s = 0;
    std::uint64_t pages_lost = 0;
};
// Until what is free is used up when it grows by so many bytes a second; 0: it does not grow.
std::uint64_t seconds_until_full(const RegionUse& use, std::uint64_t growth_per_s) noexcept;
// Bytes a second by which more is written to disk than read from it.
std::uint64_t growth_per_s(const DiskFacts& disk) noexcept;

struct LaneFacts {
    LaneId lane = 0;
    SlotState state = SlotState::free;
    std::string destination;       // empty if its slot is not in use
    std::uint64_t session_id = 0;  // 0: its producer is gone
    std::uint64_t messages_in = 0;
    std::uint64_t direct_bytes = 0;
    std::uint64_t window_bytes = 0;
    WaitReason reason = WaitReason::none;
    std::uint64_t waiting_since_ns = 0;  // CLOCK_MONOTONIC, 0: not waiting
};

struct SubscriptionFacts {
    std::uint32_t slot = 0;
    SubscriptionKind kind = SubscriptionKind::exclusive;
    std::string pattern;
    std::uint64_t session_id = 0;
    std::uint32_t prefetch = 0;
    std::uint64_t birth = 0;
    std::uint32_t destination = 0;  // slot number + 1, 0: a pattern
    std::uint64_t messages_out = 0;
    std::uint64_t depth_messages = 0;
    std::uint64_t dropped = 0;
    std::uint64_t lost = 0;
};

struct SessionFacts {
    std::uint32_t slot = 0;
    std::uint64_t id = 0;
    std::uint32_t pid = 0;
    std::string name;
    std::uint32_t uid = 0;
    std::uint32_t lanes = 0;
    std::uint32_t subscriptions = 0;
    std::uint64_t direct_bytes = 0;
    RegionUse direct;
    RegionUse heap;
};

struct UserFacts {
    std::uint32_t uid = 0;
    std::uint32_t sessions = 0;
    std::uint32_t lanes = 0;
    std::uint32_t subscriptions = 0;
    RegionUse direct;
    RegionUse heap;
};

// The broker's own recount (core/broker/recount.hpp): books minus what it counted.
struct SelfFacts {
    std::int64_t direct = 0;
    std::int64_t heap = 0;
    std::int64_t messages = 0;
    std::uint64_t passes = 0;
    std::uint64_t drifts = 0;
    bool resting = false;
};

struct Snapshot {
    BrokerFacts broker;
    RegionUse direct;
    RegionUse heap;
    RegionUse disk;
    std::uint64_t direct_growth_per_s = 0;
    DiskFacts disk_activity;
    PartsUse direct_parts;
    PartsUse heap_parts;
    RegionUse heap_tables;
    RegionUse heap_sessions;
    SelfFacts self;
    std::vector<DestinationBooks> destinations;
    std::vector<LaneFacts> lanes;
    std::vector<SubscriptionFacts> subscriptions;
    std::vector<SessionFacts> sessions;
    std::vector<UserFacts> users;
};

// `view` has passed ControlView::check.
Snapshot take_snapshot(const ControlView& view);

const char* name_of(SlotState state) noexcept;
// One word, and a sentence with the cure.
const char* name_of(DiskTrouble trouble) noexcept;
const char* explain(DiskTrouble trouble) noexcept;
const char* name_of(WaitReason reason) noexcept;
const char* name_of(LimitLevel level) noexcept;
const char* name_of(SubscriptionKind kind) noexcept;

}  // namespace weir::inspect

#endif  // WEIR_CORE_INSPECT_SNAPSHOT_HPP
