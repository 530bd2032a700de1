// SPDX-License-Identifier: Apache-2.0
//
// Finding a broker and attaching to it; the rest of a session is its connection.
//
//   call the socket ---- somebody answers ----> attach
//        | nobody, and `start` was asked for
//   take the start lock (or wait for who has it), call again
//        | still nobody
//   start a private broker, call again
#include "weir/session.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>

#include "core/base/clock.hpp"
#include "core/base/errno.hpp"
#include "core/client/connection.hpp"
#include "core/client/name_options.hpp"
#include "core/client/open.hpp"
#include "core/client/private_broker.hpp"
#include "core/protocol/names.hpp"
#include "core/protocol/places.hpp"

namespace weir {
namespace {

using detail::Connection;

// A broker that has just begun to listen may have a full queue of callers for a moment.
constexpr std::uint64_t call_step_ns = 2 * ns_per_ms;

Error<ConnectError> nobody_there(const std::string& name) {
    return {ConnectError::no_broker, "no broker named \"" + name +
                                         "\" runs here: start one with \"weir broker --name " +
                                         name + "\" or add --start"};
}

// A socket connected to the broker that listens at `places`.
Result<Fd, Error<ConnectError>> call(const Places& places, const std::string& name,
                                     std::uint64_t deadline_ns) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    // places_of has seen to it that the path fits.
    std::memcpy(address.sun_path, places.socket.c_str(),
                std::min(places.socket.size(), sizeof address.sun_path - 1));
    for (;;) {
        Fd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
        if (!socket)
            return fail(ConnectError::system, "cannot make a socket: " + errno_text(errno));
        const auto* const there =
            reinterpret_cast<const sockaddr*>(&address);  // NOLINT: as POSIX asks
        if (::connect(socket.get(), there, sizeof address) == 0) return socket;
        switch (errno) {
            case EINTR:
            case EAGAIN: break;
            case ENOENT:
            case ECONNREFUSED: return fail(nobody_there(name));
            case EACCES:
                return fail(ConnectError::not_permitted, "the broker \"" + name +
                                                             "\" belongs to another user: " +
                                                             places.socket + " may not be used");
            default:
                return fail(ConnectError::system,
                            "cannot connect to " + places.socket + ": " + errno_text(errno));
        }
        if (monotonic_ns() >= deadline_ns)
            return fail(
                ConnectError::timed_out,
                "the broker \"" + name + "\" does not take calls: is it stopped (SIGSTOP)?");
        const timespec step{0, static_cast<long>(call_step_ns)};
        ::nanosleep(&step, nullptr);
    }
}

Result<std::shared_ptr<Connection>, Error<ConnectError>> call_and_attach(
    const Places& places, const std::string& name, const ConnectOptions& options,
    std::uint64_t deadline_ns) {
    auto socket = call(places, name, deadline_ns);
    if (!socket) return fail(socket.error());
    return Connection::attach(std::move(*socket), name, options);
}

// A broker may end between its last answer and our call: then it is gone or stopping, and a new one
// helps.
bool start_may_help(ConnectError code) noexcept {
    return code == ConnectError::no_broker || code == ConnectError::stopping;
}

// With the start lock held: attaches to what runs by now, or starts a broker and attaches to that.
// An earlier private broker that is ending takes no calls any more and still holds the name: that
// passes. A started one may end before we attach, if somebody else's short session was its last:
// start it again.
Result<std::shared_ptr<Connection>, Error<ConnectError>> attach_or_start(
    const Places& places, const std::string& name, const ConnectOptions& options,
    std::uint64_t deadline_ns) {
    for (;;) {
        auto attached = call_and_attach(places, name, options, deadline_ns);
        if (attached || !start_may_help(attached.error().code)) return attached;
        if (!detail::name_is_held(places)) {
            auto started = detail::start_private_broker(name, options);
            if (!started && !detail::name_is_held(places)) return fail(started.error());
            if (started) attached = call_and_attach(places, name, options, deadline_ns);
        }
        if (attached || monotonic_ns() >= deadline_ns) return attached;
        const timespec step{0, static_cast<long>(call_step_ns)};
        ::nanosleep(&step, nullptr);
    }
}

}  // namespace

Result<Session, Error<ConnectError>> connect(std::string_view broker,
                                             const ConnectOptions& options) {
    const std::string name = broker_name_or_default(broker);
    auto places = places_of(name);
    if (!places) {
        const bool bad_name = places.error().code == PlaceError::bad_broker_name;
        return fail(bad_name ? ConnectError::bad_name : ConnectError::system,
                    places.error().sentence);
    }
    const std::uint64_t deadline_ns =
        monotonic_ns() + static_cast<std::uint64_t>(std::max<std::int64_t>(
                             std::chrono::nanoseconds(options.timeout).count(), 0));
    auto attached = call_and_attach(*places, name, options, deadline_ns);
    if (!attached && options.start && start_may_help(attached.error().code)) {
        const auto lock = detail::take_start_lock(*places, deadline_ns);
        if (!lock) return fail(lock.error());
        attached = attach_or_start(*places, name, options, deadline_ns);
    }
    if (!attached) return fail(attached.error());
    return Session(std::move(*attached));
}

Session::Session(std::shared_ptr<Connection> connection) noexcept
    : connection_(std::move(connection)) {}
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;
Session::~Session() = default;

Result<Producer, Error<OpenError>> Session::producer(std::string_view destination,
                                                     const ProducerOptions& options) {
    auto name = parse_destination(destination);
    if (!name) return fail(OpenError::bad_name, name.error().sentence);
    ProducerOptions wanted = options;
    if (auto applied = detail::apply_options(*name, wanted); !applied) return fail(applied.error());
    auto core = detail::open_producer(connection_, *name, wanted);
    if (!core) return fail(core.error());
    return Producer(std::move(*core));
}

Result<Consumer, Error<OpenError>> Session::consumer(std::string_view pattern,
                                                     const ConsumerOptions& options) {
    auto name = parse_pattern(pattern);
    if (!name) return fail(OpenError::bad_name, name.error().sentence);
    ConsumerOptions wanted = options;
    if (auto applied = detail::apply_options(*name, wanted); !applied) return fail(applied.error());
    auto core = detail::open_consumer(connection_, *name, wanted);
    if (!core) return fail(core.error());
    return Consumer(std::move(*core));
}

BrokerInfo Session::broker() const { return connection_->info(); }

Result<void, Error<OpenError>> Session::settle() { return connection_->settle(); }

Result<StopReport, Error<OpenError>> Session::stop(std::chrono::nanoseconds drain) {
    return connection_->stop(static_cast<std::uint64_t>(std::max<std::int64_t>(drain.count(), 0)));
}

bool Session::broker_alive() const { return !connection_->forked() && connection_->alive(); }

void Session::close() { connection_->close(); }

}  // namespace weir
