// SPDX-License-Identifier: Apache-2.0
//
// Counting anew what a broker holds, from the regions themselves, and setting it beside its books.
//
//   resource   counted from                                      set beside the books of
//   direct     pages that links lead to, from each lane's first  lane, destination, session, broker
//   heap       slots in use, exchange and claims files, ranges   broker
//   messages   records from each cursor to the lane's end,       destination
//              notes, assignments
//   cursors    records that begin at a position                  accepted cursor
//
// Nothing is shared with the broker's arithmetic: it counts where it hands out and takes back, this
// counts what is there. The one thing it has to take the broker's word for are ranges that a dead
// consumer held and nobody was given yet: they are in nobody's shared memory.
//
// One recount is a look at a running system. While a broker changes its tables or clients read and
// write, numbers that were read at different moments need not agree, and that is no drift
// (examination.hpp decides). What cannot be seen is said, and not counted as equal.
//
//   I1  nothing that is read is followed out of its region, and nothing is written
//   I2  a difference names its place and both numbers
#ifndef WEIR_CORE_INSPECT_RECOUNT_HPP
#define WEIR_CORE_INSPECT_RECOUNT_HPP

#include <cstdint>
#include <string>
#include <vector>

#include "core/inspect/broker_files.hpp"
#include "shm/control.hpp"

namespace weir::inspect {

enum class Resource { direct, heap, messages, cursors };
inline constexpr std::size_t resources = 4;

struct Difference {
    Resource resource = Resource::direct;
    std::string where;  // "lane 3 of queue://orders"
    std::string what;   // "the books say 8192 bytes, its pages are 4096"
    std::uint64_t books = 0;
    std::uint64_t counted = 0;
    // Of the positions that were counted between. They only grow, so the same numbers at a place
    // that moved in between are not the same difference.
    std::uint64_t stamp = 0;

    bool operator==(const Difference&) const = default;
};

struct Totals {
    std::uint64_t books = 0;
    std::uint64_t counted = 0;
    bool seen = false;  // false: could not be counted
};

struct Recounted {
    Totals totals[resources];  // by Resource; of cursors both are how many
    std::vector<Difference> differences;
    std::vector<std::string> unseen;  // sentences
    std::uint64_t pages = 0;
    std::uint64_t records = 0;
    std::uint64_t damaged = 0;  // words that are no record's, which readers pass over
    bool at_rest = false;       // no table was changed meanwhile

    Totals& of(Resource resource) noexcept { return totals[static_cast<std::size_t>(resource)]; }
    const Totals& of(Resource resource) const noexcept {
        return totals[static_cast<std::size_t>(resource)];
    }
};

struct RecountPlan {
    bool broker_lives = false;  // its memory files can be opened
    bool settled = false;       // its books were brought up to date just now
};

// `control_bytes` is the size of the region that `view` looks at.
Recounted recount(const ControlView& view, std::uint64_t control_bytes, BrokerFiles& files,
                  const RecountPlan& plan);

// Bytes of all pages that lanes lead to, from `control` alone; nothing if tables were changed
// meanwhile. For those who watch a limit from outside.
struct Reachable {
    std::uint64_t bytes = 0;
    std::vector<std::uint64_t> of_destination;  // by slot number
    bool at_rest = false;
};
Reachable reachable_pages(const ControlView& view);

const char* name_of(Resource resource) noexcept;

}  // namespace weir::inspect

#endif  // WEIR_CORE_INSPECT_RECOUNT_HPP
