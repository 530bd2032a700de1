// SPDX-License-Identifier: Apache-2.0
//
// The life of a lane.
//
//      free ---> live ---> closed ---> live (handed on to the destination's next producer)
//                               \---> ended ---> free
//
// A lane whose producer has gone is closed: it ends at its first zero word, and what lay behind is
// unlinked. The destination's next producer goes on where it ends, in the same page, so a million
// producers with one message each, one after another, cost one page and arrive in order; the lane
// that was closed last is taken first for that reason. Besides, a destination keeps one closed
// lane; others end when they have been read and nobody looks at them.
//
//   B1  positions of a slot never repeat (LaneHistory)
//   B2  cursors of a lane are set before its state is live, generations step behind that
//   B3  a lane ends only if nothing in it is unread or in anybody's hands, and no consumer names it
#ifndef WEIR_CORE_BROKER_LANES_HPP
#define WEIR_CORE_BROKER_LANES_HPP

#include <span>

#include "core/broker/grants.hpp"
#include "core/broker/refusal.hpp"
#include "core/broker/subscriptions.hpp"

namespace weir::broker {

class Lanes {
public:
    Lanes(Tables& tables, Grants& grants, Subscriptions& subscriptions) noexcept
        : tables_(&tables), grants_(&grants), subscriptions_(&subscriptions) {}

    // Where a lane ends: in this page, or nowhere (0).
    struct Ending {
        PageRef page = 0;
        Position tail = 0;
        std::uint64_t messages = 0;  // in that page
        std::uint64_t payload = 0;
    };
    struct Opened {
        Lane* lane = nullptr;
        Ending ending;  // handed on: where the producer goes on
    };
    Result<Opened, Refused> open(Session& session, Destination& destination);

    // The producer has gone, or its lane was given up.
    void close(Lane& lane);
    // Its session lost its rights but may still write: nothing is granted, nothing taken.
    void quarantine(Lane& lane);

    // Continues what `close` had to leave for later. True: there is more to do.
    bool finish_closing();
    // Ends closed lanes that have been read, but one of each destination (`all`: that one too).
    void end_read_lanes(std::span<Destination* const> destinations, bool all);

private:
    Lane* closed_lane_of(Destination& destination) const;
    Result<Lane*, Refused> new_lane(Session& session, Destination& destination);
    void join_chain(Destination& destination, Lane& lane);
    void leave_chain(Destination& destination, Lane& lane);
    static Ending ending_of(const Lane& lane);
    bool find_ending(Lane& lane);
    bool may_end(Lane& lane) const;
    bool anyone_looks_at(const Lane& lane) const;
    void end(Lane& lane);

    Tables* tables_;
    Grants* grants_;
    Subscriptions* subscriptions_;
    std::vector<LaneId> unfinished_;  // closed, and where they end is not found yet
};

}  // namespace weir::broker

#endif
