// SPDX-License-Identifier: Apache-2.0
//
// Walking a lane from outside: its pages along the links in `control`, its records from commit word
// to commit word.
//
//   LaneSlot.first_page -> page -> page -> ... -> 0           walk_pages: control is enough
//        | record | record | end |  | record | 0 ...          walk_records: needs the direct region
//                 ^ mark                     ^ tail
//
// This is the recount's own way through the lane. It knows what the bytes mean (shm) and nothing of
// how the broker counts: no header is believed, no number is taken over. What it follows is input:
// a link leads nowhere unless it is inside the region, and no walk is longer than the region.
#ifndef WEIR_CORE_INSPECT_LANE_WALK_HPP
#define WEIR_CORE_INSPECT_LANE_WALK_HPP

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "shm/control.hpp"

namespace weir::inspect {

struct WalkedPage {
    PageRef ref = 0;
    Position start = 0;
    std::uint64_t bytes = 0;

    Position first_record() const noexcept { return start + page_header_bytes; }
    Position end() const noexcept { return start + bytes; }
};

struct LanePages {
    std::vector<WalkedPage> pages;
    std::uint64_t bytes = 0;
    bool over_gap = false;  // pages between two of these are on disk, or on their way
    std::string broken;     // why the walk ended before a link of 0, empty: it did not
};

LanePages walk_pages(const ControlView& view, LaneId lane);

struct Tally {
    std::uint64_t messages = 0;
    std::uint64_t payload = 0;
};

// A position that somebody reads from, and what the walk found out about it.
struct Mark {
    Position at = 0;
    Tally before;            // in the pages that are still there
    bool at_record = false;  // a record begins there, or may begin there one day
};

struct LaneRecords {
    Tally total;
    Position tail = 0;  // of the first word that is zero
    std::uint64_t records = 0;
    std::uint64_t damaged = 0;  // words that are no record's
};

// `pages` maps the direct region; the marks come back in order of position.
LaneRecords walk_records(const PageView& pages, const LanePages& lane, std::span<Mark> marks);

// Payload bytes of each message in a range of one page, at most 64 of them; empty if the range lies
// in none of the lane's pages.
std::vector<std::uint64_t> messages_in(const PageView& pages, const LanePages& lane, Position from,
                                       Position to);

}  // namespace weir::inspect

#endif  // WEIR_CORE_INSPECT_LANE_WALK_HPP
