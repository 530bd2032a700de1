// SPDX-License-Identifier: Apache-2.0
//
// What one look of `weir top` shows: rates between two snapshots of a broker, who waits for memory
// and why, and who reads more slowly than others write.
//
// Books carry the moment they were brought up to date, so a rate is of that span and not of the
// time between two looks: a broker publishes at each of its looks around, whenever it is looked at.
#ifndef WEIR_TOOLS_TOP_FRAME_HPP
#define WEIR_TOOLS_TOP_FRAME_HPP

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/inspect/region.hpp"
#include "core/inspect/snapshot.hpp"

namespace weir::tools {

struct TopDestination {
    inspect::DestinationBooks books;
    double in_per_s = 0;
    double out_per_s = 0;
};

struct TopBlocked {
    std::string destination;
    std::uint32_t pid = 0;
    std::string process;
    std::string reason;
    std::uint64_t waits_ns = 0;
};

struct TopSlow {
    std::string destination;  // or the pattern
    std::uint32_t pid = 0;
    std::string process;
    std::uint64_t behind = 0;  // messages it has to come, or holds
    std::uint32_t prefetch = 0;
    std::string why;
};

struct TopFrame {
    inspect::BrokerFacts broker;
    inspect::BrokerState state = inspect::BrokerState::running;
    double uptime_s = 0;
    inspect::RegionUse direct;
    inspect::RegionUse heap;
    inspect::RegionUse disk;
    std::uint64_t direct_full_s = 0;  // seconds until it is full at the present rate, 0: it is not
    std::uint64_t disk_full_s = 0;    // being filled
    double in_per_s = 0;
    double out_per_s = 0;
    std::vector<TopDestination> destinations;  // the most memory first
    std::vector<TopBlocked> blocked;           // the longest first
    std::vector<TopSlow> slow;                 // the furthest behind first
};

// Remembers the books of the last look, by destination and birth.
class TopRates {
public:
    TopFrame frame(const inspect::Snapshot& snapshot, inspect::BrokerState state,
                   std::uint64_t now_ns, std::uint64_t realtime_now_ns);

private:
    struct Before {
        std::uint64_t settled_ns = 0;
        std::uint64_t in = 0;
        std::uint64_t out = 0;
        double in_per_s = 0;
        double out_per_s = 0;
    };
    struct Reader {
        std::uint64_t behind = 0;
    };
    using Key = std::pair<std::uint32_t, std::uint64_t>;  // slot and birth

    void rate(const inspect::DestinationBooks& books, std::uint64_t now_ns, TopDestination& to);

    std::map<Key, Before> before_;
    std::map<Key, Reader> readers_;
};

std::string top_json(const TopFrame& frame);
// Lines for people, at most `lines` of at most `columns`; 0: as many as there are.
std::vector<std::string> top_text(const TopFrame& frame, std::size_t lines, std::size_t columns);

const char* name_of(inspect::BrokerState state) noexcept;

}  // namespace weir::tools

#endif  // WEIR_TOOLS_TOP_FRAME_HPP
