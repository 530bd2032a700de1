// SPDX-License-Identifier: Apache-2.0
//
// Watches from outside whether a broker keeps its limits: each millisecond it counts the pages that
// lanes lead to in `control`, by their links, and never looks at what the books say is used. Prints
// "watching" once it can see the broker; when its standard input ends, one JSON object with the
// most that was held by all and by each destination.
//
//   watch_limits BROKER
//
// A look during which the broker changed its tables is taken again, at most so often; what was
// counted of tables at rest is held against direct memory and against each destination's limit.
#include <poll.h>
#include <unistd.h>

#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "core/base/clock.hpp"
#include "core/inspect/recount.hpp"
#include "core/inspect/region.hpp"

namespace {

using namespace weir;

constexpr int looks_max = 50;

struct Watch {
    std::uint64_t samples = 0;
    std::uint64_t missed = 0;  // the tables never rested
    std::uint64_t highest = 0;
    std::map<std::string, std::uint64_t> most;  // by destination
    std::uint64_t over = 0;
    std::string first_over;

    void hold(const char* what, std::uint64_t bytes, std::uint64_t limit) {
        if (limit == 0 || bytes <= limit) return;
        if (over++ == 0)
            first_over =
                std::string(what) + ": " + std::to_string(bytes) + " of " + std::to_string(limit);
    }
};

void sample(const ControlView& view, Watch& watch) {
    inspect::Reachable seen;
    for (int look = 0; look < looks_max && !seen.at_rest; ++look) {
        seen = inspect::reachable_pages(view);
        if (!seen.at_rest) std::this_thread::sleep_for(std::chrono::microseconds(10));
    }
    if (!seen.at_rest) {
        ++watch.missed;
        return;
    }
    ++watch.samples;
    watch.highest = std::max(watch.highest, seen.bytes);
    watch.hold("the broker", seen.bytes, view.limits.direct_bytes);
    for (std::uint32_t slot = 0; slot < view.limits.destinations; ++slot) {
        if (seen.of_destination[slot] == 0) continue;
        const DestinationSlot& destination = view.destination(slot);
        std::uint64_t& most = watch.most[destination.name];
        most = std::max(most, seen.of_destination[slot]);
        // A limit that was lowered below the use is not exceeded, only not kept yet: tests do not.
        watch.hold(destination.name, seen.of_destination[slot],
                   destination.policy.limit.load(std::memory_order_relaxed));
    }
}

bool input_ended() {
    pollfd input{STDIN_FILENO, POLLIN, 0};
    char byte = 0;
    return ::poll(&input, 1, 0) > 0 && ::read(STDIN_FILENO, &byte, 1) <= 0;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) return 2;
    auto region = inspect::Region::open(argv[1]);
    if (!region) {
        std::fprintf(stderr, "%s\n", region.error().sentence.c_str());
        return 4;
    }
    std::puts("watching");
    std::fflush(stdout);
    Watch watch;
    std::uint64_t due_ns = monotonic_ns();
    while (!input_ended()) {
        sample(region->view(), watch);
        due_ns = std::max(due_ns + ns_per_ms, monotonic_ns() - ns_per_ms);
        const std::uint64_t now_ns = monotonic_ns();
        if (due_ns > now_ns) std::this_thread::sleep_for(std::chrono::nanoseconds(due_ns - now_ns));
    }
    const nlohmann::json report{{"samples", watch.samples}, {"missed", watch.missed},
                                {"highest", watch.highest}, {"most", watch.most},
                                {"over", watch.over},       {"first_over", watch.first_over}};
    std::puts(report.dump().c_str());
    return watch.over == 0 ? 0 : 1;
}
