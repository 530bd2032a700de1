// SPDX-License-Identifier: Apache-2.0
//
// What can go wrong, one closed enum per kind of call. Cold calls return Error<Code>, a code and a
// sentence with what to do; calls that run per message return the code alone, and `sentence`
// explains it.
#ifndef WEIR_ERRORS_HPP
#define WEIR_ERRORS_HPP

#include <string_view>

#include "core/base/result.hpp"

namespace weir {

enum class ConnectError {
    no_broker,       // nobody listens under that name: `weir broker` starts one
    bad_name,        // not [a-z0-9-]{1,32}
    layout_differs,  // the broker is another build of Weir
    not_permitted,   // the broker belongs to another user
    limit_reached,   // sessions or heap-like memory are used up
    stopping,        // the broker is ending
    timed_out,       // the broker did not answer
    system,          // the operating system refused something: the sentence says what
};

enum class OpenError {
    bad_name,       // destination or pattern
    limit_reached,  // lanes, subscriptions, destinations or consumers of a queue are used up
    heap_full,      // heap-like memory is short
    direct_full,    // no page left
    stopping,
    broker_down,
    forked,  // the handle was inherited by fork: connect again in the child
    system,
};

enum class SendError {
    too_large,     // above the largest message of the broker or the destination
    no_grant,      // fail-at-once was asked for and there is no room (Producer::last_wait says why)
    timed_out,     // no room until the deadline (Producer::last_wait says why)
    dropped,       // a claim: given up, because that is what the policy or the caller wants
    closed,        // this producer was closed, or its lane ended
    broker_down,   // the broker is gone: nothing more will be granted
    bad_envelope,  // an envelope of more than 512 KiB
    forked,
    never_fits,  // its page is larger than a limit on its way (Producer::last_wait says which)
};

enum class ReceiveError {
    timed_out,    // no message until the deadline; for a poll: none now
    closed,       // this consumer was closed
    too_slow,     // the broker ended this subscription: the topic's policy does not wait for it
    broker_down,  // the broker is gone and everything that was granted has been read
    forked,
};

std::string_view sentence(SendError error) noexcept;
std::string_view sentence(ReceiveError error) noexcept;

}  // namespace weir

#endif
