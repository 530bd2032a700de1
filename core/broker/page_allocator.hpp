// SPDX-License-Identifier: Apache-2.0
//
// Which units of the direct region are free. Private to the broker and never stored in shared
// memory: free is what nothing refers to, and a restarted broker recounts it.
//
// Two kinds of pieces. *Classes* are powers of two from 4 KiB to 1 MiB; everything else is an exact
// *run*. Classes grow from the low end of the region and runs from the high end, so that a large
// message finds its room although small pages come and go.
//
//      low                                                               high
//      | class pages -->  ....  extents of free units ....   <-- exact runs |
//                 ^ freed class pages wait on a stack per class
//
// A freed class page goes on its class's stack and comes back first: it is warm in caches and page
// tables. The stacks are merged back into extents when an allocation would fail otherwise. A freed
// run merges with its neighbours at once.
//
// One piece can be kept: as long as pages are on disk, memory in one piece has to be there for the
// largest of them, or what comes back would wait for a hole that nobody makes. It is taken from
// what such a page leaves behind, which is one piece by nature, and is lent to one page at a time.
//
//   L1  granted + free + kept == capacity (in units), where free is extents plus stacks, and kept
//       is the piece that is kept, less what is lent of it
//   L2  no two extents touch or overlap
//   L3  what is kept is one piece, and only take_kept gives it out
#ifndef WEIR_CORE_BROKER_PAGE_ALLOCATOR_HPP
#define WEIR_CORE_BROKER_PAGE_ALLOCATOR_HPP

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "shm/units.hpp"

namespace weir::broker {

using Units = std::uint64_t;  // of page_unit, a count
using Unit = std::uint64_t;   // of page_unit, a place

class PageAllocator {
public:
    static constexpr Units class_max = page_class_max / page_unit;

    // Units become available, once: the direct region is allocated in slices behind the start.
    void add_units(Unit first, Units count);

    // A contiguous piece of exactly `count` units, or nothing: then either too little is free
    // (free_units() < count) or it lies in pieces.
    std::optional<Unit> take(Units count);
    void give_back(Unit first, Units count);

    // From here on `count` units are kept in one piece, if they can be had; fewer than are kept
    // already change nothing, but that what is lent is made good.
    void keep(Units count);
    // No more than `count` need be kept, once it is not lent.
    void keep_at_most(Units count);
    // Of the piece that is kept, for one page. Given back like any other.
    std::optional<Unit> take_kept(Units count);
    // In the piece that is kept, and not lent.
    Units kept_units() const noexcept { return kept_.count - kept_.lent; }

    Units free_units() const noexcept { return free_; }
    Units capacity() const noexcept { return capacity_; }
    // The longest piece that could be taken now. Merges the stacks.
    Units longest_run();

    // Whether a count is one of the classes.
    static bool is_class(Units count) noexcept {
        return count != 0 && count <= class_max && (count & (count - 1)) == 0;
    }

private:
    static constexpr std::size_t classes = 9;  // 1, 2, ... 256 units
    static_assert(Units{1} << (classes - 1) == class_max);

    struct Kept {
        Unit first = 0;
        Units count = 0;
        Units lent = 0;  // from its front
    };

    static std::size_t class_of(Units count) noexcept;
    std::optional<Unit> cut(Units count);
    void merge(Unit first, Units count);
    void merge_stacks();
    void give_up_kept(Units from);

    std::map<Unit, Units> extents_;
    std::array<std::vector<Unit>, classes> stacks_;
    Kept kept_;
    Units free_ = 0;
    Units capacity_ = 0;
};

}  // namespace weir::broker

#endif
