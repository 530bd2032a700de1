// SPDX-License-Identifier: Apache-2.0
//
// Statements against the allocator: operator new of this program counts what malloc takes for each
// object, so it works the same under a sanitizer, whose allocator takes more.
//
// What is there is counted when the clients' side of the stage is gone and the segment is not. It
// may not be more than is charged, and for names as people choose them not much less.
#include "core/broker/stated_sizes.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <new>

#include "core/base/allocated.hpp"
#include "tests/support/segment_stage.hpp"

namespace {

std::size_t allocated_now = 0;

// In front of each object, as long as its alignment: how much was asked for.
constexpr std::size_t front = 16;

void* allocate(std::size_t bytes) {
    void* const base = std::malloc(bytes + front);
    if (base == nullptr) throw std::bad_alloc();
    *static_cast<std::size_t*>(base) = bytes;
    allocated_now += weir::allocated_bytes(bytes);
    return static_cast<std::byte*>(base) + front;
}

void release(void* object) noexcept {
    if (object == nullptr) return;
    void* const base = static_cast<std::byte*>(object) - front;
    allocated_now -= weir::allocated_bytes(*static_cast<std::size_t*>(base));
    std::free(base);
}

}  // namespace

void* operator new(std::size_t bytes) { return allocate(bytes); }
void* operator new[](std::size_t bytes) { return allocate(bytes); }
void operator delete(void* object) noexcept { release(object); }
void operator delete[](void* object) noexcept { release(object); }
void operator delete(void* object, std::size_t) noexcept { release(object); }
void operator delete[](void* object, std::size_t) noexcept { release(object); }

namespace weir::test {
namespace {

constexpr std::size_t many = 200;
constexpr std::size_t per_session = 25;
constexpr std::uint32_t notes = 16;
constexpr std::size_t usual = 30;
constexpr std::size_t longest = name_bytes - 1 - std::string_view("queue://").size();
// A destination may have eight pages; each of these messages takes one.
constexpr std::string_view limits = "limit=32KiB";
const std::string message(4000, 'm');

// Destinations with names of so many characters behind their scheme, each with one producer and one
// consumer.
class Crowd {
public:
    Crowd(const std::string& scheme, std::size_t characters)
        : queues_(scheme == "queue://"), stage_(options()), before_(allocated_now) {
        for (std::size_t number = 0; number < many; ++number) {
            std::string name = scheme + std::to_string(number) + ".";
            name.resize(scheme.size() + characters, 'x');
            names_.push_back(name);
            if (number % per_session == 0) sessions_.push_back(stage_.session());
            producers_.push_back(stage_.producer(sessions_.back(), name));
            if (!queues_) subscribers_.push_back(stage_.subscriber(sessions_.back(), name));
        }
        open_workers();
    }

    void open_workers() {
        for (std::size_t number = 0; queues_ && number < many; ++number)
            workers_.push_back(
                stage_.worker(sessions_[number / per_session], names_[number], notes));
    }
    // Each sends until it waits in its destination's line.
    void fill() {
        for (TestProducer& producer : producers_) {
            EXPECT_GT(producer.fill(message), 2u);
            EXPECT_NE(producer.slot().waiting_since_ns.load(), 0u);
        }
    }
    // Each takes what there is, one message with each note, and is gone without having acknowledged
    // any.
    void take_and_leave() {
        for (TestWorker& worker : workers_) {
            while (!worker.take_all(1).empty()) {
            }
            EXPECT_TRUE(stage_.segment->close_consumer(worker.session, worker.subscription));
        }
        workers_.clear();
    }
    // More producers of the first destinations, which leave again.
    void come_and_go() {
        const std::uint32_t guest = stage_.session();
        for (std::size_t number = 0; number < 10; ++number)
            for (int more = 0; more < 15; ++more) stage_.producer(guest, names_[number]);
        stage_.segment->end_session(guest, broker::Ending::left);
        for (int second = 0; second < 3; ++second) stage_.segment->tick();
    }
    std::uint64_t ranges() const {
        std::uint64_t sum = 0;
        for (std::uint32_t slot = 0; slot < many; ++slot)
            sum += stage_.shared.control.destination(slot).ranges.load();
        return sum;
    }
    std::size_t lanes() const {
        const ControlView& control = stage_.shared.control;
        return in_use(
            control.limits.lanes, [&](auto slot) -> auto& { return control.lane(slot); });
    }

    // Nothing of the clients is left when this looks, and they cannot be used any more.
    void expect_what_is_charged(bool closely) {
        std::exchange(producers_, {});
        std::exchange(workers_, {});
        std::exchange(subscribers_, {});
        std::exchange(names_, {});
        const std::size_t sessions = std::exchange(sessions_, {}).size();
        stage_.forget_clients();
        const std::size_t allocated = allocated_now - before_;
        const std::size_t stated = charged(sessions);
        EXPECT_LE(allocated, stated) << "more than is charged";
        if (closely) {
            EXPECT_GE(allocated * 10, stated * 6) << "charged for nothing";
        }
    }

private:
    static broker::SegmentOptions options() {
        broker::SegmentOptions options;
        options.direct_bytes = 16 << 20;
        options.heap_bytes = 64 << 20;
        options.policies =
            policies_of(options.direct_bytes, {{"queue://>", limits}, {"topic://>", limits}});
        return options;
    }

    template <class SlotOf>
    static std::size_t in_use(std::uint64_t slots, SlotOf slot_of) {
        std::size_t count = 0;
        for (std::uint32_t slot = 0; slot < slots; ++slot)
            if (slot_of(slot).state.load() != SlotState::free) ++count;
        return count;
    }

    // For all objects there are now; not what is mapped, and not the room for ranges that are not.
    std::size_t charged(std::size_t sessions) const {
        const ControlView& control = stage_.shared.control;
        const std::size_t consumers = in_use(
            control.limits.subscriptions, [&](auto slot) -> auto& {
                return control.subscription(slot);
            });
        return sessions * broker::session_object_bytes + many * broker::destination_object_bytes +
               lanes() * broker::lane_object_bytes +
               (queues_ ? 0 : lanes() * broker::attachment_bytes) +
               consumers * broker::subscription_object_bytes + ranges() * broker::range_bytes +
               stage_.granted_to_all() / page_unit * broker::page_table_bytes;
    }

    bool queues_;
    SegmentStage stage_;
    std::size_t before_;
    std::vector<std::string> names_;
    std::vector<std::uint32_t> sessions_;
    std::vector<TestProducer> producers_;
    std::vector<TestWorker> workers_;
    std::vector<TestSubscriber> subscribers_;
};

class StatedSizes : public ::testing::TestWithParam<std::pair<const char*, std::size_t>> {
protected:
    Crowd crowd_{GetParam().first, GetParam().second};
    bool closely_ = GetParam().second == usual;
};

TEST_P(StatedSizes, WhatDoesNothingTakesWhatIsChargedForIt) {
    crowd_.expect_what_is_charged(closely_);
}

TEST_P(StatedSizes, WhatIsFullAndWaitsTakesWhatIsChargedForIt) {
    crowd_.fill();
    crowd_.expect_what_is_charged(closely_);
}

TEST_P(StatedSizes, WhatProducersThatAreGoneTookIsGivenBack) {
    crowd_.come_and_go();
    EXPECT_LT(crowd_.lanes(), many + 20) << "each keeps one for the next";
    crowd_.expect_what_is_charged(closely_);
}

INSTANTIATE_TEST_SUITE_P(Of, StatedSizes,
                         ::testing::Values(std::pair("queue://", usual),
                                           std::pair("queue://", longest),
                                           std::pair("topic://", usual),
                                           std::pair("topic://", longest)));

class StatedSizesOfRanges : public StatedSizes {};

TEST_P(StatedSizesOfRanges, WhatWaitsToBeDeliveredAgainTakesWhatIsChargedForIt) {
    crowd_.fill();
    crowd_.take_and_leave();
    EXPECT_GT(crowd_.ranges(), 3 * many);
    crowd_.expect_what_is_charged(closely_);
}

TEST_P(StatedSizesOfRanges, WhatIsAssignedToAnotherTakesWhatIsChargedForIt) {
    crowd_.fill();
    crowd_.take_and_leave();
    crowd_.open_workers();
    EXPECT_GT(crowd_.ranges(), 3 * many);
    crowd_.expect_what_is_charged(closely_);
}

INSTANTIATE_TEST_SUITE_P(Of, StatedSizesOfRanges,
                         ::testing::Values(std::pair("queue://", usual),
                                           std::pair("queue://", longest)));

}  // namespace
}  // namespace weir::test
