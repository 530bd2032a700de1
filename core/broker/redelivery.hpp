// SPDX-License-Identifier: Apache-2.0
//
// Messages that were in the hands of a consumer that left or died, and were not acknowledged.
//
// A shared consumer notes what it takes before it takes it (claims.hpp), so its notes say what it
// held:
//
//   note                                  held
//   void, or nonsense                     nothing
//   an own claim that did not win         nothing
//   an own claim that won                 what is due and not acknowledged
//   names an assignment of the broker     the same; the broker's record of it ends there
//   none names an assignment              all of it if `taken` does not count it, else it is done
//
// What was held becomes *pending*: ranges in order of lane and position, which the broker writes
// into rings of assignments. Nothing is claimed, so nothing is in two hands. Only messages that
// were started, handed to the user, count as delivered and are flagged.
//
//   D1  a range is in one place: a claimant's note, the pending list, or one consumer's ring
//   D2  assignment n overwrites n - 64 only when `taken` passed that
//   D3  a note is believed as far as the broker's tables allow: one page of one of the queue's
//       lanes, below the cursor, and no more messages than the page holds there
#ifndef WEIR_CORE_BROKER_REDELIVERY_HPP
#define WEIR_CORE_BROKER_REDELIVERY_HPP

#include "core/broker/collection.hpp"
#include "core/broker/tables.hpp"

namespace weir::broker {

class Redelivery {
public:
    explicit Redelivery(Tables& tables) noexcept : tables_(&tables) {}

    // Moves what a consumer held to the pending list of its queue.
    void gather(Destination& queue, Subscription& consumer);
    // Writes pending ranges into the rings of consumers that have room. True: some were assigned.
    bool assign(Destination& queue);
    // Forgets assigned ranges that have been acknowledged, so that their pages may go.
    void drop_finished(Destination& queue);

private:
    void gather_note(Destination& queue, Subscription& consumer, const InFlightNote& note);
    void add_pending(Destination& queue, Range range);
    Subscription* next_consumer(Destination& queue) const;
    void write(Subscription& consumer, Range range);
    void note_waiting(Destination& queue);

    Tables* tables_;
};

// Is the note a claim that its consumer won, or an assignment that it took over? Own claims are
// held against the accepted cursor; the range of an assignment is the broker's.
bool holds(const Tables& tables, const Subscription& consumer, const NoteCopy& note);

// The assignment that a note names, if the broker made it to this consumer and with that range.
const Outstanding* named_assignment(const Subscription& consumer, const NoteCopy& note);

// Writes it into its place in a ring.
void show_assignment(const ConsumerPiece& piece, const Outstanding& outstanding) noexcept;

// How many assignments the consumer has copied, as far as it can be true.
std::uint64_t taken_by(const Subscription& consumer) noexcept;

}  // namespace weir::broker

#endif
