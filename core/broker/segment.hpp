// SPDX-License-Identifier: Apache-2.0
//
// The memory half of the broker: who is attached, what belongs to whom, and what happens to it.
//
// The process half (sockets, pidfds, timers) drives it through this facade and through nothing
// else. There is no socket, no thread and no clock of its own in here, so a whole broker with its
// clients runs in one unit test: the test opens sessions, writes and reads lanes with shm's own
// classes, and calls `turn` where the daemon would.
//
//   process half                 call              segment
//   a client said hello          open_session      a slot, evidence about the process
//   a request arrived            open_, close_     lanes and subscriptions, and what to map
//   its socket closed            suspend_session   grants and assigns nothing, frees nothing
//   it said bye, or its pidfd    end_session       frees all it held, once
//   the doorbell rang            turn              needs, passed pages, waiting lanes
//   once a second, less at rest  tick              what nobody rings for
//
//   S1  nothing that a client wrote is trusted: it is copied once and checked (LAYOUT.md)
//   S2  a session's memory is touched by others only after `end_session`
//   S3  every call is bounded by the tables, and `turn` by a budget
//
// One thread.
#ifndef WEIR_CORE_BROKER_SEGMENT_HPP
#define WEIR_CORE_BROKER_SEGMENT_HPP

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/clock.hpp"
#include "core/base/fd.hpp"
#include "core/base/result.hpp"
#include "core/broker/limit_options.hpp"
#include "core/broker/policy_set.hpp"
#include "core/protocol/messages.hpp"
#include "io/files.hpp"
#include "shm/life.hpp"

namespace weir::broker {

struct SegmentOptions {
    std::string name;
    std::uint64_t direct_bytes = 0;
    std::uint64_t heap_bytes = 0;
    std::uint64_t largest_message =
        0;  // payload plus envelope; 0: the smaller of 64 MiB and direct / 4
    std::uint64_t epoch = 1;
    std::uint64_t idle_destination_ns = 60 * ns_per_s;
    LimitOptions limits;
    PolicySet policies;
};

// What the kernel says about a client, kept so that a reused pid is told apart.
struct Evidence {
    std::uint32_t pid = 0;
    std::uint32_t uid = 0;
    std::uint64_t start_time = 0;
    std::string name;
};

using Refused = Error<protocol::Refusal>;

// The answer to open_producer. Send `fields` with the descriptors that it says.
struct ProducerAnswer {
    protocol::ProducerOpened fields{};
    int block = -1;  // unless fields.with_block; the segment's own, to be sent and not closed
};

// The answer to open_consumer.
struct ConsumerAnswer {
    protocol::ConsumerOpened fields{};
    int block = -1;  // as above
};

struct Regions {
    int control_ro = -1;
    int signals = -1;
    int direct_ro = -1;
    int direct_rw = -1;
    int claims = -1;
    std::uint64_t control_bytes = 0;
    std::uint64_t signals_bytes = 0;
    std::uint64_t direct_bytes = 0;
    std::uint64_t claims_bytes = 0;
};

enum class Ending {
    left,  // said goodbye
    died,  // proven by its pidfd
};

struct Discarded {
    std::uint64_t messages = 0;
    std::uint64_t bytes = 0;
};

// What a change of policies did.
struct PolicyChange {
    std::uint64_t generation = 0;    // counts changes
    std::uint32_t destinations = 0;  // whose policy is another now
    std::uint32_t over_limit = 0;    // of them, those that hold more than their limit
    std::string note;                // for people, may be empty
};

// One key of a policy in force.
struct PolicyKeyShown {
    std::uint64_t generation = 0;
    PolicyValue value;
    std::string text;
    PolicySource source;
};

class Segment {
public:
    // Creates and allocates all regions. Nobody sees them before `publish`. The clock outlives the
    // segment.
    static Result<std::unique_ptr<Segment>, Refused> create(const SegmentOptions& options,
                                                            const Clock& clock);
    ~Segment();
    Segment(const Segment&) = delete;
    Segment& operator=(const Segment&) = delete;

    // From here on clients and reading tools may map `control`.
    void publish();

    Regions regions() const;
    const ControlView& control() const;

    // The slot of the new session; control().session(slot).id is its number.
    Result<std::uint32_t, Refused> open_session(const Evidence& evidence);
    Result<ProducerAnswer, Refused> open_producer(std::uint32_t session,
                                                  std::string_view destination);
    Result<void, Refused> close_producer(std::uint32_t session, LaneId lane);
    // A queue by name, or a topic by name or pattern.
    Result<ConsumerAnswer, Refused> open_consumer(std::uint32_t session, std::string_view pattern,
                                                  std::uint32_t notes, std::uint32_t prefetch);
    // For a consumer whose piece is too small; it waits for the answer.
    Result<ConsumerAnswer, Refused> widen_consumer(std::uint32_t session,
                                                   std::uint32_t subscription, std::uint32_t notes);
    Result<void, Refused> close_consumer(std::uint32_t session, std::uint32_t subscription);

    // Other policies, for all destinations at once and for those to come; or nothing was changed.
    Result<PolicyChange, Refused> set_policy(std::string_view pattern, std::string_view settings);
    Result<PolicyChange, Refused> read_policies(const std::vector<RuleText>& rules);
    Result<PolicyKeyShown, Refused> show_policy(std::string_view destination,
                                                std::uint32_t key) const;

    // Everything that the session held is freed or handed on, exactly once.
    void end_session(std::uint32_t session, Ending ending);
    // Its socket closed but its process lives: it may still write where it has mapped.
    void suspend_session(std::uint32_t session);

    // From here on backlog may flow to disk, as `flow` says and at most so much. Completions of the
    // disk's operations come in here, and are acted upon in `turn`.
    void use_disk(io::Files& files, const FlowOptions& flow, std::uint64_t limit_bytes);
    void disk_completed(io::Token token, std::int32_t result);
    // All spill files go; until `disk_is_idle` the turns have to go on.
    void abandon_disk();
    bool disk_is_idle() const;

    // Serves what lanes asked for and what was read. True: there is more to do at once.
    bool turn();
    // For the thread that serves it (life.hpp).
    LifeWord& life();

    // Once a second. True: all is at rest, the next one may be later (watch.hpp, W3).
    bool tick();
    // When `turn` is to be called though nobody rings: somebody waits for time to pass. ~0: never.
    std::uint64_t due_ns() const;

    // Before the loop waits: fall_asleep, then wait only if may_sleep; awake when it is back.
    void fall_asleep();
    bool may_sleep() const;
    void awake();

    // Brings all published books up to date.
    void settle();
    // Refuses grants from here on; counts what is left. May be called again for a new count.
    Discarded begin_stop();
    // Nothing is left that a consumer could still read.
    bool drained();

private:
    struct Parts;
    explicit Segment(std::unique_ptr<Parts> parts);
    std::unique_ptr<Parts> parts_;
};

}  // namespace weir::broker

#endif
