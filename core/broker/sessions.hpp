// SPDX-License-Identifier: Apache-2.0
//
// Connections and what becomes of them.
//
// A connection begins with a socket that somebody opened. It becomes a session by a hello that
// passes every check, asks for producers and consumers, and ends in one of three ways: the client
// says bye, it is ended (it closed its socket, sent garbage, did not read its answers), or its
// process dies. Only bye and a proven death free what the session held. A process that merely
// closed its socket still writes where it has mapped, so its session is suspended until the process
// is dead.
//
//             hello passed            bye
//   greeting -------------> attached -----------------------------> over
//      |                       |  socket closed, garbage,            ^
//      | refused, closed,      |  answers not read                   |
//      | silent for too long   +-----------------> orphaned ---------+
//      |                       |   process alive               died  |
//      |                       +-------------------------------------+
//      +------------------------------------- process dead ----------+
//
// This file knows sockets and deaths, not how they are waited for: the loop tells it what arrived
// and asks afterwards in which state a connection is. So a test drives it with a socket pair.
//
// Invariants
//   S1  a session that was opened is ended exactly once, by bye or by a death
//   S2  an attached or orphaned connection has a pidfd; a session without a proof of death to come
//       does not exist
//   S3  nothing that a peer sends or leaves unread changes anything but its own connection
//   S4  a connection keeps its number until the loop forgets it, so a late completion finds its own
#ifndef WEIR_CORE_BROKER_SESSIONS_HPP
#define WEIR_CORE_BROKER_SESSIONS_HPP

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "core/base/clock.hpp"
#include "core/base/fd.hpp"
#include "core/base/log.hpp"
#include "core/broker/memory_half.hpp"
#include "core/protocol/channel.hpp"

namespace weir::broker {

enum class ConnectionState { greeting, attached, orphaned, over };

using ConnectionId = std::uint32_t;

struct SessionRules {
    std::uint32_t own_uid = 0;          // this user and root may attach
    std::uint32_t connections_max = 0;  // beyond it, a newcomer is told so and closed
    int doorbell = -1;                  // eventfd that clients ring, handed over with the welcome
    // Reads the configuration file again; empty: there is none.
    std::function<Result<PolicyChange, Refused>()> read_policies;
    std::uint64_t greeting_ns = 5 * ns_per_s;  // how long a connection may stay without a hello
};

class Sessions {
public:
    Sessions(MemoryHalf& memory, SessionRules rules, const Clock& clock)
        : memory_(memory), rules_(rules), clock_(clock) {}

    // Takes over an accepted socket. Nothing: it was one too many, told so and closed.
    std::optional<ConnectionId> admit(Fd socket);

    // What the loop saw. Each may end the connection it names, and no other.
    void received(ConnectionId id, const protocol::Packet& packet, bool cut);
    void hung_up(ConnectionId id);
    void died(ConnectionId id);
    // Ends what has stayed without a hello for too long.
    void expire_greetings();
    bool anyone_greets() const noexcept;
    // Handles every death that can be proven now, oldest session first.
    void handle_deaths();

    ConnectionState state(ConnectionId id) const { return connections_[id]->state; }
    int socket(ConnectionId id) const { return connections_[id]->socket.get(); }
    int process(ConnectionId id) const { return connections_[id]->process.get(); }
    // Closes the descriptors of a connection that is over, and frees its number.
    void forget(ConnectionId id);

    // Nothing, or until when consumers may go on reading before the broker ends: the earliest wish
    // counts. A wish stays when the client that had it goes away.
    std::optional<std::uint64_t> stop_deadline_ns() const noexcept { return stop_deadline_ns_; }
    // Tells everybody who asked for it what the stop discarded.
    void answer_stops(std::uint64_t messages, std::uint64_t bytes);

    // The policies of the configuration file take the place of those read before; its outcome is
    // logged.
    Result<PolicyChange, Refused> read_policies();

    // Connections that are not over, suspended sessions included.
    std::size_t living() const noexcept { return living_; }
    std::uint64_t sessions_opened() const noexcept { return sessions_opened_; }

private:
    struct Connection {
        ConnectionState state = ConnectionState::greeting;
        Fd socket;
        Fd process;  // pidfd, from the hello on
        std::uint32_t slot = 0;
        std::uint32_t pid = 0;
        std::uint64_t session = 0;
        std::uint64_t since_ns = 0;
        std::optional<std::uint64_t> stop_request;  // its number: to be answered at the end
    };

    bool is_open(const Connection& connection) const noexcept;
    void greet(Connection& connection, const protocol::Packet& packet);
    void attach(Connection& connection, const protocol::Hello& hello);
    void dispatch(Connection& connection, const protocol::Packet& packet);
    void on(Connection& connection, const protocol::OpenProducer& request);
    void on(Connection& connection, const protocol::CloseProducer& request);
    void on(Connection& connection, const protocol::OpenConsumer& request);
    void on(Connection& connection, const protocol::WidenConsumer& request);
    void on(Connection& connection, const protocol::CloseConsumer& request);
    void on(Connection& connection, const protocol::Settle& request);
    void on(Connection& connection, const protocol::Bye& request);
    void on(Connection& connection, const protocol::Stop& request);
    void on(Connection& connection, const protocol::SetPolicy& request);
    void on(Connection& connection, const protocol::ReadPolicies& request);
    void on(Connection& connection, const protocol::ShowPolicy& request);
    void answer_change(Connection& connection, std::uint64_t request,
                       const Result<PolicyChange, Refused>& change);

    template <class Message>
    bool handle(Connection& connection, const protocol::Packet& packet);
    template <class Message>
    void answer(Connection& connection, std::uint64_t request, const Message& message,
                std::span<const int> fds = {});
    void answer_consumer(Connection& connection, std::uint64_t request,
                         const Result<ConsumerAnswer, Refused>& consumer);
    void answer_done(Connection& connection, std::uint64_t request,
                     const Result<void, Refused>& outcome);
    void refuse(Connection& connection, std::uint64_t request, protocol::Refusal code,
                std::string_view sentence);
    // Refuses and ends the connection: what follows could only be nonsense.
    void reject(Connection& connection, std::uint64_t request, protocol::Refusal code,
                std::string_view sentence);
    // The socket's end: suspended or, if the process is dead, ended.
    void part(Connection& connection);
    void finish(Connection& connection, std::optional<Ending> ending);

    MemoryHalf& memory_;
    SessionRules rules_;
    const Clock& clock_;
    std::vector<std::unique_ptr<Connection>> connections_;
    std::vector<ConnectionId> free_;
    std::optional<std::uint64_t> stop_deadline_ns_;
    std::size_t living_ = 0;
    std::uint64_t sessions_opened_ = 0;
    log::Every rejections_{10 * ns_per_s};  // a stranger must not fill the log
};

}  // namespace weir::broker

#endif
