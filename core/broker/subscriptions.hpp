// SPDX-License-Identifier: Apache-2.0
//
// Consumers and what they read.
//
//   exclusive   a topic's subscriber, by name or pattern: a place with a cursor for each of its
//               lanes in its own exchange piece (lane_places.hpp). It is attached to every lane
//               that matches, and to each later one before that becomes visible
//   shared      a consumer of a queue: it claims ranges from cursors that all consumers of the
//               queue move. They stand in `claims` while the queue has a consumer; otherwise the
//               broker keeps them itself
//
// A subscriber gets everything from its subscribing on: on lanes that exist, its cursor is set
// where they end now; on a lane that comes later, at that lane's very beginning.
//
//   U1  a cursor is written by the broker before its consumer can read the lane, and never after
//   U2  a claimant's number is its subscription's, so it is in one hand; no cursor names it any
//       more when it comes into the next one (claims.hpp, K5)
//   U3  a queue's cursors are in `claims` before its first consumer can be seen, and the broker has
//       accepted them before the last one is gone
#ifndef WEIR_CORE_BROKER_SUBSCRIPTIONS_HPP
#define WEIR_CORE_BROKER_SUBSCRIPTIONS_HPP

#include "core/broker/redelivery.hpp"
#include "core/broker/refusal.hpp"

namespace weir::broker {

class Subscriptions {
public:
    Subscriptions(Tables& tables, Redelivery& redelivery) noexcept
        : tables_(&tables), redelivery_(&redelivery) {}

    struct Opened {
        Subscription* subscription = nullptr;
    };
    // A subscriber of one topic, or of all that `pattern` means if `topic` is null.
    Result<Opened, Refused> open_exclusive(Session& session, std::string_view pattern,
                                           Destination* topic, std::uint32_t prefetch);
    Result<Opened, Refused> open_shared(Session& session, Destination& queue, std::uint32_t notes,
                                        std::uint32_t prefetch);
    // Its consumer, which waits for the answer, asks for as many notes, or for places in the lanes
    // that have come (exchange.hpp). Refused: nothing has changed.
    Result<void, Refused> widen(Subscription& subscription, std::uint32_t notes);
    // What it held and did not acknowledge is to be delivered again.
    void close(Subscription& subscription);
    // Its session lost its rights but may still read and claim: nothing is assigned to it any more.
    void quarantine(Subscription& subscription);

    // A lane that is not visible yet gets a cursor of every subscriber, at the cost of who opens
    // it. What stands in the way, if heap-like memory is short.
    Obstacle attach_new_lane(const Destination& destination, Lane& lane, Session& opener);
    // A lane that ends: its subscribers' counts are kept.
    void detach_lane(Destination& destination, Lane& lane);
    // A new topic joins the wildcard subscriptions that mean it.
    void attach_new_topic(Destination& topic);

private:
    Result<Subscription*, Refused> make(Session& session, Destination* destination,
                                        std::string_view pattern, SubscriptionKind kind,
                                        std::uint32_t notes, std::uint32_t places);
    void show(Subscription& subscription, std::uint32_t prefetch);
    void show_piece(const Subscription& subscription);
    Result<void, Refused> widen_notes(Subscription& subscription, std::uint32_t notes);
    Obstacle attach(Subscription& subscription, const Destination& destination, Lane& lane,
                    Position cursor, Session& holder);
    Obstacle attach_topic(Subscription& subscription, Destination& topic);
    void detach(Subscription& subscription);
    void detach_from(Destination& topic, const Subscription& subscription);
    void drop(Subscription& subscription);
    void take_name_off(const Destination& queue, std::uint32_t claimant);
    void publish_consumers(Destination& destination);

    Tables* tables_;
    Redelivery* redelivery_;
};

}  // namespace weir::broker

#endif
