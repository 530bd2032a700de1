// SPDX-License-Identifier: Apache-2.0
//
// The broker's own tables: what it knows about lanes, destinations, subscriptions and sessions
// beside what stands in `control`.
//
// The slots in `control` are for others to read; these objects are what the broker decides by.
// Everything that clients write (cells, notes, cursors, page headers) is reached from here through
// mappings and is checked against these objects before it means anything.
//
//   Session ---- ExchangeBlocks ---- pieces of its producers and consumers
//      |
//      +-- Lane ---------- Destination
//      |     pages, window    |  lanes, consumers, pending redelivery
//      +-- Subscription ------+
//
//   T1  a lane's `pages` are its chain in order of position, and all end at or before `next_start`
//   T2  an accepted cursor only grows, and lies inside what the lane has handed out
//   T3  an object holds the charges of what it is made of; ending the object returns them
//       (accounts.hpp)
//
// Members stand in an order in which their destructors, from the last to the first, find their
// accounts.
#ifndef WEIR_CORE_BROKER_TABLES_HPP
#define WEIR_CORE_BROKER_TABLES_HPP

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/allocated.hpp"
#include "core/base/clock.hpp"
#include "core/base/deque.hpp"
#include "core/base/slots.hpp"
#include "core/broker/accounts.hpp"
#include "core/broker/exchange_blocks.hpp"
#include "core/broker/head_start.hpp"
#include "core/broker/limit_options.hpp"
#include "core/broker/meter.hpp"
#include "core/broker/pace.hpp"
#include "core/broker/page_allocator.hpp"
#include "core/broker/policy_set.hpp"
#include "core/broker/spilled_runs.hpp"
#include "shm/claims.hpp"
#include "shm/control_region.hpp"
#include "shm/signals.hpp"

namespace weir::broker {

inline constexpr std::uint32_t nobody = 0xffffffff;  // no slot

// A page of a lane.
struct Page {
    PageRef ref = 0;
    std::uint32_t units = 0;
    Position start = 0;
    // Messages of this lane before the page; known once the broker's count came this far.
    std::uint64_t messages_before = 0;
    std::uint64_t payload_before = 0;
    std::uint64_t order = 0;  // pages of all lanes are numbered as they are granted
    Charge charge;
    io::Extent copy{no_file, 0};  // where the same bytes are on disk, if they are

    bool has_copy() const noexcept { return copy.file != no_file; }
    Bytes bytes() const noexcept { return units * page_unit; }
    Position end() const noexcept { return start + bytes(); }
    Position first_record() const noexcept { return start + page_header_bytes; }
};

// How many messages lie before a position: remembered, so that the next count starts there.
struct CountedPlace {
    Position position = 0;
    std::uint64_t messages = 0;
    std::uint64_t payload = 0;
};

// Messages that were given up behind what a subscription still holds.
struct Gap {
    Position from = 0;
    std::uint64_t messages = 0;
    std::uint64_t payload = 0;
};

// How fast a position is moved on: what is read back ahead of it follows that.
struct Drain {
    Position to = 0;
    std::uint64_t at_ns = 0;
    Bytes per_s = 0;
};

// What a reader had before it at the broker's last look around (watch.hpp).
struct Standing {
    bool awaited = false;  // there was something for it
    std::uint64_t at = 0;  // which grows when it moves on

    // Notes how it is now. True: there was something all the time, and it has not moved.
    bool stands(bool awaited_now, std::uint64_t at_now) noexcept {
        const bool still = awaited && awaited_now && at == at_now;
        awaited = awaited_now;
        at = at_now;
        return still;
    }
};

// An exclusive subscription on one lane.
struct Attachment {
    std::uint32_t subscription = nobody;
    std::uint32_t place = 0;  // in its piece (lane_places.hpp)
    Position cursor = 0;      // last accepted
    CountedPlace counted;
    Drain drain;
    std::uint64_t messages_at_start = 0;  // of the lane when the subscription began
    std::uint64_t dropped = 0;            // given up before the cursor
    std::vector<Gap> gaps;                // and at or behind it, in order
    Standing standing;
    Charge charge;

    // Messages that it has read.
    std::uint64_t messages_out() const noexcept {
        const std::uint64_t passed = counted.messages - messages_at_start;
        return counted.messages > messages_at_start && passed > dropped ? passed - dropped : 0;
    }
    // Messages that it would have read and will not, as far as they lie behind the cursor.
    std::uint64_t payload_missing() const noexcept {
        std::uint64_t missing = 0;
        for (const Gap& gap : gaps) missing += gap.payload;
        return missing;
    }
    std::uint64_t messages_missing() const noexcept {
        std::uint64_t missing = 0;
        for (const Gap& gap : gaps) missing += gap.messages;
        return missing;
    }
};

// Messages of one page that are to be delivered again. Masks as in an in-flight note.
struct Range {
    LaneId lane = 0;
    std::uint32_t count = 0;
    Position from = 0;
    Position to = 0;
    std::uint64_t due = 0;
    std::uint64_t redelivered = 0;
    Charge charge;
};

// A range that was written into a consumer's ring of assignments.
struct Outstanding {
    std::uint64_t number = 0;
    Range range;
};

// Where a lane waits (waiting.cpp).
enum class LineKind {
    broker,       // for memory that all have in common
    destination,  // for what its destination may have
    apart,        // for what only its session or user may have: it is in nobody's way
};

// Lanes in the order in which they are served. The clock counts bytes.
struct WaitingLine {
    Numbers lanes;
    std::uint64_t clock = 0;
    std::uint64_t highest = 0;  // where any grant ended
    std::uint64_t left_ns = 0;  // when somebody stood in it last
};

// A page of a lane that is out of its chain, with memory (spilled_runs.hpp).
struct Leaving {
    Page page;
    std::uint64_t batch = 0;
    bool wanted = false;  // a reader has come near: it comes back when it has been written
};
enum class ArrivingState { reading, alone, sound, lost };
struct Arriving {
    Page page;
    std::uint64_t read = 0;
    ArrivingState state = ArrivingState::reading;
};

struct Lane {
    Lane(LaneId lane, std::uint32_t in, Account& producers, Account& consumers)
        : id(lane),
          destination(in),
          account(LimitLevel::none, &producers),
          read_back(LimitLevel::none, &consumers) {}

    const LaneId id;
    const std::uint32_t destination;
    Account account;    // direct-like
    Account read_back;  // direct-like: pages that came back from disk
    Charge charge;      // heap-like: this object

    SlotState state = SlotState::live;
    std::uint32_t session = nobody;
    std::uint64_t birth = 0;
    std::uint64_t closed_number = 0;  // counts closings: the highest was closed last
    bool ending_known = false;        // closed: its tail has been found

    Deque<Page> pages;
    Position next_start = 0;  // where the page granted next begins

    // The producer. Pages that end at or before `producer_from` are behind it whatever its cell
    // says.
    ProducerCell* cell = nullptr;
    Piece piece;
    Position producer_from = 0;
    bool start_is_shown = false;  // LaneSlot.producer_page names a page of this lane
    PageRef revoked_page = 0;     // taken from the idle producer, which has not seen it yet
    std::uint64_t revocations = 0;

    // The window.
    Bytes window = page_unit;
    Bytes record_recent = 0;  // the largest record asked for lately
    std::uint64_t asked_ns = 0;
    std::uint64_t stepped_ns = 0;  // when `grants` was stepped last
    std::uint64_t granted_ns = 0;  // when a request was granted last
    std::uint64_t due_ns = 0;      // postponed until then, 0: it is not (grants.hpp)

    // Waiting for a grant (waiting.cpp).
    bool waiting = false;
    Bytes piece_lacking = 0;             // while waiting: so much is free, but not in one piece
    LineKind line = LineKind::broker;    // while waiting: where
    std::uint64_t tag = 0;               // its place in that line
    Bytes passed_by = 0;                 // bytes that later requests got while this one was first
    std::uint64_t finish_in_broker = 0;  // what it was given, on the clock of the broker's line
    std::uint64_t finish_in_destination = 0;  // and of its destination's
    LaneMeter meter;

    // Counting (counting.hpp).
    CountedPlace counted;  // everything before it is complete and counted
    std::uint64_t damaged = 0;

    // Reading positions.
    Position queue_cursor = 0;  // queue: last accepted position of the shared cursor
    CountedPlace queue_counted;
    std::vector<Attachment> attachments;
    Standing standing;  // queue: of its consumers

    // Out of memory: all three by position.
    SpilledRuns spilled;
    std::vector<Charge> run_charges;  // heap-like: each for `charged_runs` of them
    Deque<Leaving> leaving;
    Deque<Arriving> arriving;
    Position lost_counted_to = 0;  // what was lost before it is part of `damaged`
    Position unneeded_to = 0;      // what was out before it and is gone was not lost
    Drain drain;                   // queue: of the cursor

    bool anything_out() const noexcept {
        return !spilled.empty() || !leaving.empty() || !arriving.empty();
    }
    bool live() const noexcept { return state == SlotState::live; }
    Bytes granted() const noexcept { return account.used() + read_back.used(); }
};

// What all lanes of an exclusive subscription have for it, and have given it (books.cpp).
struct SubscriptionSums {
    std::uint64_t depth_messages = 0;
    std::uint64_t messages_out = 0;
};

struct Subscription {
    std::uint32_t slot = nobody;
    std::uint32_t session = nobody;
    SubscriptionKind kind = SubscriptionKind::exclusive;
    std::uint32_t destination = nobody;  // nobody: `pattern` has wildcards
    std::string pattern;
    Charge charge;
    Charge range_charge;  // shared: room for a range per note, split off when they become pending
    Piece place;
    ConsumerPiece piece;
    Piece wider;               // exclusive: its next piece, if `piece` is too narrow
    std::vector<bool> places;  // exclusive: taken, of the widest of both
    std::uint32_t consumer_slot = 0;
    Deque<Outstanding> outstanding;
    std::uint64_t assigned = 0;
    std::uint64_t messages_out_ended = 0;  // exclusive: from lanes that ended
    SubscriptionSums summed;
    bool quarantined = false;
    bool ended = false;  // exclusive: too slow for its topic, nothing waits for it any more
};

// What lanes and subscriptions that are gone have contributed to a destination's books.
struct EndedBooks {
    std::uint64_t messages_in = 0;
    std::uint64_t messages_out = 0;
    std::uint64_t damaged = 0;
    std::uint64_t redelivered = 0;
    std::uint64_t dropped = 0;         // messages given up, of all lanes
    std::uint64_t dropped_newest = 0;  // from producers that are gone
};

// What is published about waiting producers (shortages.hpp).
struct ShortageState {
    WaitReason reason = WaitReason::none;
    std::uint64_t since_ns = 0;
    std::uint64_t looked_ns = 0;
    std::uint64_t said_ns = 0;  // in the log, 0: never
};

struct Destination {
    Destination(std::uint32_t number, std::string full, DestinationKind what, Resource& direct,
                Resource& heap)
        : slot(number),
          name(std::move(full)),
          kind(what),
          direct_account(LimitLevel::destination, &direct.root),
          direct_producers(direct_account, direct.producers),
          direct_consumers(direct_account, direct.consumers),
          heap_account(LimitLevel::destination, &heap.root),
          heap_producers(heap_account, heap.producers),
          heap_consumers(heap_account, heap.consumers) {}

    const std::uint32_t slot;
    const std::string name;
    const DestinationKind kind;
    LimitedAccount direct_account;  // both sides: limit and reserve
    Account direct_producers;       // pages being filled, backlog
    Account direct_consumers;       // pages read back
    Account heap_account;
    Account heap_producers;  // lanes
    Account heap_consumers;  // subscriptions
    Charge charge;
    Policy policy;

    Numbers lanes;      // in the order of the chain in `control`
    Numbers consumers;  // subscription slots, wildcard ones too
    std::uint32_t producers = 0;

    Deque<Range> pending;             // redelivery, by lane and position
    Standing standing;                // of those who are to take ranges
    std::uint32_t next_consumer = 0;  // whose turn it is
    bool ranges_wait = false;         // `pending` found no consumer with a free place

    WaitingLine line;
    Meter meter;
    DrainRate drain;
    Pace pace;
    ReadingSpeed reading;
    Askers askers;

    EndedBooks ended;
    ShortageState shortage;
    std::uint64_t idle_since_ns = 0;  // 0: in use
    Bytes read_back_most = 0;         // the largest page that may have to come back from disk
    bool kept = false;                // stays although nobody uses it (policies.hpp)

    // Its consumers move its cursors, in `claims`. The cursors of a queue without any are the
    // broker's own.
    bool shares_cursors() const noexcept {
        return kind == DestinationKind::queue && !consumers.empty();
    }
};

// All sessions of one user, and what those that ended have left.
struct User {
    User(std::uint32_t number, std::uint32_t id) : slot(number), uid(id) {}

    const std::uint32_t slot;
    const std::uint32_t uid;
    LimitedAccount direct{LimitLevel::user};
    LimitedAccount heap{LimitLevel::user};
};

struct Session {
    Session(std::uint32_t number, User& of, Account& place)
        : slot(number),
          user(of),
          direct_held(LimitLevel::session, &of.direct),
          heap_held(LimitLevel::session, &of.heap),
          blocks(place, heap_held) {}

    const std::uint32_t slot;
    User& user;
    LimitedAccount direct_held;  // what is held in its name, wherever it stands
    LimitedAccount heap_held;
    Charge charge;
    ExchangeBlocks blocks;
    Numbers lanes;
    Numbers subscriptions;
    bool quarantined = false;
    bool has_direct = false;  // was given direct read-write
};

// What outlives a lane object: positions of one slot never come twice.
struct LaneHistory {
    Position next_start = position_first;
    std::uint64_t births = 0;
};

// While it exists the tables in `control` are being changed (control.hpp, C5).
class Changing {
public:
    explicit Changing(ControlRegion& control) noexcept : changes_(&control.superblock().changes) {
        // SYNC(tables_rest) acquire: odd before anything that follows is changed.
        changes_->fetch_add(1, std::memory_order_acq_rel);
    }
    ~Changing() {
        // SYNC(tables_rest) release: even, and all that was changed is visible with it.
        changes_->fetch_add(1, std::memory_order_release);
    }
    Changing(const Changing&) = delete;
    Changing& operator=(const Changing&) = delete;

private:
    std::atomic<std::uint64_t>* changes_;
};

struct Tables {
    explicit Tables(const Clock& the_clock) : clock(the_clock) {}

    const Clock& clock;
    ControlRegion control;
    Fd signals_fd;
    Mapping signals_mapping;
    SignalsView signals;
    Fd claims_fd;
    Mapping claims_mapping;
    ClaimsView claims;
    Fd direct_fd;
    Fd direct_read_only;
    Mapping direct_mapping;
    PageView pages;

    Resource direct;
    Resource heap;
    Account heap_tables{LimitLevel::broker, &heap.root};    // control, signals, claims, tables
    Account heap_sessions{LimitLevel::broker, &heap.root};  // session objects, exchange
    Charge fixed_charge;
    PageAllocator units;
    PolicySet policies;  // in force (policies.hpp)

    LimitOptions limits;  // of the whole broker, sessions and users

    std::vector<LaneHistory> histories;
    Slots<User> users;
    Slots<Destination> destinations;
    std::vector<std::uint32_t> by_name;  // slots of destinations in order of their names
    Slots<Session> sessions;
    Slots<Subscription> subscriptions;
    Slots<Lane> lanes;
    std::uint64_t sessions_ever = 0;
    std::uint64_t subscriptions_ever = 0;
    std::uint64_t closings_ever = 0;
    std::uint64_t pages_moved = 0;  // counts pages that came or went anywhere
    std::uint64_t pages_ever = 0;
    bool stopping = false;
    std::uint32_t hunger = 0;  // of Hunger
    // Flow to disk (flow.hpp): places on disk of pages that were freed; why backlog cannot leave
    // memory now.
    std::vector<std::pair<io::Extent, Bytes>> copies_freed;
    WaitReason disk_reason = WaitReason::none;
    Bytes growth_from = 0;  // direct memory in use at growth_from_ns
    std::uint64_t growth_from_ns = 0;
    bool has_disk = false;
    Bytes direct_huge = 0;       // of direct memory, in huge pages
    bool direct_failed = false;  // a later slice of direct could not be allocated

    Lane* lane(LaneId id) const noexcept { return id < lanes.size() ? lanes[id] : nullptr; }
    Destination& destination_of(const Lane& lane) const noexcept {
        return *destinations[lane.destination];
    }
    // Null: there is none of that name.
    Destination* destination_named(std::string_view name) const noexcept;
    void enter_name(const Destination& destination);
    void strike_name(const Destination& destination) noexcept;
    LaneSlot& slot(const Lane& lane) noexcept { return control.lane(lane.id); }
    DestinationSlot& slot(const Destination& destination) noexcept {
        return control.destination(destination.slot);
    }

    // Why consumers that pass a page have to ring: lanes wait for memory, ranges for a free place,
    // or pages are on disk and have to come back before they are read.
    enum class Hunger : std::uint32_t { waiting_lanes = 1, pending_ranges = 2, pages_on_disk = 4 };
    // True if the word was 0 before: who passed a page without ringing has set its bit by then.
    bool set_hungry(Hunger why, bool hungry) noexcept;

    // How many ranges of a queue the broker holds: pending, and assigned to consumers.
    void show_ranges(const Destination& queue) noexcept;

    // A lane or subscription came or went: readers of the destination look at its lanes again.
    void step_generations(Destination& destination) noexcept;
    // Wakes all who sleep for this destination or for any.
    void wake_sleepers(const Destination& destination) noexcept;
    void mark_ready(const Lane& lane) noexcept;
};

}  // namespace weir::broker

#endif
