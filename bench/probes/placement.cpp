// SPDX-License-Identifier: Apache-2.0
//
// See placement.hpp.
#include "bench/probes/placement.hpp"

#include <sched.h>

#include <fstream>
#include <string>
#include <vector>

namespace weir::bench {
namespace {

std::vector<int> usable_processors() {
    std::vector<int> usable;
    cpu_set_t set;
    CPU_ZERO(&set);
    if (::sched_getaffinity(0, sizeof set, &set) != 0) return {0};  // EINVAL: more than 1024
    for (int processor = 0; processor < CPU_SETSIZE; ++processor) {
        if (CPU_ISSET(static_cast<std::size_t>(processor), &set)) usable.push_back(processor);
    }
    return usable;
}

// The kernel's name of a core: the list of its threads. Empty where it tells nothing, which makes
// two processors count as different cores.
std::string core_of(int processor) {
    std::ifstream file("/sys/devices/system/cpu/cpu" + std::to_string(processor) +
                       "/topology/thread_siblings_list");
    std::string threads;
    std::getline(file, threads);
    return threads;
}

bool share_a_core(int one, int other) {
    std::string core = core_of(one);
    return !core.empty() && core == core_of(other);
}

}  // namespace

bool pin_to(int processor) noexcept {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(static_cast<std::size_t>(processor), &set);
    return ::sched_setaffinity(0, sizeof set, &set) == 0;
}

bool pin_to_either(const std::array<int, 2>& processors) noexcept {
    cpu_set_t set;
    CPU_ZERO(&set);
    for (int processor : processors) CPU_SET(static_cast<std::size_t>(processor), &set);
    return ::sched_setaffinity(0, sizeof set, &set) == 0;
}

Placement choose_placement() {
    std::vector<int> usable = usable_processors();
    Placement placement;
    placement.usable_count = static_cast<int>(usable.size());
    placement.processors = {usable.front(), usable.size() > 1 ? usable[1] : usable.front()};
    placement.siblings = usable.size() > 1;
    for (std::size_t next = 1; next < usable.size(); ++next) {
        if (share_a_core(usable.front(), usable[next])) continue;
        placement.processors[1] = usable[next];
        placement.siblings = false;
        break;
    }
    cpu_set_t before;
    if (::sched_getaffinity(0, sizeof before, &before) == 0) {
        placement.pinnable = pin_to(placement.processors[1]) && pin_to(placement.processors[0]);
        ::sched_setaffinity(0, sizeof before, &before);  // was allowed a moment ago
    }
    return placement;
}

}  // namespace weir::bench
