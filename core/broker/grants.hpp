// SPDX-License-Identifier: Apache-2.0
//
// Serving lanes that ask for pages, and those that wait because there are none.
//
// A lane asks when less than half of its window is left, or when a record found no room. In normal
// running it is granted pages ahead, so that nobody waits. When memory is short the order is:
// collect what was read, take back what others were granted ahead, take the idle tails of others;
// only then a lane waits.
//
// Waiting is first come, first served by bytes: who comes again stands behind those who have been
// given less since they began to wait (start-time fair queueing: a lane's place is the line's
// clock, or where its last grant ended on that clock if that is later; serving moves the clock).
// What was taken while nobody waited for a moment counts too, up to a bound. Later, smaller
// requests may pass the first one for a bounded number of bytes (among those of one destination:
// for as much as it wants itself); then freed memory is set aside for it, by granting nothing else.
// What a destination takes out of its own reserve passes always: it was never the first one's to
// have.
//
// There is one line for the memory that all have in common and one per destination for what that
// may have, so who waits for its destination's limit, rate or depth is in nobody else's way. Who
// waits for what only its session or user may have is in nobody's way either, and stands in no
// order.
//
// A lane is served a little later, and then with more, where that costs its consumers nothing: when
// it has its head start (head_start.hpp), and when nearly everything is granted while its consumers
// have much to read. In a region that is full each page that is read would let one be written: a
// turn for each, and pages as small as what is free for a moment (64 B messages, the producer being
// the faster: 7000 turns a second, 70 to 85 million messages; put off 170).
//
// Between its high-water mark and its limit a destination is granted what its consumers drain
// (pace.hpp), unless its backlog flows to disk. Who would not wait is not slowed down either.
//
// A producer that does not wait is granted, or refused at once. One whose choice it is to give up
// the oldest (giving_up.hpp) gets what it gave up, past those who wait.
//
//   state of a lane     reason   waiting_since_ns   in the list    leaves it by
//   granted             none     0                  no             asking
//   postponed           none     0                  no             a moment passing
//   refused             set      0                  no             asking again
//   waiting             set      set                yes            a grant, giving up, its end
//
//   H1  while the list is not empty the `hungry` word is 1 (store, then collect again)
//   H2  pages ahead of need are granted only while nobody waits
//   H3  only a lane whose request was granted, or whose reason changed, is woken
#ifndef WEIR_CORE_BROKER_GRANTS_HPP
#define WEIR_CORE_BROKER_GRANTS_HPP

#include <optional>
#include <set>
#include <utility>

#include "core/base/deque.hpp"
#include "core/broker/lane_pages.hpp"

namespace weir::broker {

// Later requests may take this much while the first one waits, or as much as it wants if that is
// more.
inline constexpr Bytes passing_max = 1024 * 1024;
// For so long after the last one left a line, what is given still counts in it.
inline constexpr std::uint64_t line_memory_ns = 10 * ns_per_ms;
inline constexpr std::uint64_t never_due = ~std::uint64_t{0};

class Grants {
public:
    explicit Grants(Tables& tables) noexcept : tables_(&tables) {}

    // What a lane asked for, by its need bit.
    void serve(Lane& lane);
    // The first page of a lane that was just opened. Nobody waits for it: without one the producer
    // asks.
    void begin(Lane& lane);
    // Memory may have come free: serves those that wait, in order.
    void serve_waiting();
    // Once a turn: what was taken back in the last one may be asked for again.
    void begin_turn() noexcept { reclaimed_.clear(); }
    // Once a second: lanes that did not ask for long give back what they do not use.
    void shrink_idle();
    // No lane gets anything any more; those that wait learn why.
    void stop();
    // The lane has no producer any more.
    void forget(Lane& lane);

    // What is asked of the destination has changed.
    void policy_changed(Destination& destination);
    // When somebody who waits is to be looked at, though nobody rings; `never_due`: no need.
    std::uint64_t due_ns() const;

    // For memory that all have in common.
    bool anyone_waits() const noexcept { return !line_.lanes.empty(); }

private:
    struct Request {
        Bytes record = 0;      // bytes that found no room, 0: asked ahead
        bool blocked = false;  // the producer waits
        bool answer = false;   // the producer looks for an answer
        Overflow on_full = Overflow::block;

        // Fail-after: so shortly that it is no use to serve it later.
        bool waits() const noexcept {
            return on_full == Overflow::block || on_full == Overflow::fail_after;
        }
    };

    // For whom something was taken back: a level, and which of that level.
    struct Reclaimed {
        LimitLevel level = LimitLevel::none;
        std::uint32_t number = 0;
        bool operator==(const Reclaimed&) const = default;
    };

    Request read_request(const Lane& lane) const noexcept;
    bool has_room_ahead(const Lane& lane, Bytes record) const;
    Bytes bytes_ahead(const Lane& lane) const;
    bool has_room_in_page(Lane& lane, Bytes record) const;
    void serve_now(Lane& lane, const Request& request, std::uint64_t now);
    bool satisfy(Lane& lane, const Request& request, WaitReason& reason);
    bool allot_to(Lane& lane, const Request& request, WaitReason& reason);
    bool grant_first(Lane& lane, const Request& request, WaitReason& reason);
    bool gives_up(const Lane& lane, const Request& request) const;
    bool make_room(Lane& lane, const Request& request, Bytes at_least, WaitReason& reason);
    Append append(Lane& lane, Units units);
    bool append_suited(Lane& lane, Bytes record, WaitReason& reason);
    Bytes spare_bytes(const Lane& lane) const;
    Bytes unread_bytes(const Lane& lane) const;
    void fill_window(Lane& lane, const Request& request, Bytes most);
    std::optional<Lead> lead_of(Lane& lane, const Request& request, std::uint64_t now);
    bool is_alone(const Lane& lane, std::uint64_t now) const noexcept;
    bool others_wait(const Lane& lane, std::uint64_t now) const;
    void end_postponement(Lane& lane);
    bool may_be_late(const Lane& lane, const Request& request) const;
    bool postpone(Lane& lane, const Request& request, std::uint64_t now);
    void serve_postponed(std::uint64_t now);
    bool waits_for_pace(const Lane& lane, const Request& request) const;
    bool may_grant_now(const Lane& lane, Bytes needed);
    WaitReason stands_back(const Lane& lane, Bytes bytes, bool for_pace_too) const;
    WaitReason reason_shown(LaneId lane) const;
    std::uint64_t due_of(const Destination& destination) const;
    bool may_pass_in(const WaitingLine& line, const Lane& lane, Bytes bytes) const;
    void note_served(Lane& lane, Bytes bytes);
    bool contended(const WaitingLine& line) const;
    bool contended(const Lane& lane) const;
    Bytes share_of_free(const Lane& lane) const;
    WaitingLine& line_of(const Lane& lane, LineKind kind);
    void join(Lane& lane, LineKind kind);
    void leave(Lane& lane);
    void serve_line(const Numbers& order);
    bool keeps_all(const Lane& lane, bool reserves_too) const;
    bool reclaim_for(Lane& lane, LimitLevel level, bool own_too);
    void granted(Lane& lane);
    void refused(Lane& lane, const Request& request, WaitReason reason);
    void wait(Lane& lane, LineKind kind);
    void stop_waiting(Lane& lane);
    void step(Lane& lane);
    void set_hungry(bool hungry);
    std::vector<Lane*> live_lanes() const;
    Bytes free_bytes() const noexcept { return tables_->units.free_units() * page_unit; }

    Tables* tables_;
    WaitingLine line_;                    // for memory that all have in common
    WaitingLine apart_;                   // in no order
    std::vector<std::uint32_t> crowded_;  // destinations in whose lines somebody waits
    std::set<std::pair<std::uint64_t, LaneId>> postponed_;  // by Lane.due_ns
    SoleAsker asker_;
    std::vector<Reclaimed> reclaimed_;  // in this turn
};

}  // namespace weir::broker

#endif
