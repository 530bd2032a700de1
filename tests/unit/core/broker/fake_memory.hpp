// SPDX-License-Identifier: Apache-2.0
//
// A memory half that records what it was asked and answers what a test wants.
//
// It has real descriptors to hand over, because the kernel refuses to pass any others.
#ifndef WEIR_TESTS_UNIT_CORE_BROKER_FAKE_MEMORY_HPP
#define WEIR_TESTS_UNIT_CORE_BROKER_FAKE_MEMORY_HPP

#include <sys/eventfd.h>

#include <algorithm>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "core/broker/memory_half.hpp"

namespace weir::broker {

class FakeMemory final : public MemoryHalf {
public:
    Regions regions() const override {
        return {region_.get(), region_.get(), region_.get(), region_.get(), region_.get(),
                4096,          4096,          4096,          4096};
    }
    Result<std::uint32_t, Refused> open_session(const Evidence& evidence) override {
        if (refuse_sessions) return fail(protocol::Refusal::limit_reached, "no session is left");
        record("open " + evidence.name);
        last_evidence = evidence;
        const auto slot = static_cast<std::uint32_t>(opened++);
        alive.insert(slot);
        return slot;
    }
    std::uint64_t session_number(std::uint32_t session) const override { return session + 1; }
    Result<ProducerAnswer, Refused> open_producer(std::uint32_t session,
                                                  std::string_view destination) override {
        record("producer " + std::to_string(session) + " " + std::string(destination));
        if (destination.empty()) return fail(protocol::Refusal::bad_name, "it has no name");
        ProducerAnswer answer;
        answer.fields.lane = 7;
        answer.fields.with_direct = 1;
        answer.fields.with_block = 1;
        answer.block = region_.get();
        return answer;
    }
    Result<void, Refused> close_producer(std::uint32_t session, LaneId lane) override {
        record("close " + std::to_string(session) + " " + std::to_string(lane));
        return {};
    }
    Result<ConsumerAnswer, Refused> open_consumer(std::uint32_t, std::string_view, std::uint32_t,
                                                  std::uint32_t) override {
        ConsumerAnswer answer;
        answer.fields.with_block = 1;
        answer.block = region_.get();
        return answer;
    }
    Result<ConsumerAnswer, Refused> widen_consumer(std::uint32_t session,
                                                   std::uint32_t subscription,
                                                   std::uint32_t notes) override {
        record("widen " + std::to_string(session) + " " + std::to_string(subscription) + " " +
               std::to_string(notes));
        return fail(protocol::Refusal::heap_full, "no memory is left");
    }
    Result<void, Refused> close_consumer(std::uint32_t, std::uint32_t) override {
        return fail(protocol::Refusal::not_found, "it is not open");
    }
    Result<PolicyChange, Refused> set_policy(std::string_view pattern,
                                             std::string_view settings) override {
        record("policy " + std::string(pattern) + " " + std::string(settings));
        if (settings.empty()) return fail(protocol::Refusal::bad_policy, "it says nothing");
        return PolicyChange{5, 2, 1, "a note"};
    }
    Result<PolicyChange, Refused> read_policies(const std::vector<RuleText>& rules) override {
        record("read " + std::to_string(rules.size()));
        return PolicyChange{};
    }
    Result<PolicyKeyShown, Refused> show_policy(std::string_view destination,
                                                std::uint32_t key) override {
        if (key >= policy_keys) return fail(protocol::Refusal::not_found, "there is no such key");
        const PolicySource source{PolicyOrigin::file, std::string(destination), "weir.toml:3",
                                  "1%"};
        return PolicyKeyShown{7, {.number = 4096}, "4KiB", source};
    }
    void end_session(std::uint32_t session, Ending ending) override {
        record((ending == Ending::died ? "died " : "left ") + std::to_string(session));
        if (alive.erase(session) == 0) record("ended twice");  // S1
    }
    void suspend_session(std::uint32_t session) override {
        record("suspend " + std::to_string(session));
    }
    void settle() override { record("settle"); }
    bool turn() override {
        record("turn");
        return false;
    }
    bool tick() override {
        record("tick");
        return rests.load();
    }
    void fall_asleep() override { record("asleep"); }
    bool may_sleep() const override {
        if (sleeps_refused == 0) return true;
        --sleeps_refused;
        return false;
    }
    void awake() override { record("awake"); }
    Discarded begin_stop() override { return {undelivered, undelivered * 10}; }
    bool drained() override {
        if (undelivered > 0 && draining) --undelivered;
        return undelivered == 0;
    }

    // The loop's thread records, a test's thread looks.
    void record(std::string call) {
        const std::lock_guard guard(mutex_);
        calls.push_back(std::move(call));
    }
    std::size_t count(const std::string& call) const {
        const std::lock_guard guard(mutex_);
        return static_cast<std::size_t>(std::count(calls.begin(), calls.end(), call));
    }
    bool was_called(const std::string& call) const { return count(call) > 0; }

    std::vector<std::string> calls;
    std::set<std::uint32_t> alive;
    Evidence last_evidence;
    std::atomic<bool> rests = false;
    std::uint64_t opened = 0;
    std::uint64_t undelivered = 0;
    mutable int sleeps_refused = 0;  // how often something came in while it was falling asleep
    bool draining = false;           // consumers read one message per look
    bool refuse_sessions = false;

private:
    mutable std::mutex mutex_;
    Fd region_{::eventfd(0, EFD_CLOEXEC)};
};

}  // namespace weir::broker

#endif
