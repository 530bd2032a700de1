// SPDX-License-Identifier: Apache-2.0
//
// The real memory half: the segment behind the interface of memory_half.hpp, call by call.
//
// It stands in a header of its own, so that sessions and the loop link, and are tested, without it.
#ifndef WEIR_CORE_BROKER_SEGMENT_HALF_HPP
#define WEIR_CORE_BROKER_SEGMENT_HALF_HPP

#include "core/broker/memory_half.hpp"

namespace weir::broker {

class SegmentHalf final : public MemoryHalf {
public:
    explicit SegmentHalf(Segment& segment) noexcept : segment_(segment) {}

    Regions regions() const override { return segment_.regions(); }
    Result<std::uint32_t, Refused> open_session(const Evidence& evidence) override {
        return segment_.open_session(evidence);
    }
    std::uint64_t session_number(std::uint32_t session) const override {
        return segment_.control().session(session).id;
    }
    Result<ProducerAnswer, Refused> open_producer(std::uint32_t session,
                                                  std::string_view destination) override {
        return segment_.open_producer(session, destination);
    }
    Result<void, Refused> close_producer(std::uint32_t session, LaneId lane) override {
        return segment_.close_producer(session, lane);
    }
    Result<ConsumerAnswer, Refused> open_consumer(std::uint32_t session, std::string_view pattern,
                                                  std::uint32_t notes,
                                                  std::uint32_t prefetch) override {
        return segment_.open_consumer(session, pattern, notes, prefetch);
    }
    Result<ConsumerAnswer, Refused> widen_consumer(std::uint32_t session,
                                                   std::uint32_t subscription,
                                                   std::uint32_t notes) override {
        return segment_.widen_consumer(session, subscription, notes);
    }
    Result<void, Refused> close_consumer(std::uint32_t session,
                                         std::uint32_t subscription) override {
        return segment_.close_consumer(session, subscription);
    }
    Result<PolicyChange, Refused> set_policy(std::string_view pattern,
                                             std::string_view settings) override {
        return segment_.set_policy(pattern, settings);
    }
    Result<PolicyChange, Refused> read_policies(const std::vector<RuleText>& rules) override {
        return segment_.read_policies(rules);
    }
    Result<PolicyKeyShown, Refused> show_policy(std::string_view destination,
                                                std::uint32_t key) override {
        return segment_.show_policy(destination, key);
    }
    void end_session(std::uint32_t session, Ending ending) override {
        segment_.end_session(session, ending);
    }
    void suspend_session(std::uint32_t session) override { segment_.suspend_session(session); }
    void settle() override { segment_.settle(); }
    void disk_completed(io::Token token, std::int32_t result) override {
        segment_.disk_completed(token, result);
    }
    void abandon_disk() override { segment_.abandon_disk(); }
    bool disk_is_idle() const override { return segment_.disk_is_idle(); }
    bool turn() override { return segment_.turn(); }
    bool tick() override { return segment_.tick(); }
    std::uint64_t due_ns() const override { return segment_.due_ns(); }
    void fall_asleep() override { segment_.fall_asleep(); }
    bool may_sleep() const override { return segment_.may_sleep(); }
    void awake() override { segment_.awake(); }
    Discarded begin_stop() override { return segment_.begin_stop(); }
    bool drained() override { return segment_.drained(); }

private:
    Segment& segment_;
};

}  // namespace weir::broker

#endif
