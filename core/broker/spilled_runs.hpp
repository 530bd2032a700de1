// SPDX-License-Identifier: Apache-2.0
//
// What of one lane is on disk, or on its way.
//
// A page keeps its place in its lane wherever its bytes are. In memory it is in the lane's chain;
// out of it, it belongs to one of three:
//
//      chain | page | page |==== gap =================================| page | page (tail)
//                           arriving  | runs (on disk)     | leaving
//
//   arriving   memory is there, the disk is being read; linked in order when verified
//   runs       only on disk: pages of one size, one behind the other in the lane and in a file
//   leaving    unlinked, being written; freed when that is done, linked again if it fails
//
// A run costs the same for one page as for a million. What is in its pages (messages, bytes) stands
// in their headers and is not kept here: the page before a gap and the one behind it know how many
// messages lie between.
//
//   U1  runs are in order of position, do not touch what is in memory, and neighbours that can be
//       one run are
//   U2  a page is in the chain, arriving, in a run, or leaving, and in one of them only
#ifndef WEIR_CORE_BROKER_SPILLED_RUNS_HPP
#define WEIR_CORE_BROKER_SPILLED_RUNS_HPP

#include <cstdint>

#include "core/base/deque.hpp"
#include "io/spill_format.hpp"
#include "io/spill_space.hpp"
#include "shm/units.hpp"

namespace weir::broker {

inline constexpr std::uint32_t no_file = 0xffffffff;

struct Run {
    Position start = 0;
    io::Extent extent;
    std::uint32_t page_units = 0;
    std::uint32_t pages = 0;

    std::uint64_t page_bytes() const noexcept { return page_units * page_unit; }
    std::uint64_t bytes() const noexcept { return pages * page_bytes(); }
    Position end() const noexcept { return start + bytes(); }
};
static_assert(sizeof(Run) <= 64, "what is on disk must cost next to nothing in memory");
static_assert(page_unit == io::spill_unit, "units of memory and of the disk are counted alike");

class SpilledRuns {
public:
    bool empty() const noexcept { return runs_.empty(); }
    std::size_t size() const noexcept { return runs_.size(); }
    std::uint64_t bytes() const noexcept { return bytes_; }
    const Deque<Run>& all() const noexcept { return runs_; }

    void add(const Run& run);
    // Takes up to `pages` pages from the front of the run that begins at `start`.
    Run take_front(Position start, std::uint32_t pages);
    // The first run that begins at or behind `position`, or null.
    const Run* first_from(Position position) const noexcept;

private:
    Deque<Run> runs_;
    std::uint64_t bytes_ = 0;
};

}  // namespace weir::broker

#endif
