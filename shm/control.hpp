// SPDX-License-Identifier: Apache-2.0
//
// `control`: the region that only the broker writes. Clients and reading tools map it read-only.
//
//      0            4096                                                              bytes
//      +------------+------------+---------+---------------+----------+---------------+
//      | superblock | destination| lanes   | subscriptions | sessions | page slots    |
//      |            | slots      |         |               | and users| one per 4 KiB |
//      +------------+------------+---------+---------------+----------+---------------+
//                   ^ carved once at start by a managed Boost.Interprocess heap; the superblock
//                     holds the offsets
//
// Every slot has a state word that is written last when it comes into use and first when it goes
// out of use. Everything is addressed by offset or slot number. Nothing here holds a lock.
//
//   C1  only the broker stores into this region
//   C2  a slot's state word is the last store of its making (release) and the first of its ending
//   C3  the superblock's magic is written last: a region without it was never finished
//   C4  books of a destination are consistent while `books_generation` is even and unchanged
//   C5  all tables are consistent with one another while `changes` is even and unchanged
#ifndef WEIR_SHM_CONTROL_HPP
#define WEIR_SHM_CONTROL_HPP

#include "shm/census.hpp"
#include "shm/page.hpp"
#include "shm/units.hpp"
#include "shm/usage.hpp"

namespace weir {

inline constexpr std::uint64_t control_magic = 0x314c4f5254'4e4f43;  // "CONTROL1", little endian
inline constexpr std::uint32_t layout_version = 6;
inline constexpr std::size_t name_bytes = 256;  // 255 characters and a zero

enum class SlotState : std::uint32_t { free = 0, live = 1, closed = 2, quarantined = 3, ended = 4 };
enum class DestinationKind : std::uint32_t { queue = 1, topic = 2 };

// Why a producer has no grant. Written by the broker, read by the waiting producer and by tools.
enum class WaitReason : std::uint32_t {
    none = 0,
    direct_full = 1,        // the direct region is granted, up to what others have reserved
    direct_fragmented = 2,  // enough is free, but not in one piece
    heap_full = 3,          // heap-like memory is short
    broker_stopping = 4,
    lane_exhausted = 5,     // the lane reached position_limit: open the producer again
    destination_limit = 6,  // its destination holds as much direct memory as its policy allows
    part_full = 7,          // the producer part is used up and the consumer part lends nothing
    session_limit = 8,      // its session holds as much as one session may
    user_limit = 9,         // its user's sessions together do
    rate_limit = 10,        // its destination's rate is used up for now
    depth_limit = 11,       // its destination holds as many messages as its policy allows
    disk_full = 12,         // backlog cannot flow to disk: its limit or the file system is full
    disk_error = 13,        // backlog cannot flow to disk: the disk refuses
    never_fits = 14,        // its page is larger than a limit on the way: waiting is in vain
    pace = 15,              // its destination is above high-water: it is granted what is drained
};

// What `used` and `capacity` of a Shortage count.
enum class ShortageUnit { bytes, messages, nothing };
constexpr ShortageUnit unit_of(WaitReason reason) noexcept {
    if (reason == WaitReason::depth_limit) return ShortageUnit::messages;
    return reason == WaitReason::rate_limit ? ShortageUnit::nothing : ShortageUnit::bytes;
}

// What a send does when there is no grant (DESIGN: throttling).
enum class Overflow : std::uint32_t {
    block = 0,        // waits, with the caller's deadline if there is one
    fail = 1,         // fails at once
    fail_after = 2,   // waits for PolicySlot.fail_after_ns, then fails
    drop_oldest = 3,  // makes room by giving up the oldest backlog: a ring
    drop_newest = 4,  // gives up the message that was to be sent
};
enum class FlowToDisk : std::uint32_t { automatic = 0, never = 1 };
// What a subscription of a topic that is too slow does to the topic.
enum class SlowSubscriber : std::uint32_t { throttle = 0, drop_oldest = 1, end = 2 };

struct Limits {
    std::uint64_t direct_bytes;
    std::uint64_t heap_bytes;
    std::uint64_t largest_message;  // payload plus envelope, bytes
    std::uint64_t control_bytes;
    std::uint64_t signals_bytes;
    std::uint64_t claims_bytes;
    std::uint32_t destinations;  // table lengths
    std::uint32_t lanes;
    std::uint32_t subscriptions;
    std::uint32_t sessions;
    std::uint32_t users;
    std::uint32_t reserved;
    std::uint64_t pages;  // page slots = direct_bytes / page_unit
};

// How many of each one session, and all sessions of one user, may have. Their limits in bytes stand
// beside their use.
struct HolderCounts {
    std::uint32_t session_lanes;
    std::uint32_t session_subscriptions;
    std::uint32_t user_sessions;
    std::uint32_t user_lanes;
    std::uint32_t user_subscriptions;
    std::uint32_t reserved;
};

struct Offsets {  // bytes from the start of `control`
    std::uint64_t destinations;
    std::uint64_t lanes;
    std::uint64_t subscriptions;
    std::uint64_t sessions;
    std::uint64_t users;
    std::uint64_t pages;
};

struct Superblock {
    std::atomic<std::uint64_t> magic;
    std::uint32_t version;
    std::uint32_t reserved;
    std::uint64_t fingerprint;  // layout_fingerprint() of the broker's build
    std::uint64_t epoch;        // counts the brokers that had this name on this boot, from 1
    std::uint64_t started_ns;   // CLOCK_REALTIME
    std::uint32_t broker_pid;
    std::uint32_t broker_uid;
    std::uint64_t broker_start_time;  // /proc/PID/stat field 22: tells a reused pid apart
    char name[40];
    char boot_id[40];
    Limits limits;
    HolderCounts holder_counts;
    Offsets offsets;
    HeapSizes heap_sizes;
    Descriptors descriptors;

    alignas(line_distance) std::atomic<std::uint32_t> lanes_generation;  // any lane came or went
    std::atomic<std::uint32_t> stopping;
    std::atomic<std::uint32_t> life;  // life.hpp

    alignas(line_distance) Usage direct;
    Usage heap;
    Usage disk;
    DiskActivity disk_activity;
    PartsUsage direct_parts;
    PartsUsage heap_parts;
    Usage heap_tables;                 // fixed tables and regions
    Usage heap_sessions;               // session objects and their exchange
    std::atomic<std::uint64_t> turns;  // the broker's turns, as a sign of life

    alignas(line_distance) std::atomic<std::uint64_t> changes;  // odd while tables are changed
    SelfCount self_count;
    std::atomic<std::uint64_t> policies_bytes;       // heap-like memory of the policies in force
    std::atomic<std::uint64_t> direct_growth_per_s;  // bytes, since the tick before; 0: it shrinks
};
static_assert(sizeof(Superblock) <= 4096);

struct Books {  // written by the broker between two steps of books_generation
    std::atomic<std::uint64_t> messages_in;
    std::atomic<std::uint64_t> messages_out;
    std::atomic<std::uint64_t> depth_messages;
    std::atomic<std::uint64_t> depth_bytes;  // payload bytes
    std::atomic<std::uint64_t> direct_bytes;
    std::atomic<std::uint64_t> disk_bytes;
    std::atomic<std::uint64_t> redelivered;
    std::atomic<std::uint64_t> damaged;  // records that were skipped because they were nonsense
    std::atomic<std::uint64_t> dropped;  // messages given up to make room, the oldest first
    std::atomic<std::uint64_t> dropped_newest;  // messages that their producers gave up unsent
};

// The policy in force for a destination, for its producers and for tools. Only the broker acts by
// limits; clients read what a send does when there is no grant. Each field is read alone.
struct PolicySlot {
    std::atomic<Overflow> overflow;
    std::atomic<FlowToDisk> flow_to_disk;
    std::atomic<SlowSubscriber> slow_subscriber;
    std::atomic<std::uint32_t> max_producers;    // 0: no limit
    std::atomic<std::uint32_t> max_consumers;    // 0: no limit
    std::atomic<std::uint32_t> page_bytes;       // 0: the broker chooses
    std::atomic<std::uint64_t> limit;            // bytes of direct memory, 0: none
    std::atomic<std::uint64_t> reserve;          // bytes of direct memory, always available
    std::atomic<std::uint64_t> high_water;       // bytes of direct memory; 0: none
    std::atomic<std::uint64_t> largest_message;  // payload plus envelope, bytes
    std::atomic<std::uint64_t> fail_after_ns;
    std::atomic<std::uint64_t> rate_bytes;     // payload bytes a second, 0: no limit
    std::atomic<std::uint64_t> rate_messages;  // messages a second, 0: no limit
    std::atomic<std::uint64_t> max_depth;      // messages, 0: no limit
};

struct DestinationSlot {
    std::atomic<SlotState> state;
    DestinationKind kind;
    std::atomic<std::uint32_t> lanes_generation;  // a lane of this destination came or went
    std::atomic<std::uint32_t> first_lane;  // LaneId + 1 of the chain through next_lane, 0: none
    std::atomic<std::uint32_t> producers;
    std::atomic<std::uint32_t> consumers;
    std::atomic<std::uint32_t> blocked_producers;
    std::atomic<std::uint32_t> books_generation;  // odd while the books change
    std::uint64_t birth;
    PolicySlot policy;
    Books books;
    Usage direct;  // both parts
    PartsUsage direct_parts;
    Usage heap;
    Shortage shortage;
    // All ranges the broker holds, and what consumers that died held and nobody was given yet.
    std::atomic<std::uint32_t> ranges;
    std::atomic<std::uint32_t> ranges_waiting;  // of them, those for which no consumer had a place
    std::atomic<std::uint64_t> pending_messages;
    std::atomic<std::uint64_t> pending_bytes;
    std::atomic<std::uint64_t> settled_ns;  // CLOCK_MONOTONIC of these books
    char name[name_bytes];                  // with scheme, zero-terminated
};
static_assert(sizeof(DestinationSlot) == 712);

// How far a producer may write, in one word:
//
//   stop word     63            54 53 52                                0
//                 +---------------+--+----------------------------------+
//                 | revocations   | 0| position: nothing is written at  |
//                 | (mod 1024)    |  | or above it                      |
//                 +---------------+--+----------------------------------+
//
// Revocations count how often the page that an idle producer was writing was taken. They stand in
// the same word because the stop rises again with the next grant: a producer that slept through
// both would find room below the stop and write into the page that it lost (found by the stress
// test "retract"). One that compares the whole word does not, at no cost. A lane is not revoked
// twice before its producer has entered a new page, so the count cannot come round unnoticed.
constexpr std::uint64_t stop_word(Position position, std::uint64_t revocations) noexcept {
    return (revocations % 1024) << 54 | position;
}
constexpr Position stop_position(std::uint64_t word) noexcept {
    return word & (position_limit - 1);
}
constexpr std::uint64_t stop_revocations(std::uint64_t word) noexcept { return word >> 54; }
// May a producer that knows of `revocations` write up to `end`? One subtraction decides both.
// Positions are below 2^53, so a position below `end` borrows from the top, and another count
// leaves at least 2^54 - 2^53 in the difference, whatever the positions are. That is what the zero
// bit is for.
constexpr bool stop_allows(std::uint64_t word, std::uint64_t revocations, Position end) noexcept {
    return word - (revocations << 54) - end < position_limit;
}
static_assert(position_limit == Position{1} << 53);
static_assert(stop_allows(stop_word(100, 3), 3, 100) && !stop_allows(stop_word(100, 3), 3, 101));
static_assert(!stop_allows(stop_word(100, 4), 3, 50) && !stop_allows(stop_word(50, 4), 3, 100));
static_assert(!stop_allows(stop_word(100, 0), 1023, 50) &&
              !stop_allows(stop_word(50, 0), 1023, 99));

// The first line is what a producer loads for each record; the broker stores into it rarely.
struct LaneSlot {
    alignas(line_distance) std::atomic<std::uint64_t> stop_and_revocations;  // a stop word
    std::atomic<std::uint32_t> grants;   // futex word: stepped at each grant and change of reason
    std::atomic<WaitReason> reason;      // why the last request was not granted
    std::atomic<PageRef> first_page;     // oldest page still linked, 0: none
    std::atomic<PageRef> producer_page;  // where the producer starts when it has no page
    std::atomic<std::uint64_t> window_bytes;  // how far ahead the stop is kept; 0: ask each time
    // A meter: what may be sent beside the stop, in the producer's own count (ProducerCell.sent_*).
    // Rates and depths are of messages and payload, while positions also count headers and page
    // ends. The producer may send while its count stays below; 0: not metered.
    std::atomic<std::uint64_t> message_stop;
    std::atomic<std::uint64_t> payload_stop;

    alignas(line_distance) std::atomic<SlotState> state;
    std::atomic<std::uint32_t> destination;  // slot number
    std::atomic<std::uint32_t> session;      // slot number
    std::atomic<std::uint32_t> next_lane;    // LaneId + 1 in the destination's chain, 0: last
    std::atomic<std::uint64_t> birth;        // which use of this slot, from 1
    std::atomic<std::uint64_t> messages_in;
    std::atomic<std::uint64_t> direct_bytes;
    std::atomic<std::uint64_t> waiting_since_ns;  // CLOCK_MONOTONIC, 0: not waiting
    std::atomic<std::uint64_t> queue_cursor;      // queue: the shared cursor as last accepted
    std::atomic<std::uint64_t> floor;  // position below which backlog was given up, 0: none was
    std::atomic<std::uint64_t> run_charges;  // for what is on disk, see HeapSizes.run_charge
};
static_assert(sizeof(LaneSlot) == 2 * line_distance);

enum class SubscriptionKind : std::uint32_t { exclusive = 1, shared = 2 };

struct SubscriptionSlot {  // one per consumer
    std::atomic<SlotState> state;
    SubscriptionKind kind;
    std::uint32_t session;        // slot number
    std::uint32_t destination;    // slot number + 1, 0: `pattern` has wildcards
    std::uint32_t consumer_slot;  // shared: the claimant's number in `claims`, from 1
    std::uint32_t prefetch;
    std::uint64_t birth;
    // Its piece: shown_descriptor of the block, where it is in it, and its notes (shared) or places
    // (exclusive).
    std::atomic<std::uint32_t> exchange_descriptor;
    std::atomic<std::uint32_t> exchange_offset;
    std::atomic<std::uint32_t> piece_entries;
    std::atomic<std::uint32_t> lost;  // messages whose page could not be read back for it
    std::atomic<std::uint64_t> messages_out;
    std::atomic<std::uint64_t> depth_messages;
    std::atomic<std::uint64_t> direct_bytes;  // pages read back for it
    std::atomic<std::uint64_t> dropped;       // messages that were given up before it read them
    char pattern[name_bytes];
};
static_assert(sizeof(SubscriptionSlot) == 336);

struct SessionSlot {
    std::atomic<SlotState> state;
    std::uint32_t pid;
    std::uint32_t uid;
    std::uint32_t user;  // slot number
    std::uint64_t id;    // counts sessions from 1
    std::uint64_t start_time;
    std::atomic<std::uint32_t> lanes;
    std::atomic<std::uint32_t> subscriptions;
    Usage direct;  // what was granted to it and is not freed
    Usage heap;
    char name[64];
};
static_assert(sizeof(SessionSlot) == 152);

// All sessions of one user, and what sessions that ended have left behind.
struct UserSlot {
    std::atomic<SlotState> state;
    std::uint32_t uid;
    std::atomic<std::uint32_t> sessions;
    std::atomic<std::uint32_t> lanes;
    std::atomic<std::uint32_t> subscriptions;
    std::uint32_t reserved;
    Usage direct;
    Usage heap;
};
static_assert(sizeof(UserSlot) == 72);

// A number that differs when two builds would read each other's bytes differently. Sizes and
// offsets of all shared structures are folded in; change `layout_version` when the meaning changes
// but no size does.
std::uint64_t layout_fingerprint() noexcept;

// Typed read access to a mapped `control`. The broker has its own view that writes.
struct ControlView {
    const std::byte* base = nullptr;
    Limits limits{};  // private copy, taken once after the checks

    const Superblock& superblock() const noexcept { return *at<Superblock>(0); }
    const DestinationSlot& destination(std::uint32_t slot) const noexcept {
        return at<DestinationSlot>(offsets.destinations)[slot];
    }
    const LaneSlot& lane(LaneId lane) const noexcept { return at<LaneSlot>(offsets.lanes)[lane]; }
    const SubscriptionSlot& subscription(std::uint32_t slot) const noexcept {
        return at<SubscriptionSlot>(offsets.subscriptions)[slot];
    }
    const SessionSlot& session(std::uint32_t slot) const noexcept {
        return at<SessionSlot>(offsets.sessions)[slot];
    }
    const UserSlot& user(std::uint32_t slot) const noexcept {
        return at<UserSlot>(offsets.users)[slot];
    }
    const PageSlot* pages() const noexcept { return at<PageSlot>(offsets.pages); }

    Offsets offsets{};

    // Checks magic, version, fingerprint and that every table lies inside `bytes`. Null when it is
    // usable, else what is wrong, for a sentence.
    static const char* check(const std::byte* base, std::uint64_t bytes) noexcept;
    static ControlView of(const std::byte* base) noexcept;

private:
    template <class T>
    const T* at(std::uint64_t offset) const noexcept {
        return reinterpret_cast<const T*>(base + offset);  // NOLINT: shared bytes have this layout
    }
};

}  // namespace weir

#endif
