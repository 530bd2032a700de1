// SPDX-License-Identifier: Apache-2.0
//
// Pages that leave a lane's chain while others behind them stay, and those that come back into it.
//
// Leaving is enter and retract (LAYOUT.md): the link before the first page is led over the gap,
// every process passes a barrier, and then the words of the consumers say which page somebody had
// stepped into before. That page, and those before it, are linked again.
//
//   J1  a link leads over a gap exactly if something of the lane is out of memory there
//   J2  a page that is in a reader's hands is never taken (`Reading`); nor is the first or the last
//       page of a lane, nor one that its producer has not sealed
//   J3  a page that follows what could not be read back says so before it can be reached from there
//       (PageSlot.lost)
#ifndef WEIR_CORE_BROKER_LANE_GAPS_HPP
#define WEIR_CORE_BROKER_LANE_GAPS_HPP

#include <optional>
#include <vector>

#include "core/broker/tables.hpp"

namespace weir::broker {

// Where one of the lane's readers stands: pages that touch [from, to] are in its hands. Of a queue
// that is the page of the cursor, and all before it, where notes may point to; of an exclusive
// subscription everything from its cursor to the page that it looks into or, of a lane that it has
// put down, to what its cursor word says is held. What lies before `from` no reading needs, or
// another one does.
struct Reading {
    Position from = 0;
    Position to = 0;
    Drain* drain = nullptr;
};
// In order of `from`. Its cursors must have been accepted.
std::vector<Reading> readings(const Tables& tables, Lane& lane);

// What is out of memory and before all readings is not needed any more: a slow subscriber left, or
// a consumer lied about the cursor of its queue.
void drop_unneeded(Tables& tables, Lane& lane);
bool is_unneeded(const Tables& tables, const Lane& lane, const Page& page);

// Something of the lane is out of memory, or on its way, at or behind `from` and before `to`.
bool gap_between(const Lane& lane, Position from, Position to);

// The last page in memory that begins before `position`.
std::optional<std::size_t> page_index_before(const Lane& lane, Position position);

// Links `pages[index]` with the page behind it, over a gap if there is one.
void link_onward(Tables& tables, Lane& lane, std::size_t index);

// A page behind `pages[index]` is gone for good: as above, and if that was the last one which was
// out there, what is missing is counted and marked.
void close_gap(Tables& tables, Lane& lane, std::size_t index);

// Takes pages[first, last) out of the chain, all but those that somebody had stepped into: the
// result, in order. There is a page before them and one behind.
std::vector<Page> take_out(Tables& tables, Lane& lane, std::size_t first, std::size_t last);

// Puts a page in its place and links it.
void put_in(Tables& tables, Lane& lane, Page page);

// Gives a page's memory back that is not in the chain.
void free_memory(Tables& tables, Lane& lane, Page& page);

}  // namespace weir::broker

#endif
