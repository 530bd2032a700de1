// SPDX-License-Identifier: Apache-2.0
//
// What to tell people about codes that travel without a sentence.
#include "weir/errors.hpp"

namespace weir {

std::string_view sentence(SendError error) noexcept {
    switch (error) {
        case SendError::too_large:
            return "the message is larger than the largest one of its destination or broker: send "
                   "it in parts";
        case SendError::no_grant:
            return "there is no room now: try again when wait_fd() is readable, or let send wait";
        case SendError::timed_out:
            return "there was no room until the deadline: last_wait() says what is full";
        case SendError::dropped:
            return "there was no room and the message was given up, as drop-newest says: "
                   "last_wait() "
                   "says what is full";
        case SendError::closed: return "this producer is closed: open another one";
        case SendError::broker_down:
            return "the broker is gone, nothing more will be granted: start it and connect again";
        case SendError::bad_envelope:
            return "the envelope is too large: 512 KiB in all, 64 KiB for a property's key";
        case SendError::forked:
            return "this producer belongs to the process that forked: connect again in the child";
        case SendError::never_fits:
            return "the message and its page are larger than a limit, so waiting is in vain: "
                   "last_wait() says which; raise it or send the message in parts";
    }
    return "unknown error";
}

std::string_view sentence(ReceiveError error) noexcept {
    switch (error) {
        case ReceiveError::timed_out: return "there was no message until the deadline";
        case ReceiveError::too_slow:
            return "the broker ended this subscription because it was too slow for its topic: read "
                   "faster, or change the topic's slow-subscriber";
        case ReceiveError::closed: return "this consumer is closed: open another one";
        case ReceiveError::broker_down:
            return "the broker is gone and all that it had granted is read: start it and connect "
                   "again";
        case ReceiveError::forked:
            return "this consumer belongs to the process that forked: connect again in the child";
    }
    return "unknown error";
}

}  // namespace weir
