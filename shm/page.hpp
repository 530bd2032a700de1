// SPDX-License-Identifier: Apache-2.0
//
// A page: a contiguous piece of the direct region that belongs to one lane.
//
// Two descriptions of a page exist. The *page slot* stands in `control`, is written by the broker
// alone and is the truth. The *page header* stands at the page's own start, is written by the
// producer and is input: it only says how many messages a page holds, so that nobody needs to walk
// over records.
//
// The pages of a lane form a chain through `next`: that chain is the lane's window. A chain was
// taken instead of a fixed ring of window entries because a queue may hold any number of pages: a
// reader far behind then needs no window of its own, and a page that lies on disk is simply a gap
// in the chain.
//
//   P1  a slot's `start` is 0 while its page is free, and never the same twice for one lane,
//       except of a page that came back from disk
//   P2  the first word behind the header is zero before the page is linked
//   P3  pages follow each other in position while they are linked: start + bytes <= next.start.
//       What lies between was granted once and taken back: no position is granted twice
//   P4  a page is unlinked by the broker only, and only if no position is in it (LAYOUT.md,
//       retract)
#ifndef WEIR_SHM_PAGE_HPP
#define WEIR_SHM_PAGE_HPP

#include "shm/units.hpp"

namespace weir {

// In `control`, one per 4 KiB unit of the direct region; only the slot of a page's first unit is
// used.
//
//      0          8        12       16      20      24             28     32
//      +----------+--------+--------+-------+-------+--------------+------+
//      | start    | next   | units  | lane  | state | lane's birth | lost |
//      +----------+--------+--------+-------+-------+--------------+------+
enum class PageState : std::uint32_t {
    free = 0,
    granted = 1,      // linked in its lane's chain, or about to be
    quarantined = 2,  // its session ended without proof of death: kept until there is one
    giving_up = 3,    // may be dropped unread or go to disk: who names it now does not read it
    writing = 4,      // unlinked, on its way to disk: freed when it is there, else linked again
    reading = 5,      // on its way from disk; `start` is set when it is verified
};

// A page that a reader may not stay in: in the chain no more, or perhaps soon.
constexpr bool is_out(PageState state) noexcept {
    return state == PageState::giving_up || state == PageState::writing ||
           state == PageState::reading;
}

// Set in a link behind which pages of the lane are on disk. Who reads on meets the end of what was
// granted, as it were; who looks for a page further on follows the reference in the other bits.
inline constexpr PageRef link_over_gap = PageRef{1} << 31;
constexpr PageRef linked_page(PageRef link) noexcept { return link & ~link_over_gap; }

struct PageSlot {
    std::atomic<std::uint64_t> start;  // position of the page's first byte in its lane
    std::atomic<PageRef> next;         // the page that follows in the lane, 0: not granted yet;
                                       // with link_over_gap: the one behind what is on disk
    std::atomic<std::uint32_t> units;  // length in page_unit
    std::atomic<LaneId> lane;
    std::atomic<PageState> state;
    std::atomic<std::uint32_t> lane_birth;  // which use of that lane slot, modulo 2^32
    // The mark of a gap: so many messages of the lane lay directly before this page, in pages that
    // could not be read back from disk. Set before the page before it leads here.
    std::atomic<std::uint32_t> lost;
};
static_assert(sizeof(PageSlot) == 32);

// At the start of the page itself, written by its producer.
//
//      0       8           16            24           32             40        48       56     64
//      +-------+-----------+-------------+------------+--------------+---------+--------+-------+
//      | start | first     | messages+1  | payload    | latest       | length  | XXH3   | mess. |
//      |       | message   | once sealed | bytes      | expiry       | on disk |        | before |
//      +-------+-----------+-------------+------------+--------------+---------+--------+-------+
struct PageHeader {
    std::atomic<std::uint64_t> start;  // the producer's word for it; checked against the slot
    std::atomic<std::uint64_t> first_message;  // number of claims before this page in the lane
    std::atomic<std::uint64_t> sealed;         // 0: open; else messages in the page plus 1
    std::atomic<std::uint64_t> payload_bytes;  // of those messages; valid once sealed
    std::atomic<std::uint64_t> latest_expiry;  // ns since the epoch, 0: one of them never expires
    // The broker's, once the page is sealed and on its way to disk (io/spill_format.hpp).
    std::atomic<std::uint64_t> disk_bytes;
    std::atomic<std::uint64_t> disk_checksum;
    std::atomic<std::uint64_t> messages_before;  // in the lane
};
static_assert(sizeof(PageHeader) == page_header_bytes);

constexpr PageRef ref_of_unit(std::uint64_t unit) noexcept {
    return static_cast<PageRef>(unit + 1);
}
constexpr std::uint64_t unit_of_ref(PageRef ref) noexcept { return std::uint64_t{ref} - 1; }

// The direct region and its page table as one process sees them. Bounds are private memory: a
// reference loaded from shared memory is looked up only through `has`.
struct PageView {
    std::byte* direct = nullptr;
    const PageSlot* slots = nullptr;
    std::uint64_t units = 0;

    bool has(PageRef ref) const noexcept { return ref != 0 && unit_of_ref(ref) < units; }
    const PageSlot& slot(PageRef ref) const noexcept { return slots[unit_of_ref(ref)]; }
    std::byte* bytes(PageRef ref) const noexcept { return direct + unit_of_ref(ref) * page_unit; }
    PageHeader& header(PageRef ref) const noexcept {
        return *reinterpret_cast<PageHeader*>(bytes(ref));  // NOLINT: shared bytes have this layout
    }
    // Length of the page, cut to the region, so that a wrong length cannot lead outside it.
    std::uint64_t length(PageRef ref) const noexcept {
        // SYNC(page_freed) acquire: who looks at the page's start again does so behind this. That
        // it is visible at all the link has seen to (page_linked).
        const std::uint64_t length = slot(ref).units.load(std::memory_order_acquire);
        const std::uint64_t left = units - unit_of_ref(ref);
        return (length < left ? length : left) * page_unit;
    }
};

inline std::atomic<std::uint64_t>& word_at(std::byte* address) noexcept {
    return *reinterpret_cast<std::atomic<std::uint64_t>*>(
        address);  // NOLINT: 8-aligned shared word
}

}  // namespace weir

#endif
