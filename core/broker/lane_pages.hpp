// SPDX-License-Identifier: Apache-2.0
//
// The pages of one lane: granted at its end, unlinked and freed when nothing needs them.
//
// The orders of stores are the contract of LAYOUT.md ("When a page is free"): a granted page is
// written and cleared before it is linked, a page is unlinked before its slot's `start` is cleared,
// and only then does its memory go to somebody else.
//
//   G1  a page is charged before it is taken and uncharged after it was given back
//   G2  the stop is never above the end of the last linked page
#ifndef WEIR_CORE_BROKER_LANE_PAGES_HPP
#define WEIR_CORE_BROKER_LANE_PAGES_HPP

#include "core/broker/tables.hpp"

namespace weir::broker {

enum class Append {
    done,
    full,        // the direct region is granted, up to what others have reserved
    fragmented,  // enough is free, but not in one piece
    exhausted,   // the lane has no positions left
    // Full at another level than the broker's:
    destination_limit,
    part_full,
    session_limit,
    user_limit,
};

// Grants and links a page of `units` behind the last one. The stop stays where it is.
Append append_page(Tables& tables, Lane& lane, Units units);

// The producer writes below this position.
void set_stop(Tables& tables, const Lane& lane, Position stop) noexcept;
// Lets it write to the end of the last page.
void raise_stop(Tables& tables, const Lane& lane) noexcept;

// Links `pages[index]` with its successor again, or with nothing: the broker's side of enter and
// retract.
void link_successor(Tables& tables, Lane& lane, std::size_t index);
void cut_behind(Tables& tables, Lane& lane, std::size_t index);

// Frees pages[first, last), which nothing links any more.
void free_pages(Tables& tables, Lane& lane, std::size_t first, std::size_t last);

// Unlinks and frees all pages of the first `count` whose `keep` entry is false.
void free_read_pages(Tables& tables, Lane& lane, std::size_t count, const std::vector<bool>& keep);

// The index of the page that the producer names, if it is one of this lane's. What the client wrote
// there is checked: any other word counts as no page.
std::optional<std::size_t> producer_page_index(const Tables& tables, const Lane& lane);

// Pages that end at or before this position are behind the lane's producer.
Position producer_floor(const Tables& tables, const Lane& lane);

}  // namespace weir::broker

#endif
