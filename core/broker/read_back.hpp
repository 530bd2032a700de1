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

// What lies in memory ahead of a reader, page by page. Those in which there is no message (a record
// that was larger passed over them) bring it on by nothing and do not count, but only the first
// `empty_most` bytes of them, for what a page holds is its producer's word.
class Ahead {
public:
    constexpr Ahead(Bytes wanted, Bytes empty_most) noexcept
        : wanted_(wanted), empty_most_(empty_most) {}

    constexpr void add(Bytes bytes, bool is_empty) noexcept {
        const bool counts = !is_empty || empty_ + bytes > empty_most_;
        (counts ? have_ : empty_) += bytes;
    }
    constexpr bool is_enough() const noexcept { return have_ >= wanted_; }
    constexpr Bytes missing() const noexcept { return wanted_ - std::min(have_, wanted_); }

private:
    Bytes wanted_;
    Bytes empty_most_;
    Bytes have_ = 0;
    Bytes empty_ = 0;
};

class ReadBack {
public:
    ReadBack(Tables& tables, io::SpillStore& store) noexcept : tables_(&tables), store_(&store) {}

    // Asks for what the lane's readers will need.
    void serve(Lane& lane);
    void answered(const io::SpillOutcome& outcome);
    // Links what has come, drops what is lost.
    void link_arrived(Lane& lane);

    // What has to be in memory ahead of a reader of this lane; nothing of it was added yet.
    Ahead ahead_of(const Lane& lane, const Drain& drain) const noexcept;
    void add(Ahead& ahead, const Page& page) const noexcept;
    // Memory for a page was refused since it was asked last.
    bool take_refused() noexcept { return std::exchange(refused_, false); }
    // As much is free for a page, but was not in one piece, since it was asked last; 0: nothing.
    Bytes take_piece_lacking() noexcept { return std::exchange(piece_lacking_, 0); }
    std::uint64_t pages_lost() const noexcept { return pages_lost_; }

private:
    void serve(Lane& lane, const Reading& reading);
    Bytes ask(Lane& lane, const Run& run, Bytes most);
    void ask_alone(Lane& lane);
    void measure(Position at, Drain& drain) const noexcept;
    std::optional<Page> make_room(Lane& lane, Position start, std::uint32_t units);
    void drop(Lane& lane, Page& page);

    Tables* tables_;
    io::SpillStore* store_;
    std::uint64_t asked_ever_ = 0;
    std::map<std::uint64_t, LaneId> asked_;
    std::uint64_t pages_lost_ = 0;
    std::uint64_t pages_told_ = 0;  // of them, in the log
    std::uint64_t told_ns_ = 0;
    bool refused_ = false;
    Bytes piece_lacking_ = 0;
};

// Seeds a page's checksum: no two pages of a broker's life have the same lane and position.
std::uint64_t page_tag(const Tables& tables, const Lane& lane, Position start) noexcept;

}  // namespace weir::broker

#endif
