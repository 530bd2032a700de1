// SPDX-License-Identifier: Apache-2.0
//
// This process attached to a broker: the control socket and the regions that came over it.
//
// The socket carries one request at a time and only what happens seldom. Everything else goes
// through the mappings, which stay valid as long as the connection: also after the broker's death,
// so that what was granted can still be sent and read.
//
// Invariants
//   N1  a request that got no answer in time makes the connection unfit for further ones:
//   descriptors that
//       come too late would be lost, and with them what the broker believes this session to have
//   N2  mappings are not inherited by fork; a child's copy of a connection leaves them alone, for
//   what is
//       mapped at those addresses there is not ours
//   N3  numbers that come from the broker (slots, offsets) are checked before they are used as
//   addresses
//   N4  a consumer whose piece may have been replaced without its knowledge takes nothing any more:
//       nobody would look for what it took where it wrote that down
#ifndef WEIR_CORE_CLIENT_CONNECTION_HPP
#define WEIR_CORE_CLIENT_CONNECTION_HPP

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/base/fd.hpp"
#include "core/client/first_touch.hpp"
#include "core/client/wake_fd.hpp"
#include "core/protocol/messages.hpp"
#include "shm/claims.hpp"
#include "shm/control.hpp"
#include "shm/exchange.hpp"
#include "shm/life.hpp"
#include "shm/mapping.hpp"
#include "shm/page.hpp"
#include "shm/signals.hpp"
#include "weir/session.hpp"

namespace weir::detail {

// A place in this session's exchange and what the broker said about it.
struct OpenedProducer {
    protocol::ProducerOpened answer{};
    ProducerCell* cell = nullptr;
};
struct OpenedConsumer {
    protocol::ConsumerOpened answer{};
    ConsumerPiece piece;
};

enum class NoWiderPiece {
    refused,    // or not asked, because nobody is there: the old one stays
    no_answer,  // the broker may have gone on to another piece: nothing is claimed or read any more
};

class Connection {
public:
    // Says hello over a connected socket and maps what comes back.
    static Result<std::shared_ptr<Connection>, Error<ConnectError>> attach(
        Fd socket, const std::string& broker, const ConnectOptions& options);
    ~Connection();
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    Result<OpenedProducer, Error<OpenError>> open_producer(const std::string& destination);
    Result<OpenedConsumer, Error<OpenError>> open_consumer(const std::string& pattern,
                                                           std::uint32_t notes,
                                                           std::uint32_t prefetch);
    // Its piece as large as it may be now, or with so many notes. Nobody writes into the old one
    // during the call, and after it only if it was refused (N4).
    Result<ConsumerPiece, NoWiderPiece> widen_consumer(const OpenedConsumer& consumer,
                                                       std::uint32_t notes);
    void close_producer(LaneId lane) noexcept;
    void close_consumer(std::uint32_t subscription) noexcept;
    Result<void, Error<OpenError>> settle();
    Result<StopReport, Error<OpenError>> stop(std::uint64_t drain_ns);
    // Goodbye: closes what is open here, tells the broker, waits (bounded) until it has let go.
    void close() noexcept;

    // False once the broker has ended or hung up. A system call; thread safe.
    bool alive() const noexcept;
    // By what its death shows to a descriptor for epoll. Thread safe.
    BrokerSigns signs() const noexcept;
    // Wakes the broker. Thread safe.
    void ring() const noexcept;
    // Rings if the broker sleeps. The caller has set the bit that says why (signals.hpp S2).
    void ring_if_asleep() const noexcept;
    bool forked() const noexcept { return made_under_forks_ != forks(); }

    const ControlView& control() const noexcept { return control_; }
    SignalsView signals() const noexcept { return {signals_mapping_.data()}; }
    ClaimsView claims() const noexcept {
        return {claims_mapping_.data(), control_.limits.lanes, control_.limits.subscriptions};
    }
    PageView readable() const noexcept { return view_of(readable_); }
    PageView writable() const noexcept { return view_of(writable_); }
    // Maps a page that a producer has entered into this process, if that was not done. Thread safe.
    void touch(PageRef page) noexcept {
        const PageView pages = writable();
        first_touch_.prepare({pages.bytes(page), pages.length(page)});
    }
    BrokerInfo info() const;

    // Who has something open here, for close() and for the sentence of a wait. Thread safe.
    void join(ProducerCore* producer);
    void leave(ProducerCore* producer) noexcept;
    void join(ConsumerCore* consumer);
    void leave(ConsumerCore* consumer) noexcept;
    bool consumes(const std::string& destination) const;

private:
    Connection(Fd socket, std::string broker, std::uint64_t timeout_ns) noexcept;

    bool may_ask() const noexcept;
    PageView view_of(const Mapping& direct) const noexcept;
    Result<void, Error<ConnectError>> hello(const ConnectOptions& options);
    Result<void, Error<ConnectError>> map_regions(const protocol::Welcome& welcome,
                                                  std::vector<Fd>& fds);
    template <class Answer, class Request>
    Result<Answer, Error<OpenError>> ask(Request request, std::uint64_t timeout_ns);
    template <class Answer>
    Result<void, Error<OpenError>> keep(const Answer& answer, std::vector<Fd>& fds);
    Result<ConsumerPiece, Error<OpenError>> piece_of(const protocol::ConsumerOpened& answer);
    Result<std::byte*, Error<OpenError>> place_in(std::uint32_t number, std::uint64_t offset,
                                                  std::uint64_t wanted);
    void close_all() noexcept;

    const std::string broker_;
    const std::uint64_t timeout_ns_;
    const std::uint32_t made_under_forks_;
    std::uint64_t session_ = 0;

    mutable std::mutex socket_mutex_;  // one request in flight
    Fd socket_;
    std::uint64_t requests_ = 0;
    bool unfit_ = false;  // N1, or said goodbye

    Mapping control_mapping_;
    Mapping signals_mapping_;
    Mapping claims_mapping_;
    Mapping readable_;
    std::mutex regions_mutex_;  // what answers bring; taken last
    Mapping writable_;
    FirstTouch first_touch_;  // of writable_
    std::map<std::uint32_t, Mapping> blocks_;
    ControlView control_;
    Fd doorbell_;

    mutable std::mutex members_mutex_;
    std::vector<ProducerCore*> producers_;
    std::vector<ConsumerCore*> consumers_;
};

}  // namespace weir::detail

#endif
