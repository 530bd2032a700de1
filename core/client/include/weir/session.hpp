// SPDX-License-Identifier: Apache-2.0
//
// A session: this process attached to one broker.
//
//   auto session = weir::connect();                  // the broker named by WEIR_NAME, else
//   "default" auto orders  = session->producer("queue://orders"); auto work    =
//   session->consumer("queue://orders", {.prefetch = 10});
//
// The connection lives as long as the session or any producer or consumer of it. A process that
// ends without closing is no harm: the broker notices at once and delivers again what was not
// acknowledged. After fork the child's copies of all handles refuse (`forked`); it connects for
// itself.
#ifndef WEIR_SESSION_HPP
#define WEIR_SESSION_HPP

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "weir/consumer.hpp"
#include "weir/errors.hpp"
#include "weir/producer.hpp"

namespace weir {

struct ConnectOptions {
    std::string client_name;  // shown in statistics; default: the program's name
    bool start = false;       // start a private broker if none runs; it ends with its last session
    std::string program;      // what starts it; default: `weir` beside this program, then in PATH
    std::uint64_t direct_bytes = 0;  // of a started broker; 0: its default
    std::chrono::nanoseconds timeout = std::chrono::seconds(5);  // for each answer of the broker
};

struct BrokerInfo {
    std::string name;
    std::uint32_t pid = 0;
    std::uint64_t epoch = 0;            // counts the brokers of this name since the machine started
    std::uint64_t direct_bytes = 0;     // size of its direct region
    std::uint64_t largest_message = 0;  // payload plus envelope, bytes
};

// What was in the broker when it was stopped.
struct StopReport {
    std::uint64_t discarded_messages = 0;
    std::uint64_t discarded_bytes = 0;
};

// Movable; thread safe, except that close() must not run while another thread uses one of its
// producers or consumers.
class Session {
public:
    Session(Session&&) noexcept;
    Session& operator=(Session&&) noexcept;
    ~Session();

    // Opens a producer. The destination comes into being at its first use. Options may follow in
    // the name, behind a `?`; those given there win.
    Result<Producer, Error<OpenError>> producer(std::string_view destination,
                                                const ProducerOptions& options = {});

    // Opens a consumer on a destination, or with `*` and `>` on all that match, those to come
    // included. A topic's consumer gets everything that is sent after this returned.
    Result<Consumer, Error<OpenError>> consumer(std::string_view pattern,
                                                const ConsumerOptions& options = {});

    BrokerInfo broker() const;
    // The broker brings its published books (`weir stat`) up to date before this returns.
    Result<void, Error<OpenError>> settle();
    // Ends the broker. With `drain` it waits so long for consumers to read what is there.
    Result<StopReport, Error<OpenError>> stop(std::chrono::nanoseconds drain = {});
    // False once the broker has ended this session or died. A system call.
    bool broker_alive() const;
    // Says goodbye and waits (bounded) until nothing of this session is in use any more. Its
    // producers and consumers are closed with it. Idempotent.
    void close();

private:
    friend Result<Session, Error<ConnectError>> connect(std::string_view, const ConnectOptions&);
    explicit Session(std::shared_ptr<detail::Connection> connection) noexcept;

    std::shared_ptr<detail::Connection> connection_;
};

// Attaches this process to the broker of that name; empty: WEIR_NAME, else "default". Thread safe.
Result<Session, Error<ConnectError>> connect(std::string_view broker = {},
                                             const ConnectOptions& options = {});

}  // namespace weir

#endif
