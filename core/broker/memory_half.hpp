// SPDX-License-Identifier: Apache-2.0
//
// What the process half of the broker asks of the memory half.
//
// The broker has two halves. One knows processes: sockets, credentials, deaths. The other knows
// memory: lanes, pages, books; that is the Segment. They meet in these few calls, so that each half
// can be tested alone: sessions and the loop against a double that refuses or records, the segment
// without a single socket. A virtual call is nothing here: the most frequent one is made once per
// turn.
#ifndef WEIR_CORE_BROKER_MEMORY_HALF_HPP
#define WEIR_CORE_BROKER_MEMORY_HALF_HPP

#include "core/broker/segment.hpp"

namespace weir::broker {

// See segment.hpp for what each call promises.
class MemoryHalf {
public:
    virtual ~MemoryHalf() = default;

    virtual Regions regions() const = 0;
    virtual Result<std::uint32_t, Refused> open_session(const Evidence& evidence) = 0;
    // The session's number, which is never used again; a slot is.
    virtual std::uint64_t session_number(std::uint32_t session) const = 0;
    virtual Result<ProducerAnswer, Refused> open_producer(std::uint32_t session,
                                                          std::string_view destination) = 0;
    virtual Result<void, Refused> close_producer(std::uint32_t session, LaneId lane) = 0;
    virtual Result<ConsumerAnswer, Refused> open_consumer(std::uint32_t session,
                                                          std::string_view pattern,
                                                          std::uint32_t notes,
                                                          std::uint32_t prefetch) = 0;
    virtual Result<ConsumerAnswer, Refused> widen_consumer(std::uint32_t session,
                                                           std::uint32_t subscription,
                                                           std::uint32_t notes) = 0;
    virtual Result<void, Refused> close_consumer(std::uint32_t session,
                                                 std::uint32_t subscription) = 0;
    virtual Result<PolicyChange, Refused> set_policy(std::string_view pattern,
                                                     std::string_view settings) = 0;
    virtual Result<PolicyChange, Refused> read_policies(const std::vector<RuleText>& rules) = 0;
    virtual Result<PolicyKeyShown, Refused> show_policy(std::string_view destination,
                                                        std::uint32_t key) = 0;
    virtual void end_session(std::uint32_t session, Ending ending) = 0;
    virtual void suspend_session(std::uint32_t session) = 0;
    virtual void settle() = 0;

    // Only of a broker with a spill directory.
    virtual void disk_completed(io::Token, std::int32_t) {}
    virtual void abandon_disk() {}
    virtual bool disk_is_idle() const { return true; }

    virtual bool turn() = 0;
    // Once a second, and less often while it says that all is at rest.
    virtual bool tick() = 0;
    virtual std::uint64_t due_ns() const { return ~std::uint64_t{0}; }
    virtual void fall_asleep() = 0;
    virtual bool may_sleep() const = 0;
    virtual void awake() = 0;
    virtual Discarded begin_stop() = 0;
    virtual bool drained() = 0;
};

}  // namespace weir::broker

#endif
