// SPDX-License-Identifier: Apache-2.0
//
// Consumers and what they read.
//
//   exclusive   a topic's subscriber, by name or pattern: a cursor per lane in its own exchange
//               piece. It is attached to every lane that matches, and to each later one before
//               that becomes visible
//   shared      a consumer of a queue: it claims ranges from cursors that all consumers of the
//               queue move. The cursors stand in `claims`, a memory file that exists while the
//               queue has a consumer; otherwise the broker keeps them itself
//
// A subscriber gets everything from its subscribing on: on lanes that exist, its cursor is set
// where they end now; on a lane that comes later, at that lane's very beginning.
//
//   U1  a cursor is written by the broker before the lane or the subscription is visible, and never
//       after until the lane has ended; the chunk that it stands in is announced before both
//   U2  consumer slots of a queue are 1 to 256, each in one hand
//   U3  claims are charged before they are made, and their positions are copied back before they
//       are dropped, and that before the piece of the consumer in which they may stand
#ifndef WEIR_CORE_BROKER_SUBSCRIPTIONS_HPP
#define WEIR_CORE_BROKER_SUBSCRIPTIONS_HPP

#include "core/broker/redelivery.hpp"
#include "core/broker/refusal.hpp"

namespace weir::broker {

class Subscriptions {
public:
    Subscriptions(Tables& tables, Redelivery& redelivery) noexcept
        : tables_(&tables), redelivery_(&redelivery) {}

    // A subscriber of one topic, or of all that `pattern` means if `topic` is null.
    Result<Subscription*, Refused> open_exclusive(Session& session, std::string_view pattern,
                                                  Destination* topic, std::uint32_t prefetch);
    Result<Subscription*, Refused> open_shared(Session& session, Destination& queue,
                                               std::uint32_t notes, std::uint32_t prefetch);
    // Chunk number `chunk` (from 1) of a consumer's piece: cursors that were added, or notes that
    // it asks for here, one chunk after the other.
    Result<Piece, Refused> open_chunk(Subscription& subscription, std::uint32_t chunk);
    // What it held and did not acknowledge is to be delivered again.
    void close(Subscription& subscription);
    // Its session lost its rights but may still read and claim: nothing is assigned to it any more.
    void quarantine(Subscription& subscription);

    // A lane that is not visible yet gets a cursor of every subscriber. False: heap-like memory is
    // short.
    bool attach_new_lane(const Destination& destination, Lane& lane);
    // A lane that ends, or never began: its subscribers' counts are kept.
    void detach_lane(Destination& destination, Lane& lane);
    // A new topic joins the wildcard subscriptions that mean it.
    void attach_new_topic(Destination& topic);

private:
    Result<Subscription*, Refused> make(Session& session, Destination* destination,
                                        std::string_view pattern, SubscriptionKind kind,
                                        std::uint32_t notes);
    Result<void, Refused> add_chunk(Subscription& subscription, Bytes ranges);
    void show(Subscription& subscription, std::uint32_t prefetch);
    bool attach(Subscription& subscription, const Destination& destination, Lane& lane,
                Position cursor);
    bool attach_topic(Subscription& subscription, Destination& topic);
    void release_entry(const Attachment& attachment);
    void detach(Subscription& subscription);
    void drop(Subscription& subscription);
    void publish_consumers(Destination& destination);

    Tables* tables_;
    Redelivery* redelivery_;
};

}  // namespace weir::broker

#endif
