// SPDX-License-Identifier: Apache-2.0
//
// The turns of the broker's thread; see loop.hpp.
#include "core/broker/loop.hpp"

#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "core/base/errno.hpp"
#include "core/base/log.hpp"

namespace weir::broker {
namespace {

// Completions handled before the memory half has its turn again: lanes that wait for pages must not
// wait behind a crowd of connecting clients.
constexpr std::size_t completions_per_turn = 64;

// While consumers drain, nobody rings when they have read the last message: the loop looks.
constexpr std::uint64_t drain_look_ns = 10 * ns_per_ms;

// A token: source in 8 bits, generation in 24, connection in 32.
constexpr unsigned source_shift = 56;
constexpr unsigned generation_shift = 32;
constexpr std::uint32_t generation_mask = 0xffffff;

}  // namespace

Loop::Loop(io::Ring ring, MemoryHalf& memory, Sessions& sessions, LoopInputs inputs,
           const Clock& clock)
    : memory_(memory),
      sessions_(sessions),
      inputs_(inputs),
      clock_(clock),
      started_ns_(clock.now_ns()),
      ticks_(started_ns_),
      ring_(std::move(ring)) {}

io::Token Loop::token(Source source, ConnectionId id) const {
    const bool of_connection = source == Source::receive || source == Source::death;
    const std::uint64_t generation = of_connection ? lines_[id]->generation & generation_mask : 0;
    return static_cast<io::Token>(source) << source_shift | generation << generation_shift | id;
}

void Loop::arm() {
    ring_.accept(inputs_.listener, token(Source::listener));
    accepting_ = true;
    ring_.poll(inputs_.doorbell, POLLIN, token(Source::doorbell));
    ring_.poll(inputs_.signals, POLLIN, token(Source::signals));
}

Result<Discarded, Error<io::RingFailure>> Loop::run() {
    arm();
    for (;;) {
        const auto completions = ring_.drain(completions_per_turn);
        if (!completions.empty()) ticks_.stir(clock_.now_ns());
        for (const io::Completion& completion : completions) handle(completion);
        tick_if_due();
        const bool more = memory_.turn();
        look_whether_to_stop();
        if (ended_) return discarded_;
        if (auto rested = rest(more); !rested) return fail(rested.error());
    }
}

Result<void, Error<io::RingFailure>> Loop::rest(bool more) {
    if (more) {
        // Only to hand over what is queued and to let completions appear.
        auto looked = ring_.wait(0);
        if (!looked) return fail(looked.error());
        return {};
    }
    memory_.fall_asleep();
    std::uint64_t timeout_ns = draining_ ? drain_look_ns : io::no_timeout;
    const std::uint64_t due = std::min(memory_.due_ns(), ticks_.due_ns());
    const std::uint64_t now = clock_.now_ns();
    timeout_ns = std::min(timeout_ns, due > now ? due - now : 0);
    if (!memory_.may_sleep()) timeout_ns = 0;
    auto woken = ring_.wait(timeout_ns);
    memory_.awake();
    if (!woken) return fail(woken.error());
    return {};
}

void Loop::handle(const io::Completion& completion) {
    const auto id = static_cast<ConnectionId>(completion.token);
    const auto source = static_cast<Source>(completion.token >> source_shift);
    switch (source) {
        case Source::listener: accepted(completion); return;
        case Source::doorbell: rung(); return;
        case Source::signals: signalled(); return;
        case Source::disk:
            memory_.disk_completed(completion.token & ~disk_prefix(), completion.result);
            return;
        case Source::cancel: return;  // what was cancelled completes for itself
        case Source::receive:
        case Source::death: break;
    }
    const auto generation =
        static_cast<std::uint32_t>(completion.token >> generation_shift) & generation_mask;
    if (generation != (lines_[id]->generation & generation_mask)) return;  // O2
    if (source == Source::receive) {
        received(id, completion.result);
    } else {
        lines_[id]->watching = false;
        // A watch that could not be queued (a shortage) proves nothing: tend() queues it anew.
        if (completion.result >= 0 && (completion.result & POLLIN) != 0) sessions_.died(id);
    }
    tend(id);
}

io::Token Loop::disk_prefix() noexcept {
    return static_cast<io::Token>(Source::disk) << source_shift;
}

void Loop::end_disk(std::uint64_t patience_ns) {
    const std::uint64_t end = clock_.now_ns() + patience_ns;
    memory_.abandon_disk();
    memory_.turn();
    while (!memory_.disk_is_idle() && clock_.now_ns() < end) {
        if (!ring_.wait(drain_look_ns)) return;
        for (const io::Completion& completion : ring_.drain(completions_per_turn))
            if (static_cast<Source>(completion.token >> source_shift) == Source::disk)
                handle(completion);
        memory_.turn();
    }
}

void Loop::accepted(const io::Completion& completion) {
    if (!completion.more()) accepting_ = false;  // queued anew at the next tick at the latest
    if (completion.result < 0) {
        // Out of descriptors, most likely. The listener stays readable, so trying again at once
        // would spin; those who wait in its queue are served when a descriptor is free.
        log::warning("cannot accept a connection: {}", errno_text(-completion.result));
        return;
    }
    if (!accepting_) {
        ring_.accept(inputs_.listener, token(Source::listener));
        accepting_ = true;
    }
    const auto id = sessions_.admit(Fd(completion.result));
    if (!id) return;
    while (lines_.size() <= *id) lines_.push_back(std::make_unique<Line>());
    ++lines_[*id]->generation;
    lines_[*id]->cancelling = false;
    tend(*id);
}

void Loop::received(ConnectionId id, std::int32_t result) {
    Line& line = *lines_[id];
    line.receiving = false;
    if (result <= 0) {
        // EINTR and a shortage end the receive, not the connection; tend() queues it anew.
        if (result == -EINTR || result == -EAGAIN || result == -ENOMEM || result == -ENOBUFS)
            return;
        sessions_.hung_up(id);
        return;
    }
    // Nobody asked for descriptors: they are closed here.
    protocol::take_descriptors(line.message).clear();
    line.packet.size = static_cast<std::size_t>(result);
    sessions_.received(id, line.packet, (line.message.msg_flags & MSG_TRUNC) != 0);
}

// O4: the doorbell is shared with every client, who may change how reading it behaves or read it
// themselves. A read that must not wait, whatever the file's flags say, cannot be made to block.
void Loop::rung() {
    std::uint64_t rings = 0;
    const iovec piece{&rings, sizeof(rings)};
    constexpr off_t own_position = -1;
    const ssize_t length =
        ::preadv2(inputs_.doorbell, &piece, 1, own_position, RWF_NOWAIT);  // empty: EAGAIN, fine
    if (length < 0 && errno != EAGAIN) log::debug("doorbell: {}", errno_text(errno));
    ring_.poll(inputs_.doorbell, POLLIN, token(Source::doorbell));
}

void Loop::signalled() {
    signalfd_siginfo info{};
    while (::read(inputs_.signals, &info, sizeof(info)) == sizeof(info)) {
        if (info.ssi_signo == SIGHUP) {
            log::info("signal {}: reading the policies again", info.ssi_signo);
            if (auto change = sessions_.read_policies(); !change)
                log::debug("signal {} has changed nothing", info.ssi_signo);
            continue;
        }
        log::info("signal {}: stopping", info.ssi_signo);
        stop_now_ = true;
    }
    ring_.poll(inputs_.signals, POLLIN, token(Source::signals));
}

void Loop::tick_if_due() {
    const std::uint64_t now = clock_.now_ns();
    if (now < ticks_.due_ns()) return;
    const bool at_rest = memory_.tick();
    ticks_.ticked(now, at_rest && !sessions_.anyone_greets() && !inputs_.ends_with_last_session);
    sessions_.expire_greetings();
    if (accepting_) return;
    ring_.accept(inputs_.listener, token(Source::listener));
    accepting_ = true;
}

void Loop::tend(ConnectionId id) {
    Line& line = *lines_[id];
    const ConnectionState state = sessions_.state(id);
    const bool is_open = state == ConnectionState::greeting || state == ConnectionState::attached;
    const bool is_session =
        state == ConnectionState::attached || state == ConnectionState::orphaned;
    if (is_open && !line.receiving) {
        line.piece = {line.packet.bytes.data(), line.packet.bytes.size()};
        line.message = {};
        line.message.msg_iov = &line.piece;
        line.message.msg_iovlen = 1;
        line.message.msg_control = line.control.data();
        line.message.msg_controllen = line.control.size();
        line.receiving = true;
        ring_.receive(sessions_.socket(id), line.message, 0, token(Source::receive, id));
    }
    if (is_session && !line.watching) {
        line.watching = true;
        ring_.poll(sessions_.process(id), POLLIN, token(Source::death, id));
    }
    if (state != ConnectionState::over) return;
    // A receive that is in flight has been ended by the socket's shutdown; a watch is cancelled.
    if (line.watching && !line.cancelling) {
        line.cancelling = true;
        ring_.cancel(token(Source::death, id), token(Source::cancel));
    }
    if (!line.receiving && !line.watching) sessions_.forget(id);
}

void Loop::look_whether_to_stop() {
    const std::uint64_t now = clock_.now_ns();
    if (inputs_.ends_with_last_session && sessions_.living() == 0 &&
        (sessions_.sessions_opened() > 0 || now - started_ns_ >= inputs_.first_session_ns))
        stop_now_ = true;
    const auto deadline = sessions_.stop_deadline_ns();
    if (!stop_now_ && !deadline) return;
    // First it is told that no more may come, and only when nobody reads any more what is left is
    // counted: a count taken earlier would call discarded what a consumer has read since.
    if (!stopping_) memory_.begin_stop();
    stopping_ = true;
    draining_ = !stop_now_ && *deadline > now && !memory_.drained();
    if (draining_) return;
    discarded_ = memory_.begin_stop();
    sessions_.answer_stops(discarded_.messages, discarded_.bytes);
    ended_ = true;
}

}  // namespace weir::broker
