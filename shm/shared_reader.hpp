// SPDX-License-Identifier: Apache-2.0
//
// A shared consumer's view of one lane of a queue: claims ranges of records from a cursor that
// other consumers move too (claims.hpp has the steps and why a death at any instruction is
// unambiguous).
//
// No cursor of its own pins the page that this reader looks at. That is safe because what it read
// is used only if the cursor did not move in between, and a page is freed only when the cursor is
// behind it.
//
// One thread at a time.
#ifndef WEIR_SHM_SHARED_READER_HPP
#define WEIR_SHM_SHARED_READER_HPP

#include "shm/claims.hpp"
#include "shm/exchange.hpp"
#include "shm/lane_reader.hpp"

namespace weir {

// A range of messages of one page in the hands of this consumer.
struct ClaimedRange {
    LaneReader reader;  // stands at the first message; reads within the range only
    Position from = 0;
    Position to = 0;
    std::uint32_t count = 0;
    bool more = false;       // something was visible behind the range
    std::uint64_t lost = 0;  // messages of the lane that are missing directly before it
};

enum class RangeStatus {
    taken,  // the range is in the note and is ours
    empty,  // nothing to read in this lane now
    lost,   // somebody else moved the cursor: try again
};

class SharedReader {
public:
    SharedReader() = default;
    SharedReader(PageView pages, const LaneSlot& slot, LaneId lane, std::uint32_t self) noexcept
        : pages_(pages), slot_(&slot), reader_(pages, lane), lane_(lane), self_(self) {}

    // Takes up to `limit` (1 to 64) messages into `note`, which must be void: records of up to
    // `bytes` bytes together. Empty also when the next one alone is larger.
    RangeStatus claim(const ClaimsView& claims, ConsumerCell& cell, InFlightNote& note,
                      std::uint32_t limit, std::uint64_t bytes, ClaimedRange& range) noexcept;
    RangeStatus claim(const ClaimsView& claims, ConsumerCell& cell, InFlightNote& note,
                      std::uint32_t limit, ClaimedRange& range) noexcept {
        return claim(claims, cell, note, limit, ~std::uint64_t{0}, range);
    }

    // True if there is something to claim now.
    bool has_work(const ClaimsView& claims, ConsumerCell& cell) noexcept;

    LaneId lane() const noexcept { return lane_; }
    std::uint64_t damaged() const noexcept { return reader_.damaged(); }

private:
    bool find(Position position) noexcept;

    PageView pages_;
    const LaneSlot* slot_ = nullptr;
    LaneReader reader_;
    LaneId lane_ = 0;
    std::uint32_t self_ = 0;
};

// The page of `lane` that holds `position`, walking the chain from its oldest page; 0: none does
// now. A position at a page's end is still in it. The chain may change under the walk, which then
// begins anew: a page that is pinned (by an assignment, a note, a cursor) is found whatever goes
// before it.
PageRef page_of(const PageView& pages, const LaneSlot& lane, Position position) noexcept;

// Stands a reader at a range that the broker assigned (redelivery). False: it lies outside its
// page, which only a broker of another mind could say.
bool stand_at_range(LaneReader& reader, PageView pages, const LaneSlot& lane, Position from,
                    Position to) noexcept;

}  // namespace weir

#endif
