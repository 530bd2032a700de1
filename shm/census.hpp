// SPDX-License-Identifier: Apache-2.0
//
// What somebody who recounts a broker's memory needs beside the slots: whether the tables stand
// still, what one object of each kind is charged, where the memory files are, and what the broker
// found when it recounted itself.
//
// The tables of `control` are changed in many small stores. A reader that wants several of them to
// belong together looks at `Superblock.changes` before and after: an even number that is the same
// both times means that nothing was changed in between (LAYOUT.md, edge `tables_rest`). An odd one
// that stays means that the broker was stopped, or died, in the middle of a change.
//
// Descriptors are numbers of the broker's process: whoever may look into it (its user, root) opens
// them as /proc/PID/fd/NUMBER, read-only, also while it is stopped. They end with the broker.
#ifndef WEIR_SHM_CENSUS_HPP
#define WEIR_SHM_CENSUS_HPP

#include <atomic>
#include <cstdint>

namespace weir {

// Bytes of heap-like memory that one object of a kind is charged. Written before the magic.
struct HeapSizes {
    std::uint64_t tables;   // the broker's fixed tables, beside control, signals and claims
    std::uint64_t session;  // without its exchange
    std::uint64_t destination;
    std::uint64_t lane;
    std::uint64_t subscription;  // without its ranges and attachments
    std::uint64_t attachment;    // one per exclusive subscription and lane
    std::uint64_t range;         // one per note and assignment, and per range to be redelivered
    std::uint64_t run_charge;    // one per LaneSlot.run_charges: the places of some runs on disk
};

// Numbers in the broker's process. Written before the magic.
struct Descriptors {
    std::uint32_t signals;
    std::uint32_t direct;  // read-only
    std::uint32_t claims;
    std::uint32_t reserved;
};

// Published in slots: a descriptor's number plus one, so that zero means "none".
constexpr std::uint32_t shown_descriptor(int fd) noexcept {
    return static_cast<std::uint32_t>(fd + 1);
}
constexpr int descriptor_of(std::uint32_t shown) noexcept { return static_cast<int>(shown) - 1; }

// The broker's own recount: books minus what was found. All zero is what must stand here. Numbers
// for people and tests, each read alone.
struct SelfCount {
    std::atomic<std::int64_t> direct;         // bytes
    std::atomic<std::int64_t> heap;           // bytes
    std::atomic<std::int64_t> messages;       // in sealed pages
    std::atomic<std::uint64_t> passes;        // over everything, so far
    std::atomic<std::uint64_t> pages;         // looked at so far
    std::atomic<std::uint64_t> drifts;        // differences found so far, also those that are gone
    std::atomic<std::uint64_t> drifted_ns;    // CLOCK_MONOTONIC of the last one, 0: never
    std::atomic<std::uint32_t> drifted_lane;  // LaneId + 1 of the last one, 0: it was no lane's
    std::atomic<std::uint32_t> resting;       // 1: a whole pass found nothing changed
};

}  // namespace weir

#endif
