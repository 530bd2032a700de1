// SPDX-License-Identifier: Apache-2.0
//
// The broker counts what it holds anew, all the time and a little at a time, and exports how far
// its books are off: 0, or there is a mistake in this program.
//
// The books change where something is handed out or taken back. This walks what is there: the links
// in `control` from each lane's first page on, the objects of the tables, the records of pages that
// are sealed. `weir doctor` does the same from outside (core/inspect); this one needs nobody to
// ask for it.
//
//   a pass   lanes      bytes of the pages that links lead to      against the lane's account
//            records    of each sealed page, once                  against the broker's count of it
//            sums       lanes, objects, mappings                   against both resources
//
// Between two steps everything may change. A lane or a sum that changed under the count is begun
// anew, and left for the next pass when it does not stand still; so a number is compared only when
// all of it was counted of one state. A pass that found nothing changed since it began is the last
// one until something changes: an idle broker rests.
//
//   R1  a step looks at no more pages, records and slots than its budget says
//   R2  nothing is compared that changed between its first step and its last
//   R3  no number of the books is taken over before it was compared itself
#ifndef WEIR_CORE_BROKER_RECOUNT_HPP
#define WEIR_CORE_BROKER_RECOUNT_HPP

#include <array>

#include "core/broker/tables.hpp"

namespace weir::broker {

class Recount {
public:
    explicit Recount(Tables& tables) noexcept : tables_(&tables) {}

    // A step if the last one is long enough ago. Called at each turn.
    void step_if_due();
    // So many steps at once, if there is anything to do. Called at each tick.
    void steps(int count);

    bool resting() const noexcept { return resting_; }

private:
    enum class Phase { lanes, records, sums };
    // Differs whenever pages or objects came or went.
    using Stamp = std::array<std::uint64_t, 6>;
    struct Found {
        std::int64_t direct = 0;
        std::int64_t heap = 0;
        std::int64_t messages = 0;
    };
    struct LaneCount {  // the lane that is being counted
        PageRef next = 0;
        std::size_t index = 0;  // of that page
        Bytes bytes = 0;
        std::size_t pages = 0;  // these differ whenever a page came or went
        std::size_t out = 0;
        Position next_start = 0;
        bool begun = false;
        int restarts = 0;
    };
    struct PageCount {       // the page whose records are being counted
        Position start = 0;  // 0: none
        Position at = 0;
        std::uint64_t messages = 0;
        std::uint64_t payload = 0;
    };
    struct Sums {
        std::size_t slot = 0;
        Bytes direct = 0;
        Bytes heap = 0;
        Stamp stamp{};
        bool begun = false;
        int restarts = 0;
    };

    Stamp stamp() const noexcept;
    void step();
    bool count_lanes();
    bool count_lane(const Lane& lane, std::uint64_t& budget);
    bool count_records();
    bool count_page(const Lane& lane, const Page& page, const Page& behind, std::uint64_t& budget);
    bool count_sums();
    void add_slot(std::size_t slot);
    void end_pass();
    void differs(std::int64_t& found, std::int64_t difference, std::uint32_t lane,
                 const char* what);
    void publish(const Found& found) noexcept;

    Tables* tables_;
    Phase phase_ = Phase::lanes;
    std::size_t at_lane_ = 0;
    LaneCount lane_;
    PageCount page_;
    Sums sums_;
    std::vector<Position> walked_to_;  // per lane: pages that end at or before it were walked once
    Found found_;
    Stamp pass_began_{};
    bool in_pass_ = false;
    bool resting_ = false;
    Stamp rested_at_{};
    std::uint64_t stepped_ns_ = 0;
    std::uint64_t warned_ns_ = 0;
};

}  // namespace weir::broker

#endif
