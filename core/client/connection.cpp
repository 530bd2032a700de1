// SPDX-License-Identifier: Apache-2.0
#include "core/client/connection.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>

#include "core/base/clock.hpp"
#include "core/base/errno.hpp"
#include "core/protocol/channel.hpp"
#include "core/protocol/names.hpp"
#include "shm/barrier.hpp"

namespace weir::detail {
namespace {

using protocol::ChannelError;
using protocol::Refusal;

// How long a goodbye may take: the broker only has to note it.
constexpr std::uint64_t goodbye_ns = ns_per_s;

OpenError open_error_of(Refusal code) noexcept {
    switch (code) {
        case Refusal::bad_name: return OpenError::bad_name;
        case Refusal::limit_reached: return OpenError::limit_reached;
        case Refusal::heap_full: return OpenError::heap_full;
        case Refusal::direct_full: return OpenError::direct_full;
        case Refusal::stopping: return OpenError::stopping;
        default: return OpenError::system;
    }
}

ConnectError connect_error_of(Refusal code) noexcept {
    switch (code) {
        case Refusal::layout_differs: return ConnectError::layout_differs;
        case Refusal::not_permitted: return ConnectError::not_permitted;
        case Refusal::limit_reached:
        case Refusal::heap_full: return ConnectError::limit_reached;
        case Refusal::stopping: return ConnectError::stopping;
        default: return ConnectError::system;
    }
}

// Field 22 of /proc/self/stat: when this process started. The name in field 2 may hold anything, so
// fields are counted behind its closing bracket.
std::uint64_t own_start_time() {
    std::ifstream file("/proc/self/stat");
    std::string line;
    std::getline(file, line);
    std::size_t at = line.rfind(')');
    for (int field = 2; field < 22 && at != std::string::npos; ++field) at = line.find(' ', at + 1);
    return at == std::string::npos ? 0 : std::strtoull(line.c_str() + at + 1, nullptr, 10);
}

std::string own_program_name() {
    std::ifstream file("/proc/self/comm");
    std::string name;
    std::getline(file, name);
    return name;
}

Result<Mapping, Error<MemoryError>> map_privately(const Fd& fd, std::uint64_t bytes,
                                                  Access access) {
    auto mapping = Mapping::map(fd.get(), bytes, access);
    // N2. It can only fail for an address that is not mapped.
    if (mapping) ::madvise(mapping->data(), bytes, MADV_DONTFORK);
    return mapping;
}

}  // namespace

Connection::Connection(Fd socket, std::string broker, std::uint64_t timeout_ns) noexcept
    : broker_(std::move(broker)),
      timeout_ns_(timeout_ns),
      made_under_forks_(forks()),
      socket_(std::move(socket)) {}

Connection::~Connection() {
    if (!forked()) {
        close();
        return;
    }
    // N2: what these would unmap is not ours in a child. They are forgotten instead.
    for (Mapping* mapping :
         {&control_mapping_, &signals_mapping_, &claims_mapping_, &readable_, &writable_})
        new Mapping(std::move(*mapping));
    for (auto& [number, mapping] : blocks_) new Mapping(std::move(mapping));
}

Result<std::shared_ptr<Connection>, Error<ConnectError>> Connection::attach(
    Fd socket, const std::string& broker, const ConnectOptions& options) {
    watch_forks();
    if (!register_barrier())
        return fail(
            ConnectError::system,
            "membarrier is refused here (" + errno_text(errno) +
                "): allow it in the container's seccomp profile, or use Linux 4.16 or newer");
    const auto timeout_ns = static_cast<std::uint64_t>(
        std::max<std::int64_t>(std::chrono::nanoseconds(options.timeout).count(), 1'000'000));
    std::shared_ptr<Connection> connection(new Connection(std::move(socket), broker, timeout_ns));
    if (auto done = connection->hello(options); !done) {
        connection->unfit_ = true;
        return fail(done.error());
    }
    return connection;
}

Result<void, Error<ConnectError>> Connection::hello(const ConnectOptions& options) {
    protocol::Hello hello{};
    hello.version = protocol::version;
    hello.pid = static_cast<std::uint32_t>(::getpid());
    hello.fingerprint = layout_fingerprint();
    hello.start_time = own_start_time();
    protocol::copy_text(hello.name,
                        options.client_name.empty() ? own_program_name() : options.client_name);
    const std::uint64_t deadline = monotonic_ns() + timeout_ns_;
    // A broker answers every hello; only one that is ending (or died) hangs up instead.
    if (!protocol::send_message(socket_.get(), hello, ++requests_))
        return fail(ConnectError::stopping, "the broker \"" + broker_ + "\" hung up at once");
    auto packet = protocol::receive_packet(socket_.get(), deadline);
    if (!packet && packet.error() == ChannelError::timed_out)
        return fail(ConnectError::timed_out,
                    "the broker \"" + broker_ + "\" does not answer: is it stopped (SIGSTOP)?");
    if (!packet)
        return fail(ConnectError::stopping,
                    "the broker \"" + broker_ + "\" hung up: its log says why");
    protocol::Refused refused{};
    if (packet->read(refused))
        return fail(connect_error_of(refused.code),
                    std::string(protocol::read_text(refused.sentence)));
    protocol::Welcome welcome{};
    if (!packet->read(welcome) || packet->fds.size() != 5)
        return fail(ConnectError::layout_differs,
                    "the broker \"" + broker_ +
                        "\" speaks another protocol: use the same build of Weir on both sides");
    session_ = welcome.session;
    return map_regions(welcome, packet->fds);
}

Result<void, Error<ConnectError>> Connection::map_regions(const protocol::Welcome& welcome,
                                                          std::vector<Fd>& fds) {
    auto control = map_privately(fds[0], welcome.control_bytes, Access::read_only);
    auto signals = map_privately(fds[1], welcome.signals_bytes, Access::read_write);
    auto direct = map_privately(fds[2], welcome.direct_bytes, Access::read_only);
    auto claims = map_privately(fds[4], welcome.claims_bytes, Access::read_write);
    for (const auto* region : {&control, &signals, &direct, &claims})
        if (!*region) return fail(ConnectError::system, region->error().sentence);
    if (const char* wrong = ControlView::check(control->data(), control->bytes()))
        return fail(ConnectError::layout_differs,
                    "the broker \"" + broker_ + "\" cannot be used: its region is " + wrong);
    control_mapping_ = std::move(*control);
    signals_mapping_ = std::move(*signals);
    claims_mapping_ = std::move(*claims);
    readable_ = std::move(*direct);
    control_ = ControlView::of(control_mapping_.data());
    doorbell_ = std::move(fds[3]);
    if (control_.limits.pages > welcome.direct_bytes / page_unit ||
        signals_bytes(control_.limits.destinations) > welcome.signals_bytes ||
        claims_bytes(control_.limits.lanes, control_.limits.subscriptions) > welcome.claims_bytes)
        return fail(ConnectError::layout_differs,
                    "the broker \"" + broker_ + "\" handed out regions of another size");
    return {};
}

PageView Connection::view_of(const Mapping& direct) const noexcept {
    return {direct.data(), control_.pages(), control_.limits.pages};
}

// Sends a request and waits for its answer. Answers to requests that were given up do not come: N1.
template <class Answer, class Request>
Result<Answer, Error<OpenError>> Connection::ask(Request request, std::uint64_t timeout_ns) {
    if (forked())
        return fail(OpenError::forked,
                    "this session belongs to the process that forked: connect again in the child");
    const std::lock_guard lock(socket_mutex_);
    const auto down = [this](const std::string& why) {
        unfit_ = true;
        return fail(OpenError::broker_down, "the broker \"" + broker_ + "\" " + why);
    };
    if (unfit_)
        return fail(OpenError::broker_down,
                    "the session with broker \"" + broker_ + "\" has ended");
    const std::uint64_t deadline = monotonic_ns() + timeout_ns;
    if (!protocol::send_message(socket_.get(), request, ++requests_))
        return down("is gone: start it again and connect again");
    auto packet = protocol::receive_packet(socket_.get(), deadline);
    if (!packet && packet.error() == ChannelError::timed_out) {
        unfit_ = true;
        return fail(OpenError::system,
                    "the broker \"" + broker_ + "\" did not answer in time: connect again");
    }
    if (!packet) return down("is gone: start it again and connect again");
    protocol::Refused refused{};
    if (packet->read(refused))
        return fail(open_error_of(refused.code),
                    std::string(protocol::read_text(refused.sentence)));
    Answer answer{};
    if (!packet->read(answer) || packet->header()->request != requests_)
        return down("answered something else than it was asked");
    // Before the next request: its answer, to another thread, may name what came with this one.
    if (auto kept = keep(answer, packet->fds); !kept) {
        unfit_ = true;  // the broker believes that it was mapped
        return fail(kept.error());
    }
    return answer;
}

// Maps the regions that came with an answer; theirs are the first descriptors.
template <class Answer>
Result<void, Error<OpenError>> Connection::keep(const Answer& answer, std::vector<Fd>& fds) {
    const auto map_first = [&](std::uint64_t bytes) {
        auto mapping = map_privately(fds.front(), bytes, Access::read_write);
        fds.erase(fds.begin());
        return mapping;
    };
    const std::lock_guard lock(regions_mutex_);
    if constexpr (requires { answer.with_direct; }) {
        if (answer.with_direct != 0 && !fds.empty()) {
            auto mapping = map_first(readable_.bytes());
            if (!mapping) return fail(OpenError::system, mapping.error().sentence);
            writable_ = std::move(*mapping);
            first_touch_ = FirstTouch({writable_.data(), writable_.bytes()});
        }
    }
    if constexpr (requires { answer.with_block; }) {
        if (answer.with_block != 0 && !fds.empty()) {
            auto mapping = map_first(answer.block_bytes);
            if (!mapping) return fail(OpenError::system, mapping.error().sentence);
            blocks_[answer.block] = std::move(*mapping);
        }
    }
    return {};
}

// The place at `offset` of an exchange block.
Result<std::byte*, Error<OpenError>> Connection::place_in(std::uint32_t number,
                                                          std::uint64_t offset,
                                                          std::uint64_t wanted) {
    const std::lock_guard lock(regions_mutex_);
    const auto found = blocks_.find(number);
    if (found == blocks_.end() || wanted > found->second.bytes() ||
        offset > found->second.bytes() - wanted || offset % line_distance != 0)
        return fail(OpenError::system, "the broker named a place that it did not hand out");
    return found->second.data() + offset;
}

Result<OpenedProducer, Error<OpenError>> Connection::open_producer(const std::string& destination) {
    protocol::OpenProducer request{};
    protocol::copy_text(request.destination, destination);
    auto answer = ask<protocol::ProducerOpened>(request, timeout_ns_);
    if (!answer) return fail(answer.error());
    auto place = place_in(answer->block, answer->block_offset, sizeof(ProducerCell));
    if (!place) return fail(place.error());
    if (answer->lane >= control_.limits.lanes ||
        answer->destination >= control_.limits.destinations || !writable_)
        return fail(OpenError::system, "the broker named a lane that does not exist");
    return OpenedProducer{*answer,
                          reinterpret_cast<ProducerCell*>(*place)};  // NOLINT: shared bytes
}

Result<OpenedConsumer, Error<OpenError>> Connection::open_consumer(const std::string& pattern,
                                                                   std::uint32_t notes,
                                                                   std::uint32_t prefetch) {
    protocol::OpenConsumer request{};
    protocol::copy_text(request.pattern, pattern);
    request.notes = notes;
    request.prefetch = prefetch;
    auto answer = ask<protocol::ConsumerOpened>(request, timeout_ns_);
    if (!answer) return fail(answer.error());
    auto piece = piece_of(*answer);
    if (!piece) return fail(piece.error());
    if (answer->subscription_kind == SubscriptionKind::shared &&
        (answer->consumer_slot == 0 || answer->consumer_slot > control_.limits.subscriptions))
        return fail(OpenError::system, "the broker named a consumer that cannot claim");
    if (answer->destination > control_.limits.destinations)
        return fail(OpenError::system, "the broker named a destination that does not exist");
    return OpenedConsumer{*answer, *piece};
}

// Of an answer.
Result<ConsumerPiece, Error<OpenError>> Connection::piece_of(
    const protocol::ConsumerOpened& answer) {
    const bool shared = answer.subscription_kind == SubscriptionKind::shared;
    const std::uint32_t entries = shared ? answer.notes : answer.places;
    if (entries == 0 || entries > std::max(piece_notes_max, 2 * control_.limits.lanes))
        return fail(OpenError::system, "the broker answered with an impossible piece");
    auto place = place_in(answer.block, answer.block_offset,
                          shared ? shared_piece_bytes(entries) : exclusive_piece_bytes(entries));
    if (!place) return fail(place.error());
    return ConsumerPiece{*place, shared ? entries : 0, shared ? 0 : entries};
}

Result<ConsumerPiece, NoWiderPiece> Connection::widen_consumer(const OpenedConsumer& consumer,
                                                               std::uint32_t notes) {
    if (!may_ask()) return fail(NoWiderPiece::refused);
    protocol::WidenConsumer request{};
    request.subscription = consumer.answer.subscription;
    request.notes = notes;
    auto answer = ask<protocol::ConsumerOpened>(request, timeout_ns_);
    if (!answer) return fail(may_ask() ? NoWiderPiece::refused : NoWiderPiece::no_answer);
    const bool ours = answer->subscription == consumer.answer.subscription &&
                      answer->subscription_kind == consumer.answer.subscription_kind;
    auto piece = piece_of(*answer);
    if (!ours || !piece) return fail(NoWiderPiece::no_answer);
    return *piece;
}

void Connection::close_producer(LaneId lane) noexcept {
    protocol::CloseProducer request{};
    request.lane = lane;
    // A broker that is gone has closed it already.
    static_cast<void>(ask<protocol::Done>(request, timeout_ns_));
}

void Connection::close_consumer(std::uint32_t subscription) noexcept {
    protocol::CloseConsumer request{};
    request.subscription = subscription;
    // A broker that is gone has closed it already.
    static_cast<void>(ask<protocol::Done>(request, timeout_ns_));
}

Result<void, Error<OpenError>> Connection::settle() {
    auto done = ask<protocol::Done>(protocol::Settle{}, timeout_ns_);
    if (!done) return fail(done.error());
    return {};
}

Result<StopReport, Error<OpenError>> Connection::stop(std::uint64_t drain_ns) {
    protocol::Stop request{};
    request.drain_ns = drain_ns;
    auto stopped = ask<protocol::Stopped>(request, timeout_ns_ + drain_ns);
    if (!stopped) return fail(stopped.error());
    return StopReport{stopped->discarded_messages, stopped->discarded_bytes};
}

void Connection::close_all() noexcept {
    const std::lock_guard lock(members_mutex_);
    for (ProducerCore* producer : producers_) producer->close();
    for (ConsumerCore* consumer : consumers_) consumer->close();
    producers_.clear();
    consumers_.clear();
}

void Connection::close() noexcept {
    if (forked()) return;
    close_all();
    static_cast<void>(ask<protocol::Done>(protocol::Bye{}, std::min(goodbye_ns, timeout_ns_)));
    const std::lock_guard lock(socket_mutex_);
    unfit_ = true;
    socket_.reset();
}

bool Connection::may_ask() const noexcept {
    if (!alive()) return false;
    const std::lock_guard lock(socket_mutex_);
    return !unfit_;
}

bool Connection::alive() const noexcept {
    // The kernel ends the life before it closes the socket.
    const LifeWord& life = control_.superblock().life;
    // relaxed: nothing was published with it.
    if (has_ended(life.load(std::memory_order_relaxed))) {
        pass_on_the_end(life);
        return false;
    }
    const std::lock_guard lock(socket_mutex_);
    if (!socket_) return false;
    pollfd asked{socket_.get(), POLLRDHUP, 0};
    // A signal ends also a poll that does not wait (EINTR): that is no answer, and not the end.
    return ::poll(&asked, 1, 0) <= 0;
}

BrokerSigns Connection::signs() const noexcept {
    const std::lock_guard lock(socket_mutex_);
    return {&control_.superblock().life, socket_ ? socket_.get() : -1};
}

void Connection::ring() const noexcept {
    const std::uint64_t one = 1;
    // EAGAIN means that the counter is full: then it rings already. Nothing else can be repaired
    // here.
    static_cast<void>(!::write(doorbell_.get(), &one, sizeof one));
}

void Connection::ring_if_asleep() const noexcept {
    // SYNC(doorbell) acquire: nothing is read by it; in one order with the bit before it (S2).
    if (signals().head().broker_asleep.load(std::memory_order_seq_cst) != 0) ring();
}

BrokerInfo Connection::info() const {
    const Superblock& super = control_.superblock();
    return {broker_, super.broker_pid, super.epoch, control_.limits.direct_bytes,
            control_.limits.largest_message};
}

void Connection::join(ProducerCore* producer) {
    const std::lock_guard lock(members_mutex_);
    producers_.push_back(producer);
}
void Connection::leave(ProducerCore* producer) noexcept {
    const std::lock_guard lock(members_mutex_);
    std::erase(producers_, producer);
}
void Connection::join(ConsumerCore* consumer) {
    const std::lock_guard lock(members_mutex_);
    consumers_.push_back(consumer);
}
void Connection::leave(ConsumerCore* consumer) noexcept {
    const std::lock_guard lock(members_mutex_);
    std::erase(consumers_, consumer);
}

bool Connection::consumes(const std::string& destination) const {
    const std::lock_guard lock(members_mutex_);
    return std::any_of(consumers_.begin(), consumers_.end(), [&](const ConsumerCore* consumer) {
        return matches(consumer->pattern, destination);
    });
}

}  // namespace weir::detail
