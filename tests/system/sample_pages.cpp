// SPDX-License-Identifier: Apache-2.0
//
// Watches from outside how much direct memory each destination holds, by the pages that can be
// reached from its lanes; the books are not looked at.
//
//   sample_pages BROKER
//
// Prints "watching" once it can see the broker. When its standard input ends it prints a line for
// each destination, `NAME BYTES`, the most that it was seen to hold, one `all BYTES` for the broker
// and one `samples COUNT`.
//
// The pages are not all seen at one instant, and a page that moves to another lane meanwhile must
// not be counted twice. So each sample walks all lanes twice and counts what both walks saw: a
// position of a lane never comes again (LAYOUT.md), so such a page was held during all of the time
// between the walks, and all of them together at any instant there. What is counted was held; what
// was held only for the length of a walk may be missed.
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "core/base/clock.hpp"
#include "shm/control_region.hpp"

namespace weir {
namespace {

constexpr int period_ms = 1;

// A page where it lies: destination, lane, which use of the lane, position, place, bytes.
using Seen = std::tuple<std::uint32_t, LaneId, std::uint64_t, Position, PageRef, std::uint64_t>;

// What was linked behind `first` in a lane, as long as the pages say that they are that lane's.
void walk_lane(const ControlView& control, LaneId lane, std::vector<Seen>& seen) {
    const LaneSlot& slot = control.lane(lane);
    // SYNC(slot_live) acquire: the slot's fields.
    if (slot.state.load(std::memory_order_acquire) == SlotState::free) return;
    // relaxed: compared between two walks; a slot that changes between them counts for nothing.
    const std::uint32_t destination = slot.destination.load(std::memory_order_relaxed);
    // SYNC(page_linked) acquire: the page's slot.
    PageRef at = slot.first_page.load(std::memory_order_acquire);
    for (std::uint64_t steps = 0; steps < control.limits.pages && at != 0; ++steps) {
        if (unit_of_ref(at) >= control.limits.pages) return;
        const PageSlot& page = control.pages()[unit_of_ref(at)];
        // SYNC(page_freed) acquire: it may be another lane's by now.
        const Position start = page.start.load(std::memory_order_acquire);
        // relaxed: as above, compared between two walks.
        if (page.lane.load(std::memory_order_relaxed) != lane) return;
        // relaxed: as above.
        const std::uint64_t birth = page.lane_birth.load(std::memory_order_relaxed);
        // relaxed: as above.
        const std::uint64_t units = page.units.load(std::memory_order_relaxed);
        seen.emplace_back(destination, lane, birth, start, at, units * page_unit);
        // SYNC(page_linked) acquire: the next page's slot.
        at = page.next.load(std::memory_order_acquire);
    }
}

std::vector<Seen> walk(const ControlView& control) {
    std::vector<Seen> seen;
    for (LaneId lane = 0; lane < control.limits.lanes; ++lane) walk_lane(control, lane, seen);
    std::sort(seen.begin(), seen.end());
    seen.erase(std::unique(seen.begin(), seen.end()), seen.end());
    return seen;
}

struct Most {
    std::map<std::string, std::uint64_t> of_destination;
    std::uint64_t of_all = 0;
    std::uint64_t samples = 0;
};

void sample(const ControlView& control, Most& most) {
    const std::vector<Seen> first = walk(control);
    const std::vector<Seen> second = walk(control);
    std::vector<Seen> both;
    std::set_intersection(first.begin(), first.end(), second.begin(), second.end(),
                          std::back_inserter(both));
    std::map<std::uint32_t, std::uint64_t> sums;
    std::uint64_t all = 0;
    for (const Seen& page : both) {
        sums[std::get<0>(page)] += std::get<5>(page);
        all += std::get<5>(page);
    }
    for (const auto& [destination, bytes] : sums) {
        std::uint64_t& highest = most.of_destination[control.destination(destination).name];
        highest = std::max(highest, bytes);
    }
    most.of_all = std::max(most.of_all, all);
    ++most.samples;
}

int watch(const char* broker) {
    const auto region = ControlRegion::open(broker);
    if (!region) return std::fprintf(stderr, "%s\n", region.error().sentence.c_str()), 1;
    std::puts("watching");
    std::fflush(stdout);
    Most most;
    char byte = 0;
    for (;;) {
        pollfd input{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
        if (poll(&input, 1, period_ms) > 0 && read(STDIN_FILENO, &byte, 1) <= 0) break;
        sample(region->view(), most);
    }
    for (const auto& [name, bytes] : most.of_destination)
        std::printf("%s %llu\n", name.c_str(), static_cast<unsigned long long>(bytes));
    std::printf("all %llu\n", static_cast<unsigned long long>(most.of_all));
    std::printf("samples %llu\n", static_cast<unsigned long long>(most.samples));
    return 0;
}

}  // namespace
}  // namespace weir

int main(int argc, char** argv) { return argc < 2 ? 2 : weir::watch(argv[1]); }
