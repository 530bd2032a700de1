// SPDX-License-Identifier: Apache-2.0
//
// One request to a running broker, from a process that wants nothing else of it.
//
// It is an ordinary session: it says hello, asks, and closes its socket. Whoever administers a
// broker (stop, policies, purge) does it through this, so each says "no broker runs" the same way.
#ifndef WEIR_CORE_BROKER_REQUEST_SESSION_HPP
#define WEIR_CORE_BROKER_REQUEST_SESSION_HPP

#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/clock.hpp"
#include "core/base/fd.hpp"
#include "core/base/result.hpp"
#include "core/protocol/channel.hpp"
#include "core/protocol/places.hpp"

namespace weir::broker {

enum class RequestFailure {
    no_broker,  // nobody listens under that name
    usage,      // the broker refuses what was asked as badly written
    refused,    // it refuses it for another reason
    hung_up,    // it ended the connection without a word
    silent,     // it did not answer, or did not end, in time
    system,     // a call failed
};

class RequestSession {
public:
    // `who` is shown in the statistics as long as it lasts.
    static Result<RequestSession, Error<RequestFailure>> open(const std::string& name,
                                                              const Places& places,
                                                              std::string_view who);

    // Sends a request and waits for its answer.
    template <class Answer, class Request>
    Result<Answer, Error<RequestFailure>> ask(const Request& request,
                                              std::uint64_t wait_ns = patience_ns) {
        if (auto sent = protocol::send_message(socket_.get(), request, ++asked_); !sent)
            return fail(lost(sent.error()));
        auto packet = receive(wait_ns);
        if (!packet) return fail(packet.error());
        Answer answer{};
        if (packet->read(answer)) return answer;
        return fail(refusal_in(*packet));
    }

    int socket() const noexcept { return socket_.get(); }

    // What a busy broker may take to answer.
    static constexpr std::uint64_t patience_ns = 10 * ns_per_s;

private:
    explicit RequestSession(Fd socket) noexcept : socket_(std::move(socket)) {}

    static Error<RequestFailure> lost(protocol::ChannelError error);
    static Error<RequestFailure> refusal_in(const protocol::Packet& packet);
    Result<protocol::Packet, Error<RequestFailure>> receive(std::uint64_t wait_ns);

    Fd socket_;
    std::uint64_t asked_ = 0;
};

}  // namespace weir::broker

#endif
