// SPDX-License-Identifier: Apache-2.0
//
// The life of a connection; see sessions.hpp for its states and invariants.
//
// Whatever arrives is input: a packet is read whole and only if its length is that of its kind,
// texts end inside their fields, and a request that is out of place ends the connection it came on.
#include "core/broker/sessions.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>

#include "core/base/check.hpp"
#include "core/base/log.hpp"
#include "core/broker/peer.hpp"

namespace weir::broker {
namespace {

using protocol::Kind;
using protocol::Refusal;

// The field of a hello that stands at one place in all versions, also in a hello of another length.
std::optional<std::uint32_t> version_of(const protocol::Packet& packet) {
    std::uint32_t version = 0;
    if (packet.size < sizeof(protocol::Header) + sizeof(version)) return std::nullopt;
    std::memcpy(&version, packet.bytes.data() + sizeof(protocol::Header), sizeof(version));
    return version;
}
static_assert(offsetof(protocol::Hello, version) == sizeof(protocol::Header));

}  // namespace

bool Sessions::is_open(const Connection& connection) const noexcept {
    return connection.state == ConnectionState::greeting ||
           connection.state == ConnectionState::attached;
}

std::optional<ConnectionId> Sessions::admit(Fd socket) {
    if (living_ >= rules_.connections_max) {
        protocol::Refused refused{};
        refused.code = Refusal::limit_reached;
        protocol::copy_text(refused.sentence,
                            fmt::format("the broker has {} sessions, its limit: end some, or start "
                                        "it with a larger --heap",
                                        living_));
        // Whether it is read does not matter here: the socket is closed in any case.
        if (auto sent = protocol::send_message(socket.get(), refused, 0); !sent)
            return std::nullopt;
        return std::nullopt;
    }
    if (free_.empty()) {
        free_.push_back(static_cast<ConnectionId>(connections_.size()));
        connections_.push_back(nullptr);
    }
    const ConnectionId id = free_.back();
    free_.pop_back();
    connections_[id] = std::make_unique<Connection>();
    connections_[id]->socket = std::move(socket);
    connections_[id]->since_ns = clock_.now_ns();
    ++living_;
    return id;
}

void Sessions::received(ConnectionId id, const protocol::Packet& packet, bool cut) {
    Connection& connection = *connections_[id];
    if (!is_open(connection)) return;  // it came while the connection was being ended
    const protocol::Header* const header = cut ? nullptr : packet.header();
    if (header == nullptr)
        return reject(connection, 0, Refusal::bad_request,
                      "this is no packet of Weir: connect with a client of this broker's build");
    if (connection.state == ConnectionState::greeting) return greet(connection, packet);
    dispatch(connection, packet);
}

// The order of the checks: what is needed to understand the packet first, then who sent it. A
// client of another build learns that, not that its packet is garbage.
void Sessions::greet(Connection& connection, const protocol::Packet& packet) {
    const protocol::Header& header = *packet.header();
    if (header.kind != Kind::hello)
        return reject(connection, header.request, Refusal::bad_request,
                      "the first packet of a connection is a hello");
    const auto version = version_of(packet);
    if (version && *version != protocol::version)
        return reject(
            connection, header.request, Refusal::layout_differs,
            fmt::format("the broker speaks version {} of the control protocol, the client "
                        "version {}: use programs of one build",
                        protocol::version, *version));
    protocol::Hello hello{};
    if (!packet.read(hello))
        return reject(connection, header.request, Refusal::bad_request,
                      "the hello has a wrong length");
    if (hello.fingerprint != layout_fingerprint())
        return reject(connection, header.request, Refusal::layout_differs,
                      fmt::format("the broker's layout is {:016x}, the client's {:016x}: use "
                                  "programs of one build (weir --version shows the layout)",
                                  layout_fingerprint(), hello.fingerprint));
    attach(connection, hello);
}

void Sessions::attach(Connection& connection, const protocol::Hello& hello) {
    const std::uint64_t request = hello.header.request;
    const auto uid = peer_uid(connection.socket.get());
    if (!uid || (*uid != rules_.own_uid && *uid != 0))
        return reject(connection, request, Refusal::not_permitted,
                      fmt::format("this broker serves user {} and root only", rules_.own_uid));
    auto peer = identify_peer(connection.socket.get(), hello.start_time);
    if (!peer) return reject(connection, request, peer.error().code, peer.error().sentence);

    auto slot = memory_.open_session(Evidence{peer->pid, peer->uid, peer->start_time,
                                              std::string(protocol::read_text(hello.name))});
    if (!slot) return reject(connection, request, slot.error().code, slot.error().sentence);
    connection.state = ConnectionState::attached;
    connection.process = std::move(peer->process);
    connection.slot = *slot;
    connection.session = memory_.session_number(*slot);
    connection.pid = peer->pid;
    ++sessions_opened_;

    const Regions regions = memory_.regions();
    protocol::Welcome welcome{};
    welcome.session = connection.session;
    welcome.session_slot = connection.slot;
    welcome.control_bytes = regions.control_bytes;
    welcome.signals_bytes = regions.signals_bytes;
    welcome.direct_bytes = regions.direct_bytes;
    welcome.claims_bytes = regions.claims_bytes;
    const std::array fds{regions.control_ro, regions.signals, regions.direct_ro, rules_.doorbell,
                         regions.claims};
    answer(connection, request, welcome, fds);
}

void Sessions::dispatch(Connection& connection, const protocol::Packet& packet) {
    const protocol::Header& header = *packet.header();
    bool understood = false;
    switch (header.kind) {
        case Kind::open_producer:
            understood = handle<protocol::OpenProducer>(connection, packet);
            break;
        case Kind::close_producer:
            understood = handle<protocol::CloseProducer>(connection, packet);
            break;
        case Kind::open_consumer:
            understood = handle<protocol::OpenConsumer>(connection, packet);
            break;
        case Kind::widen_consumer:
            understood = handle<protocol::WidenConsumer>(connection, packet);
            break;
        case Kind::close_consumer:
            understood = handle<protocol::CloseConsumer>(connection, packet);
            break;
        case Kind::settle: understood = handle<protocol::Settle>(connection, packet); break;
        case Kind::bye: understood = handle<protocol::Bye>(connection, packet); break;
        case Kind::stop: understood = handle<protocol::Stop>(connection, packet); break;
        case Kind::set_policy: understood = handle<protocol::SetPolicy>(connection, packet); break;
        case Kind::read_policies:
            understood = handle<protocol::ReadPolicies>(connection, packet);
            break;
        case Kind::show_policy:
            understood = handle<protocol::ShowPolicy>(connection, packet);
            break;
        case Kind::hello:
            return reject(connection, header.request, Refusal::bad_request,
                          "this session has already said hello");
        default: break;  // answers, and numbers nobody knows
    }
    if (!understood)
        reject(connection, header.request, Refusal::bad_request,
               fmt::format("request {} is unknown or has a wrong length ({} bytes)",
                           static_cast<std::uint32_t>(header.kind), packet.size));
}

template <class Message>
bool Sessions::handle(Connection& connection, const protocol::Packet& packet) {
    Message request{};
    if (!packet.read(request)) return false;
    on(connection, request);
    return true;
}

void Sessions::on(Connection& connection, const protocol::OpenProducer& request) {
    // A producer that was killed just now may have been this destination's last one: its lane is
    // handed on only if its death is handled first.
    handle_deaths();
    if (!is_open(connection)) return;  // the asking process is among the dead
    auto opened = memory_.open_producer(connection.slot, protocol::read_text(request.destination));
    if (!opened)
        return refuse(connection, request.header.request, opened.error().code,
                      opened.error().sentence);
    std::vector<int> fds;
    if (opened->fields.with_direct != 0) fds.push_back(memory_.regions().direct_rw);
    if (opened->fields.with_block != 0) fds.push_back(opened->block);
    answer(connection, request.header.request, opened->fields, fds);
}

void Sessions::on(Connection& connection, const protocol::CloseProducer& request) {
    answer_done(connection, request.header.request,
                memory_.close_producer(connection.slot, request.lane));
}

void Sessions::on(Connection& connection, const protocol::OpenConsumer& request) {
    answer_consumer(connection, request.header.request,
                    memory_.open_consumer(connection.slot, protocol::read_text(request.pattern),
                                          request.notes, request.prefetch));
}

void Sessions::on(Connection& connection, const protocol::WidenConsumer& request) {
    answer_consumer(connection, request.header.request,
                    memory_.widen_consumer(connection.slot, request.subscription, request.notes));
}

void Sessions::answer_consumer(Connection& connection, std::uint64_t request,
                               const Result<ConsumerAnswer, Refused>& consumer) {
    if (!consumer)
        return refuse(connection, request, consumer.error().code, consumer.error().sentence);
    std::vector<int> fds;
    if (consumer->fields.with_block != 0) fds.push_back(consumer->block);
    answer(connection, request, consumer->fields, fds);
}

void Sessions::on(Connection& connection, const protocol::CloseConsumer& request) {
    answer_done(connection, request.header.request,
                memory_.close_consumer(connection.slot, request.subscription));
}

void Sessions::on(Connection& connection, const protocol::Settle& request) {
    memory_.settle();
    answer(connection, request.header.request, protocol::Done{});
}

void Sessions::on(Connection& connection, const protocol::Bye& request) {
    memory_.end_session(connection.slot, Ending::left);
    // The session has ended (S1); whether the peer reads the answer changes nothing any more.
    protocol::Done done{};
    if (!protocol::send_message(connection.socket.get(), done, request.header.request))
        log::debug("session {}: its last answer was not read", connection.session);
    finish(connection, std::nullopt);
}

// Answered when the stop has happened; the earliest deadline of all who ask is the one that holds.
void Sessions::on(Connection& connection, const protocol::Stop& request) {
    connection.stop_request = request.header.request;
    const std::uint64_t now = clock_.now_ns();
    const std::uint64_t deadline = now + std::min(request.drain_ns, UINT64_MAX - now);
    stop_deadline_ns_ = std::min(stop_deadline_ns_.value_or(UINT64_MAX), deadline);
}

// A text without an end may have been cut: half a value must not be taken for one.
void Sessions::on(Connection& connection, const protocol::SetPolicy& request) {
    const std::string_view pattern = protocol::read_text(request.pattern);
    const std::string_view settings = protocol::read_text(request.settings);
    if (request.settings[settings.size()] != '\0' || request.pattern[pattern.size()] != '\0')
        return refuse(connection, request.header.request, Refusal::bad_policy,
                      "that is longer than a request may be: set fewer keys at once");
    auto change = memory_.set_policy(pattern, settings);
    if (change)
        log::info("session {} (pid {}) has set a policy: {} destinations have another now",
                  connection.session, connection.pid, change->destinations);
    answer_change(connection, request.header.request, change);
}

void Sessions::on(Connection& connection, const protocol::ReadPolicies& request) {
    answer_change(connection, request.header.request, read_policies());
}

void Sessions::on(Connection& connection, const protocol::ShowPolicy& request) {
    auto shown = memory_.show_policy(protocol::read_text(request.destination), request.key);
    if (!shown)
        return refuse(connection, request.header.request, shown.error().code,
                      shown.error().sentence);
    protocol::PolicyShown answered{};
    answered.generation = shown->generation;
    answered.number = shown->value.number;
    answered.messages = shown->value.messages;
    answered.key = request.key;
    answered.origin = static_cast<std::uint32_t>(shown->source.origin);
    protocol::copy_text(answered.name, name_of(static_cast<PolicyKey>(request.key)));
    protocol::copy_text(answered.value, shown->text);
    protocol::copy_text(answered.written, shown->source.written);
    protocol::copy_text(answered.pattern, shown->source.pattern);
    protocol::copy_text(answered.place, shown->source.place);
    answer(connection, request.header.request, answered);
}

void Sessions::answer_change(Connection& connection, std::uint64_t request,
                             const Result<PolicyChange, Refused>& change) {
    if (!change) return refuse(connection, request, change.error().code, change.error().sentence);
    protocol::PolicyChanged changed{};
    changed.generation = change->generation;
    changed.destinations = change->destinations;
    changed.over_limit = change->over_limit;
    protocol::copy_text(changed.note, change->note);
    answer(connection, request, changed);
}

Result<PolicyChange, Refused> Sessions::read_policies() {
    if (!rules_.read_policies)
        return fail(Refusal::not_found,
                    "this broker was started without a configuration file: "
                    "start it with --config");
    auto change = rules_.read_policies();
    if (change) {
        log::info("the policies were read again: {} destinations have another now",
                  change->destinations);
        if (!change->note.empty()) log::warning("{}", change->note);
    } else {
        log::error("the policies were not taken, nothing is changed: {}", change.error().sentence);
    }
    return change;
}

template <class Message>
void Sessions::answer(Connection& connection, std::uint64_t request, const Message& message,
                      std::span<const int> fds) {
    auto sent = protocol::send_message(connection.socket.get(), message, request, fds);
    if (sent) return;
    if (sent.error() != protocol::ChannelError::closed)
        log::warning("session {} (pid {}) does not read its answers: ended", connection.session,
                     connection.pid);
    part(connection);
}

void Sessions::answer_done(Connection& connection, std::uint64_t request,
                           const Result<void, Refused>& outcome) {
    if (!outcome)
        return refuse(connection, request, outcome.error().code, outcome.error().sentence);
    answer(connection, request, protocol::Done{});
}

void Sessions::refuse(Connection& connection, std::uint64_t request, Refusal code,
                      std::string_view sentence) {
    protocol::Refused refused{};
    refused.code = code;
    protocol::copy_text(refused.sentence, sentence);
    answer(connection, request, refused);
}

void Sessions::reject(Connection& connection, std::uint64_t request, Refusal code,
                      std::string_view sentence) {
    if (const auto silent = rejections_.due("rejected", clock_.now_ns()))
        log::info("a connection is ended (pid {}; {} more before it): {}", connection.pid, *silent,
                  sentence);
    refuse(connection, request, code, sentence);
    if (is_open(connection)) part(connection);
}

void Sessions::hung_up(ConnectionId id) {
    Connection& connection = *connections_[id];
    if (is_open(connection)) part(connection);
}

void Sessions::died(ConnectionId id) {
    Connection& connection = *connections_[id];
    if (connection.state == ConnectionState::attached ||
        connection.state == ConnectionState::orphaned)
        finish(connection, Ending::died);
}

void Sessions::part(Connection& connection) {
    if (connection.state == ConnectionState::greeting) return finish(connection, std::nullopt);
    if (has_died(connection.process.get())) return finish(connection, Ending::died);
    memory_.suspend_session(connection.slot);
    connection.state = ConnectionState::orphaned;
    ::shutdown(connection.socket.get(), SHUT_RDWR);
}

void Sessions::finish(Connection& connection, std::optional<Ending> ending) {
    WEIR_CHECK(connection.state != ConnectionState::over);
    if (ending) memory_.end_session(connection.slot, *ending);
    connection.state = ConnectionState::over;
    // Not closed yet: an operation of the loop may be under way on it, which this ends.
    ::shutdown(connection.socket.get(), SHUT_RDWR);
    --living_;
}

bool Sessions::anyone_greets() const noexcept {
    return std::any_of(connections_.begin(), connections_.end(), [](const auto& connection) {
        return connection != nullptr && connection->state == ConnectionState::greeting;
    });
}

void Sessions::expire_greetings() {
    const std::uint64_t now = clock_.now_ns();
    for (const auto& connection : connections_) {
        if (connection == nullptr || connection->state != ConnectionState::greeting) continue;
        if (now - connection->since_ns < rules_.greeting_ns) continue;
        reject(*connection, 0, Refusal::bad_request, "no hello came: connect again and say hello");
    }
}

void Sessions::handle_deaths() {
    std::vector<pollfd> watched;
    std::vector<Connection*> watchers;
    for (const auto& connection : connections_) {
        if (connection == nullptr || (connection->state != ConnectionState::attached &&
                                      connection->state != ConnectionState::orphaned))
            continue;
        watched.push_back({connection->process.get(), POLLIN, 0});
        watchers.push_back(connection.get());
    }
    if (::poll(watched.data(), watched.size(), 0) <= 0) return;
    std::vector<Connection*> dead;
    for (std::size_t index = 0; index < watched.size(); ++index)
        if ((watched[index].revents & POLLIN) != 0) dead.push_back(watchers[index]);
    std::sort(dead.begin(), dead.end(), [](const Connection* one, const Connection* other) {
        return one->session < other->session;
    });
    for (Connection* const connection : dead) finish(*connection, Ending::died);
}

void Sessions::forget(ConnectionId id) {
    WEIR_CHECK(connections_[id]->state == ConnectionState::over);
    connections_[id].reset();
    free_.push_back(id);
}

void Sessions::answer_stops(std::uint64_t messages, std::uint64_t bytes) {
    protocol::Stopped stopped{};
    stopped.discarded_messages = messages;
    stopped.discarded_bytes = bytes;
    for (const auto& connection : connections_) {
        if (connection == nullptr || !is_open(*connection) || !connection->stop_request) continue;
        answer(*connection, *connection->stop_request, stopped);
    }
}

}  // namespace weir::broker
