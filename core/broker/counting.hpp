// SPDX-License-Identifier: Apache-2.0
//
// How many messages lie where in a lane, and where it ends.
//
// A page that its producer left is sealed: its header says how many messages it holds, so nobody
// walks over them. Only the page being written, and one whose producer died before it sealed it, is
// walked, from the place where the last count stopped. Both is input: a count that cannot be is not
// believed, and a word that does not fit ends the page, as it does for every reader
// (lane_reader.hpp, L2).
//
//   N1  `Lane.counted` only moves forward, and never past the first zero word nor into a page
//       without a record
//   N2  `messages_before` of a page is set when the count enters it
//   N3  a walk is bounded by the bytes of the page it is in, or by the steps that the caller allows
//   N4  the count stands in a page of the lane's chain while there is one: a page leaves the chain,
//       freed or for the disk, only behind the count. One that the count stands at the end of is
//       left first (`leave_counted`); else it would go on at the page granted next, and all between
//       would be counted by nobody
#ifndef WEIR_CORE_BROKER_COUNTING_HPP
#define WEIR_CORE_BROKER_COUNTING_HPP

#include <optional>

#include "core/broker/tables.hpp"

namespace weir::broker {

enum class CountEnd {
    at_tail,       // at the first zero word, or at the end of the last page
    at_limit,      // reached the position that was asked for
    out_of_steps,  // there is more
};

inline constexpr std::uint64_t count_steps_max = 1u << 17;  // half a millisecond
inline constexpr Position everything = ~Position{0};

// A producer that writes over what was counted can make later counts smaller: then the difference
// is none.
constexpr std::uint64_t less(std::uint64_t from, std::uint64_t what) noexcept {
    return from > what ? from - what : 0;
}

// Moves the lane's count forward.
CountEnd count_forward(const PageView& pages, Lane& lane, Position limit, std::uint64_t steps);

// Messages of the lane before `position`; `near` is an earlier answer for a position at or before
// it. At most what has been counted.
CountedPlace count_before(const PageView& pages, const Lane& lane, const CountedPlace& near,
                          Position position);

// The position behind the next `messages` messages of a page, or behind its last one that is
// counted.
Position position_behind(const PageView& pages, const Lane& lane, std::size_t index, Position from,
                         std::uint64_t messages);

// The page that holds `position`: where one page ends and the next begins it is the next one, if
// there is one. Nothing if the position is in none.
std::optional<std::size_t> page_index(const Lane& lane, Position position);

// The page in which the count stands: at its end, if nothing was written behind it. Nothing if that
// is gone.
std::optional<std::size_t> tail_index(const Lane& lane);

// The count goes on in this page.
void begin_count(Lane& lane, Page& page);

// The page before `pages[index]` leaves the chain, and its producer is behind it: if the count
// stands at its end, it goes on in `pages[index]`, whether anything was written there yet or not.
void leave_counted(Lane& lane, Position end, std::size_t index);

// What a page holds: by its header, or walked if its producer did not seal it.
struct PageContent {
    std::uint64_t messages = 0;
    std::uint64_t payload = 0;
};
PageContent page_content(const PageView& pages, const Page& page);

// The producer says that it will not write into this page any more.
bool is_sealed(const PageView& pages, const Page& page);

// What a range of a page holds, counted record by record: at most 64 messages.
struct RangeContent {
    std::uint32_t messages = 0;
    std::uint64_t payload[64];  // of each message
};
RangeContent range_content(const PageView& pages, const Page& page, Position from, Position to);

}  // namespace weir::broker

#endif
