// SPDX-License-Identifier: Apache-2.0
//
// The broker's look around, for what nobody rings for.
//
// A consumer sleeps until it is woken, and who should have done it may have died, been stopped, or
// lied in `signals`, which every client may write. So that not each of them has to get up every
// second to look for itself, the broker looks for all:
//
//   W1  a reader that has had something before it for a whole look around, and has not moved on,
//       was overlooked: a subscriber of a topic, the consumers of a queue, those who are to take
//       what is delivered again. It is woken, whatever its sleep word says. (Not a pattern of
//       queues that has not found its new queue: nobody knows yet that it is one's consumer)
//   W2  a ready byte is cleared only behind a last reader, and stands again if something came in
//       between (signals.hpp, S1)
//   W3  what may call for another look within a second is never said to be at rest: somebody waits,
//       something unread has a reader, anything has moved since the look before
#ifndef WEIR_CORE_BROKER_WATCH_HPP
#define WEIR_CORE_BROKER_WATCH_HPP

#include "core/broker/tables.hpp"

namespace weir::broker {

class Watch {
public:
    explicit Watch(Tables& tables) noexcept : tables_(&tables) {}

    // Behind the settling of the books. True: all is at rest, the next look may be later (W3).
    bool look();

private:
    struct Seen;
    void look_at(Lane& lane, Seen& seen);
    void look_at_ranges(Destination& queue, Seen& seen);
    void wake(Numbers destinations);
    void clear_ready_bytes(const std::vector<Lane*>& read);

    Tables* tables_;
    std::uint64_t moved_ = 0;  // a sum that changes with everything that moves
};

}  // namespace weir::broker

#endif
