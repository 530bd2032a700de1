// SPDX-License-Identifier: Apache-2.0
#include "core/broker/sizing.hpp"

#include <algorithm>
#include <deque>

#include "core/broker/regions.hpp"
#include "core/broker/stated_sizes.hpp"
#include "core/broker/window.hpp"
#include "shm/control_region.hpp"

namespace weir::broker {
namespace {

constexpr Bytes mebibyte = 1024 * 1024;
constexpr Bytes direct_most = Bytes{1} << 44;
constexpr Bytes heap_least = 16 * mebibyte;
constexpr Bytes largest_least = mebibyte;

// A quarter of what is configured stays free.
constexpr Bytes with_a_third(Bytes used) noexcept { return round_up(used / 3 * 4 + 4, mebibyte); }

// The largest table of destinations and of sessions that heap-like memory can buy.
Limits widest_limits() noexcept {
    return limits_for(mebibyte, Bytes{lanes_max} * mebibyte, largest_least);
}

bool have_slots(const Limits& limits, const PlannedLoad& load) noexcept {
    const std::uint64_t lanes = load.connections * load.sessions;
    return limits.lanes >= lanes && limits.destinations >= lanes &&
           limits.sessions >= load.connections;
}

Bytes policies_bytes(const Limits& limits) {
    return PolicySet({limits.direct_bytes, limits.largest_message}).memory_bytes();
}

struct DirectPlan {
    Bytes used = 0;
    Bytes configure = 0;
};

DirectPlan plan_direct(const PlannedLoad& load) {
    const std::uint64_t lanes = load.connections * load.sessions;
    const Bytes record = record_bytes(0, load.size);
    const Bytes largest = round_up(4 * page_bytes_for(record), mebibyte);
    // Pages depend a little on how much there is: begin with what the records alone would need.
    DirectPlan plan;
    plan.configure = std::max(with_a_third(lanes * load.messages * record), largest);
    for (int step = 0; step < 2; ++step) {
        plan.used = lanes * lane_direct_bytes(load.messages, load.size, plan.configure);
        plan.configure = std::max(with_a_third(plan.used), largest);
    }
    return plan;
}

// A lane that is filled by a fast producer and read by nobody: Grants::serve in short.
class LaneSupposed {
public:
    LaneSupposed(Bytes record, Bytes direct) noexcept
        : record_(record), free_(direct / 2), limit_(window_limit(direct)) {}

    Bytes pages_of(std::uint64_t messages) {
        Bytes entered = 0;
        Bytes page = page_unit;  // what a producer begins with
        for (std::uint64_t left = std::max<std::uint64_t>(messages, 1);;) {
            entered += page;
            const std::uint64_t fitting = (page - page_header_bytes) / record_;
            if (fitting >= left) return entered;
            left -= fitting;
            if (ahead_bytes_ < std::min(window_, shown_) / 2) ask(false);
            if (ahead_.empty() || ahead_.front() < page_header_bytes + record_) ask(true);
            page = ahead_.front();
            ahead_.pop_front();
            ahead_bytes_ -= page;
        }
    }

private:
    // Half of the window is used up; blocked: there is no page that the next record fits into.
    void ask(bool blocked) {
        window_ = next_window(window_, blocked ? 0 : ahead_bytes_, ns_per_ms, limit_);
        if (blocked) {
            ahead_.clear();  // pages that are too small are taken back
            ahead_bytes_ = 0;
            append(record_);
        }
        const Bytes usual = record_ <= window_ / 4 ? record_ : 0;
        while (ahead_bytes_ < window_) append(usual);
        shown_ = ahead_bytes_;
    }
    void append(Bytes record) {
        ahead_.push_back(units_suited(window_, record, free_) * page_unit);
        ahead_bytes_ += ahead_.back();
    }

    Bytes record_;
    Bytes free_;  // on the average of the time that it takes to fill the region
    Bytes limit_;
    Bytes window_ = page_unit;
    Bytes shown_ = page_unit;  // LaneSlot.window_bytes
    std::deque<Bytes> ahead_;
    Bytes ahead_bytes_ = 0;
};

}  // namespace

std::uint64_t planned_sessions_max() noexcept { return widest_limits().destinations; }

Bytes lane_direct_bytes(std::uint64_t messages, Bytes size, Bytes direct) {
    return LaneSupposed(record_bytes(0, size), direct).pages_of(messages);
}

Bytes producer_blocks_bytes(std::uint64_t producers) noexcept {
    Bytes sum = 0;
    for (std::size_t blocks = 0; producers != 0; ++blocks) {
        const Bytes block = next_block_bytes(blocks, sizeof(ProducerCell));
        producers -= std::min<std::uint64_t>(producers, block / sizeof(ProducerCell));
        sum += block;
    }
    return sum;
}

std::optional<MemoryPlan> plan_memory(const PlannedLoad& load) {
    const std::uint64_t lanes = load.connections * load.sessions;
    if (lanes > planned_sessions_max() || load.connections > widest_limits().sessions) return {};
    if (load.size > payload_bytes_max ||
        (load.messages != 0 && load.size + page_unit > direct_most / load.messages / lanes))
        return {};
    MemoryPlan plan;
    const DirectPlan direct = plan_direct(load);
    plan.used.direct = direct.used;
    plan.configure.direct = direct.configure;
    const Bytes opened =
        load.connections * (session_object_bytes + producer_blocks_bytes(load.sessions)) +
        lanes * (lane_object_bytes + destination_object_bytes);
    // Tables grow with the heap-like memory they stand in: the smallest that holds both.
    for (plan.configure.heap = heap_least;; plan.configure.heap += mebibyte) {
        const Limits limits = limits_for(plan.configure.direct, plan.configure.heap,
                                         std::max(load.size, largest_least));
        const Bytes fixed = fixed_bytes(limits);
        plan.used.heap = fixed + policies_bytes(limits) + opened;
        const bool room =
            plan.used.heap <= plan.configure.heap / 10 * 9 && tables_fit(fixed, limits);
        if (room && have_slots(limits, load)) return plan;
    }
}

}  // namespace weir::broker
