// SPDX-License-Identifier: Apache-2.0
//
// What accounts hold, and why a producer waits, as `control` shows it to clients and tools.
//
// The account tree of either resource, and where its nodes stand:
//
//      broker                        Superblock.direct, .heap
//      +-- its own tables            Superblock.heap_tables            heap-like only
//      +-- sessions and exchange     Superblock.heap_sessions          heap-like only
//      +-- producer part             Superblock.direct_parts.producer, .heap_parts.producer
//      |     +-- destination         DestinationSlot.direct_parts.producer
//      |           +-- lane          LaneSlot.direct_bytes
//      +-- consumer part             ... .consumer
//            +-- destination         ... .consumer
//                  +-- subscription  SubscriptionSlot.direct_bytes
//
// A destination's limit is for both parts: DestinationSlot.direct, .heap. Sessions and users are no
// nodes but attributes of charges: SessionSlot and UserSlot hold their sums.
//
// Numbers are for people and each is read alone; what belongs together stands in a Shortage.
#ifndef WEIR_SHM_USAGE_HPP
#define WEIR_SHM_USAGE_HPP

#include <atomic>
#include <cstdint>

namespace weir {

enum class WaitReason : std::uint32_t;  // control.hpp

struct Usage {
    std::atomic<std::uint64_t> used;
    std::atomic<std::uint64_t> peak;
    std::atomic<std::uint64_t> limit;  // 0: none. Of a part: its share; above it, it has borrowed
};

struct PartsUsage {
    Usage producer;  // pages being filled and backlog; lanes
    Usage consumer;  // pages read back for consumers; subscriptions
};

// Why backlog cannot leave memory for the disk now: the reasons of io/spill_trouble.hpp.
enum class DiskTrouble : std::uint32_t {
    none = 0,
    limit = 1,        // as much is on disk as may be
    disk_full = 2,    // the file system, or a quota, has no room
    disk_error = 3,   // the disk fails
    gone = 4,         // the directory is not there
    denied = 5,       // no permission, or mounted read-only
    unsupported = 6,  // the file system cannot reserve space
    exhausted = 7,    // no memory or descriptors for another file
};

// What the disk does for backlog, beside how much of it is in use (Superblock.disk).
struct DiskActivity {
    std::atomic<std::uint32_t> flowing;  // 1: backlog is leaving memory
    std::atomic<DiskTrouble> trouble;
    std::atomic<std::uint32_t> trouble_errno;  // 0: no system call failed
    std::atomic<std::uint32_t> reserved;
    std::atomic<std::uint64_t> bytes_written;
    std::atomic<std::uint64_t> bytes_read;
    std::atomic<std::uint64_t> written_per_s;  // bytes, of the last second
    std::atomic<std::uint64_t> read_per_s;
    std::atomic<std::uint64_t> pages_lost;  // could not be read back
};
static_assert(sizeof(DiskActivity) == 56);

// The account at which a request met its limit.
enum class LimitLevel : std::uint32_t {
    none = 0,
    broker = 1,
    producer_part = 2,
    consumer_part = 3,
    destination = 4,
    session = 5,
    user = 6,
    disk = 7,
};

// Who holds most of what is waited for: the bytes of one session in one destination.
struct Holder {
    std::atomic<std::uint64_t> bytes;        // 0: there are no more holders
    std::atomic<std::uint32_t> destination;  // slot number
    std::atomic<std::uint32_t> session;      // slot number, if `pid` is not 0
    std::atomic<std::uint32_t> pid;          // its process; 0: the producer has left
    std::atomic<std::uint32_t> reserved;
};
inline constexpr std::size_t holders_shown = 3;

// Whose reading could free it.
enum class Freeable : std::uint32_t {
    by_several = 0,  // processes
    by_one = 1,      // `only_pid` alone consumes what holds it
    by_nobody = 2,   // nothing that holds it has a consumer
};

// What the producers of a destination wait for; one per destination, that of the last who began to
// wait. Written between two steps of `generation`, which is odd meanwhile.
struct Shortage {
    std::atomic<std::uint32_t> generation;
    std::atomic<WaitReason> reason;  // none: nobody waits
    std::atomic<LimitLevel> level;
    std::atomic<Freeable> freeable;
    std::atomic<std::uint32_t> only_pid;
    std::atomic<std::uint32_t> only_session;  // slot number of a session of it
    std::atomic<std::uint64_t> used;          // bytes, or messages (unit_of the reason)
    std::atomic<std::uint64_t> capacity;      // as above
    std::atomic<std::uint64_t> since_ns;      // CLOCK_MONOTONIC
    Holder holders[holders_shown];            // the largest first
};
static_assert(sizeof(Shortage) == 48 + holders_shown * 24);

}  // namespace weir

#endif
