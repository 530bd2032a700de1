// SPDX-License-Identifier: Apache-2.0
//
// Pages back from disk, before they are needed.
//
// A consumer that reads towards a gap is read ahead of: as many bytes as it drains while the disk
// answers twice, between bounds. The pages that come are verified by the store, and linked in the
// lane's order, whatever the order in which the disk answered. Then the lane's readers are woken:
// filling their window is publishing.
//
//   state of a page      memory   leaves it by
//   in a run             none     being asked for, memory permitting
//   reading              yes      the disk's answer: sound, lost, or (several failed) alone
//   alone                yes      being read by itself: one bad page must not cost its neighbours
//   sound                yes      being linked, when nothing before it is out
//   lost                 yes      being dropped; its messages are counted, and marked on the page
//                                 behind it, when that is linked
//
//   E1  a page is linked only if it is what was written, and everything before it is linked or lost
//   E2  a page that came back keeps its place on disk until it is freed, so that it can leave
//       memory again without being written
#ifndef WEIR_CORE_BROKER_READ_BACK_HPP
#define WEIR_CORE_BROKER_READ_BACK_HPP

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "core/broker/lane_gaps.hpp"
#include "io/spill_store.hpp"

namespace weir::broker {

inline constexpr Bytes read_ahead_min = 1024 * 1024;
inline constexpr Bytes read_ahead_max = 16 * 1024 * 1024;

// As much as is drained in two answers of the disk and a turn of everything else.
constexpr Bytes read_ahead_bytes(Bytes drained_per_s, std::uint64_t answer_ns,
                                 Bytes direct) noexcept {
    const std::uint64_t span_us = 2 * answer_ns / ns_per_us + 20'000;
    const Bytes wanted = drained_per_s / 1000 * (span_us / 1000);
    const Bytes most = std::min(read_ahead_max, direct / 8);
    const Bytes least = std::min(read_ahead_min, direct / 16);
    return std::clamp(wanted, least, std::max(least, most));
}

class ReadBack {
public:
    ReadBack(Tables& tables, io::SpillStore& store) noexcept : tables_(&tables), store_(&store) {}

    // Asks for what the lane's readers will need.
    void serve(Lane& lane);
    void answered(const io::SpillOutcome& outcome);
    // Links what has come, drops what is lost.
    void link_arrived(Lane& lane);

    // How much is kept in memory ahead of a reader of this lane.
    Bytes window(const Lane& lane, const Drain& drain) const noexcept;
    // Memory for a page was refused since it was asked last.
    bool take_refused() noexcept { return std::exchange(refused_, false); }
    std::uint64_t pages_lost() const noexcept { return pages_lost_; }

private:
    void serve(Lane& lane, const Reading& reading);
    Bytes ask(Lane& lane, const Run& run, Bytes most, bool urgent);
    void ask_alone(Lane& lane);
    void measure(Position at, Drain& drain) const noexcept;
    std::optional<Page> make_room(Lane& lane, Position start, std::uint32_t units, bool urgent);
    void drop(Lane& lane, Page& page);

    Tables* tables_;
    io::SpillStore* store_;
    std::uint64_t asked_ever_ = 0;
    std::map<std::uint64_t, LaneId> asked_;
    std::uint64_t pages_lost_ = 0;
    std::uint64_t pages_told_ = 0;  // of them, in the log
    std::uint64_t told_ns_ = 0;
    bool refused_ = false;
};

// Seeds a page's checksum: no two pages of a broker's life have the same lane and position.
std::uint64_t page_tag(const Tables& tables, const Lane& lane, Position start) noexcept;

}  // namespace weir::broker

#endif
