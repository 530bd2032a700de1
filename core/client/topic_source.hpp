// SPDX-License-Identifier: Apache-2.0
//
// Reading a topic: one exclusive subscription with a cursor in each lane of the destinations it
// means.
//
// Its lanes stand in the places of its piece; a generation count in `control` tells when lanes have
// come or gone. The broker sets a place before the lane can be seen, or keeps a wider piece for the
// asking. Lanes are looked at in turn, a bounded number of messages each; ready bytes keep idle
// ones untouched.
//
// Invariants
//   T1  while a lane's pages are looked at, `looking_at` names it and its state was seen live
//       behind that
//   T2  a cursor is never above a message that was not acknowledged
//   T3  between two visits of a lane nothing but its position is kept: its pages may have gone
//       meanwhile. Where they were given up, the lane's floor is where it goes on; what is held of
//       it stands in its cursor, and its pages stay
#ifndef WEIR_CORE_CLIENT_TOPIC_SOURCE_HPP
#define WEIR_CORE_CLIENT_TOPIC_SOURCE_HPP

#include <deque>
#include <vector>

#include "core/client/connection.hpp"

namespace weir::detail {

class TopicSource {
public:
    TopicSource(Connection& connection, OpenedConsumer opened);

    // Steps to the end of every lane that is there now: what is sent from here on will be received.
    void first_look(ConsumerCore& core);
    // One look at each lane that may have something, beginning behind the one in hand.
    Result<Message, ReceiveError> look(ConsumerCore& core);
    // Puts down the lane in hand, so that the broker may end it.
    void leave(ConsumerCore& core) noexcept;
    // Acknowledges up to the message with this serial number, which ends at `end` in its lane. All
    // that was received: any end.
    void acknowledge(ConsumerCore& core, std::uint64_t serial, Position end) noexcept;

    std::uint32_t subscription() const noexcept { return opened_.answer.subscription; }

private:
    struct Lane {
        LaneId id = 0;
        std::uint64_t birth = 0;
        const LaneSlot* slot = nullptr;
        std::uint32_t place = 0;
        LaneReader reader;
        PageRef page = 0;          // where the last message lay
        bool owes_passed = false;  // a page was left that the cursor is still in
        bool gone = false;
    };
    // Messages received one behind the other from one lane and not acknowledged yet.
    struct Run {
        std::uint64_t first_serial;
        LaneId lane;
        Position end;  // of the last one
    };

    bool enter(ConsumerCore& core, Lane& lane) noexcept;
    bool stand(Lane& lane, Position position) noexcept;
    Result<Message, ReceiveError> look_into(ConsumerCore& core, Lane& lane);
    void pass_pages(ConsumerCore& core, Lane& lane, Position position) noexcept;
    void set_cursor(ConsumerCore& core, Lane& lane, Position position,
                    bool put_down = false) noexcept;
    bool holds(const ConsumerCore& core, const Lane& lane) const noexcept;
    void keep_or_pass(ConsumerCore& core, Lane& lane) noexcept;
    bool ended() const noexcept;
    void note_run(const ConsumerCore& core);
    void take_in_hand(ConsumerCore& core, Lane& lane) noexcept;
    void refresh(ConsumerCore& core);
    bool widen(ConsumerCore& core);
    void add_if_readable(std::uint32_t place, std::vector<Lane>& found);
    std::atomic<std::uint64_t>& cursor_of(const Lane& lane) const noexcept {
        return opened_.piece.place(lane.place).cursor;
    }
    Lane* lane_with(LaneId id) noexcept;
    std::uint32_t generation() const noexcept;

    Connection* connection_;
    OpenedConsumer opened_;
    std::uint32_t seen_generation_ = 0;
    std::vector<Lane> lanes_;
    std::size_t current_ = 0;
    bool in_hand_ = false;
    std::uint64_t hand_serial_ = 0;  // of the first message since the lane was taken in hand
    bool stale_ = true;              // lanes_ has to be made anew
    bool lost_ = false;              // its piece is not known any more (connection.hpp, N4)
    std::deque<Run> runs_;           // cumulative acknowledgement only
};

}  // namespace weir::detail

#endif
