// SPDX-License-Identifier: Apache-2.0
//
// A producer's way beside the hot one: opening, asking for pages, waiting for a grant.
//
// A send that finds no room in its page takes the next granted one. If there is none it says in its
// ProducerCell how large a record it has and that it waits, sets its need bit, rings if the broker
// sleeps, and sleeps on the lane's `grants` word, which the broker steps with each grant and each
// change of the reason for not granting.
//
//   send                                      broker
//   wanted, waiting := 1
//   need bit; broker_asleep? ring ----------> looks at the lane
//                                             links a page, raises the stop, or notes the reason
//   grants changed? <------------------------ steps `grants`, wakes
//   looks for its page again
//
// What a send does that gets none is the caller's choice, else the policy's. Those that do not wait
// ask once, and believe a refusal for a moment: a ring that is full would otherwise cost a trip to
// the broker per message that is given up.
#include <algorithm>

#include "core/base/clock.hpp"
#include "core/client/cores.hpp"
#include "core/client/open.hpp"
#include "core/client/wait_facts.hpp"
#include "core/client/wake_fd.hpp"

namespace weir::detail {
namespace {

// How long a send that may not wait gives the broker to answer at all. The broker answers within a
// turn; this is for one that was not scheduled.
constexpr std::uint64_t answer_ns = 50 * ns_per_ms;
// The same for a ring, which would lose the message that it was told to keep.
constexpr std::uint64_t ring_answer_ns = ns_per_s;
// The same when it has refused before and may not repeat itself.
constexpr std::uint64_t repeated_answer_ns = 2 * ns_per_ms;
// Who waits for less says so, and is not served later for the sake of others.
constexpr std::uint64_t patience_ns = 20 * ns_per_ms;
// How long a refusal is believed.
constexpr std::uint64_t refusal_ns = ns_per_ms;

// Bytes to give up so that a payload which begins `before` bytes behind `position` lies on a
// multiple of `alignment`. Pages begin at multiples of 4096, in their lane as in memory, so
// positions tell.
std::uint64_t gap_for(Position position, std::uint64_t alignment, std::uint64_t before) noexcept {
    return (alignment - (position + before) % alignment) % alignment;
}

}  // namespace

ProducerCore::ProducerCore() = default;

ProducerCore::~ProducerCore() {
    if (connection == nullptr) return;
    if (connection->forked()) {
        // The waiting belongs to the parent: ending it here would end it there.
        static_cast<void>(wake_fd.release());
        return;
    }
    const bool was_open = open;
    connection->leave(this);
    close();
    if (was_open) connection->close_producer(lane);
}

void ProducerCore::close() noexcept {
    open = false;
    plain_limit = 0;
    ask_at = never;
    writer = LaneWriter();
    wake_fd.reset();
}

void ProducerCore::wake() noexcept {
    if (anyone_sleeps(*sleepers)) {
        // A queue's message is for one consumer; each subscriber of a topic gets its own look.
        if (kind == DestinationKind::queue)
            wake_one(*sleepers);
        else
            wake_all(*sleepers);
    }
    if (anyone_sleeps(*anyone)) wake_all(*anyone);
}

void ProducerCore::ask() noexcept {
    set_lane_bit(connection->signals().head().need, lane);
    connection->ring_if_asleep();
}

void ProducerCore::ask_ahead() noexcept {
    if (!open) return;
    if (writer.runs_low()) {
        ask_from(never);  // once; the next page asks again if it has to
        ask();
        return;
    }
    // relaxed: both are hints for when to ask.
    const Position stop = stop_position(slot->stop_and_revocations.load(std::memory_order_relaxed));
    ask_from(stop - slot->window_bytes.load(std::memory_order_relaxed) / 2);  // relaxed: as above
}

std::optional<SendError> ProducerCore::refusal(std::uint64_t payload,
                                               std::uint64_t envelope) noexcept {
    if (made_under_forks != forks()) return SendError::forked;
    if (!open) return SendError::closed;
    look_at_policy();
    if (payload > largest || envelope > largest - payload) return SendError::too_large;
    return std::nullopt;
}

// What the policy says may have changed; a message that takes the short way meets it at its next
// page.
void ProducerCore::look_at_policy() noexcept {
    // relaxed: a setting, read alone.
    const std::uint64_t most = policy->largest_message.load(std::memory_order_relaxed);
    largest = std::min(connection->control().limits.largest_message, payload_bytes_max);
    if (most != 0) largest = std::min(largest, most);
    if (plain_limit != 0) plain_limit = largest + 1;
}

bool ProducerCore::metered() const noexcept {
    // relaxed: both are made visible by the step of `grants`, or looked at again after a refusal.
    return slot->message_stop.load(std::memory_order_relaxed) != 0 ||
           slot->payload_stop.load(std::memory_order_relaxed) != 0;  // relaxed: as above
}

bool ProducerCore::meter_allows(std::uint64_t payload) const noexcept {
    // relaxed: as in `metered`.
    const std::uint64_t messages = slot->message_stop.load(std::memory_order_relaxed);
    // relaxed: as above.
    const std::uint64_t bytes = slot->payload_stop.load(std::memory_order_relaxed);
    return (messages == 0 || sent_messages + 1 < messages) &&
           (bytes == 0 || sent_payload + payload < bytes);
}

ClaimStatus ProducerCore::advance(std::uint64_t bytes) noexcept {
    const ClaimStatus status = writer.advance(bytes);
    if (status == ClaimStatus::ok) connection->touch(writer.page());
    return status;
}

// Nothing is changed if it may not.
bool ProducerCore::may_go_on(const RoomNeeded& need, std::uint64_t bytes) noexcept {
    return meter_allows(need.payload) &&
           (writer.has_room(bytes) || advance(bytes) == ClaimStatus::ok);
}

ProducerCore::Choice ProducerCore::choice() const noexcept {
    std::optional<std::uint64_t> wait_ns;
    if (options.timeout)
        wait_ns = static_cast<std::uint64_t>(std::max<std::int64_t>(options.timeout->count(), 0));
    Overflow what = Overflow::block;
    switch (options.on_full) {
        case OnFull::wait: break;
        case OnFull::fail: what = Overflow::fail; break;
        case OnFull::drop_oldest: what = Overflow::drop_oldest; break;
        case OnFull::drop_newest: what = Overflow::drop_newest; break;
        case OnFull::policy:
            // relaxed: a setting, read alone.
            what = policy->overflow.load(std::memory_order_relaxed);
            if (what == Overflow::fail_after && !wait_ns)
                // relaxed: as above.
                wait_ns = policy->fail_after_ns.load(std::memory_order_relaxed);
            if (what == Overflow::fail_after || what > Overflow::drop_newest)
                what = Overflow::block;
            break;
    }
    return {what, wait_ns ? deadline_after(*wait_ns) : no_deadline};
}

Result<std::byte*, SendError> ProducerCore::room(const RoomNeeded& need) {
    std::optional<Choice> chosen;
    for (;;) {
        const bool is_metered = metered();
        if (is_metered)
            plain_limit = 0;
        else if (!options.timestamps)
            plain_limit = largest + 1;
        const std::uint64_t gap = gap_for(writer.tail(), need.alignment, need.before_payload);
        if (is_metered) writer.announce();
        const bool allowed = !is_metered || meter_allows(need.payload);
        if (!allowed) writer.withdraw();
        if (std::byte* const record = allowed ? writer.claim(gap + need.bytes) : nullptr) {
            sent_messages += is_metered ? 1 : 0;
            sent_payload += is_metered ? need.payload : 0;
            return gap == 0 ? record : LaneWriter::skip_ahead(record, gap);
        }
        const std::uint64_t wanted =
            need.bytes + gap_for(page_header_bytes, need.alignment, need.before_payload);
        switch (allowed ? advance(wanted) : ClaimStatus::no_grant) {
            case ClaimStatus::ok:
                // relaxed: it may have gone on waiting for the sake of its descriptor; a hint.
                cell->waiting.store(ProducerWaiting::no, std::memory_order_relaxed);
                ask_ahead();
                break;
            case ClaimStatus::closed:
                return fail(connection->alive() ? SendError::closed : SendError::broker_down);
            case ClaimStatus::no_grant: {
                if (!chosen) chosen = choice();
                if (const auto error = wait_for_grant(need, wanted, *chosen)) return fail(*error);
            }
        }
    }
}

namespace {

// One wait for a grant, from asking to its end. It notes in `last_wait` what it waited for.
class GrantWait {
public:
    GrantWait(ProducerCore& core, std::uint64_t bytes, const ProducerCore::Choice& choice)
        : core_(core), began_ns_(monotonic_ns()) {
        const bool hurried = choice.deadline_ns < began_ns_ + patience_ns;
        const bool waits = choice.on_full == Overflow::block;
        const Overflow on_full = waits && hurried ? Overflow::fail_after : choice.on_full;
        ProducerCell& cell = *core_.cell;
        // relaxed: all of these are published by the need bit.
        cell.wanted.store(bytes, std::memory_order_relaxed);
        cell.on_full.store(on_full, std::memory_order_relaxed);
        cell.sent_messages.store(core_.sent_messages, std::memory_order_relaxed);
        cell.sent_payload.store(core_.sent_payload, std::memory_order_relaxed);
        line_up(waits || core_.wake_fd != nullptr);
    }
    ~GrantWait() {
        WaitInfo& info = core_.last_wait.emplace();
        const Superblock& super = core_.connection->control().superblock();
        info.reason = reason_;
        info.waited_ns = monotonic_ns() - began_ns_;
        // relaxed: a figure for people.
        info.direct_used = super.direct.used.load(std::memory_order_relaxed);
        info.direct_capacity = core_.connection->control().limits.direct_bytes;
        look_up_wait(core_.connection->control(), core_.destination_slot, info);
        info.sentence =
            wait_sentence(info, core_.destination, core_.connection->consumes(core_.destination));
    }
    GrantWait(const GrantWait&) = delete;
    GrantWait& operator=(const GrantWait&) = delete;

    // The state of `grants`; to be read before the lane is looked at.
    std::uint32_t grants() const noexcept {
        // SYNC(granted) acquire: the link, or the reason, is visible with the step.
        return core_.slot->grants.load(std::memory_order_acquire);
    }
    WaitReason reason() noexcept {
        // relaxed: made visible by the step of `grants`.
        const WaitReason now = core_.slot->reason.load(std::memory_order_relaxed);
        if (now != WaitReason::none) reason_ = now;
        return now;
    }
    void line_up(bool in_line) noexcept {
        // relaxed: published by the need bit.
        core_.cell->waiting.store(in_line ? ProducerWaiting::in_line : ProducerWaiting::once,
                                  std::memory_order_relaxed);
    }
    // Who asks once is always answered; one in line may have been told already.
    std::uint64_t answer_until(Overflow on_full) noexcept {
        const bool repeated = core_.wake_fd != nullptr && reason() != WaitReason::none;
        if (repeated) return deadline_after(repeated_answer_ns);
        return deadline_after(on_full == Overflow::drop_oldest ? ring_answer_ns : answer_ns);
    }
    void end() noexcept {
        // relaxed: a late clear costs the broker one more look.
        core_.cell->waiting.store(ProducerWaiting::no, std::memory_order_relaxed);
        // relaxed: as above.
        core_.cell->wanted.store(0, std::memory_order_relaxed);
    }

private:
    ProducerCore& core_;
    std::uint64_t began_ns_;
    WaitReason reason_ = WaitReason::none;
};

}  // namespace

bool ProducerCore::refusal_stands(std::uint64_t bytes) const noexcept {
    // SYNC(granted) acquire: a grant since then is seen here, or at the next look.
    return refused_bytes != 0 && bytes >= refused_bytes && wake_fd == nullptr &&
           slot->grants.load(std::memory_order_acquire) == refused_grants &&
           monotonic_ns() < refused_until_ns;
}

// What a send that does not wait comes to.
SendError ProducerCore::refuse(Overflow on_full) noexcept {
    if (on_full != Overflow::drop_newest) return SendError::no_grant;
    ++dropped;
    // relaxed: a number for people, written by this side only.
    cell->dropped_newest.store(dropped, std::memory_order_relaxed);
    return SendError::dropped;
}

// Nothing once the record may be claimed, else why not. `bytes`: the record's, at the beginning of
// a page.
std::optional<SendError> ProducerCore::wait_for_grant(const RoomNeeded& need, std::uint64_t bytes,
                                                      const Choice& choice) {
    bool at_once = choice.on_full != Overflow::block;
    if (at_once && refusal_stands(bytes)) return refuse(choice.on_full);
    GrantWait wait(*this, bytes, choice);
    const std::uint64_t answer_until_ns = at_once ? wait.answer_until(choice.on_full) : 0;
    const std::uint64_t spin_until_ns = may_spin() ? deadline_after(spin_ns) : 0;
    std::uint32_t asked_at = 0;
    for (bool asked = false;; asked = true) {
        const std::uint32_t seen = wait.grants();
        if (may_go_on(need, bytes)) {
            refused_bytes = 0;
            wait.end();
            ask_ahead();
            return std::nullopt;
        }
        const WaitReason reason = wait.reason();
        const bool answered = asked && seen != asked_at && reason != WaitReason::none;
        if (at_once && answered && choice.on_full == Overflow::drop_oldest &&
            reason == WaitReason::rate_limit) {
            at_once = false;  // giving up messages makes no time
            wait.line_up(true);
        }
        std::optional<SendError> error;
        if ((asked && reason == WaitReason::broker_stopping) || !connection->alive())
            error = SendError::broker_down;
        else if (asked && reason == WaitReason::lane_exhausted)
            error = SendError::closed;
        else if (answered && reason == WaitReason::never_fits)
            error = SendError::never_fits;
        else if (at_once && (answered || (asked && monotonic_ns() >= answer_until_ns)))
            error = refuse(choice.on_full);
        else if (!at_once && monotonic_ns() >= choice.deadline_ns)
            error = SendError::timed_out;
        if (error) {
            refused_bytes = at_once ? bytes : 0;
            refused_grants = seen;
            refused_until_ns = deadline_after(refusal_ns);
            // Who offered a descriptor goes on waiting: the grant makes it readable.
            if (wake_fd == nullptr) {
                wait.end();
            } else {
                wake_fd->disarm();
                wake_fd->arm(waited(slot->grants, seen), {});
            }
            return error;
        }
        asked_at = seen;
        ask();
        while (wait.grants() == seen && monotonic_ns() < spin_until_ns) relax();
        futex_wait(slot->grants, seen,
                   slice_before(at_once ? answer_until_ns : choice.deadline_ns));
    }
}

Result<std::unique_ptr<ProducerCore>, Error<OpenError>> open_producer(
    const std::shared_ptr<Connection>& connection, const DestinationName& name,
    const ProducerOptions& options) {
    auto opened = connection->open_producer(name.full);
    if (!opened) return fail(opened.error());
    const protocol::ProducerOpened& answer = opened->answer;
    const ControlView& control = connection->control();
    auto core = std::make_unique<ProducerCore>();
    core->kind = name.kind;
    core->lane = answer.lane;
    core->destination_slot = answer.destination;
    core->slot = &control.lane(answer.lane);
    core->cell = opened->cell;
    core->destination = name.full;
    core->options = options;
    core->connection = connection;
    core->made_under_forks = forks();
    core->ready = &connection->signals().head().ready[answer.lane];
    core->sleepers = &connection->signals().destination(answer.destination).word;
    core->anyone = &connection->signals().head().anyone.word;
    core->writer = LaneWriter(connection->writable(), *core->slot, *core->cell);
    if (answer.page != 0)
        core->writer.resume(answer.page, answer.tail, answer.messages, answer.payload);
    core->open = true;
    core->policy = &control.destination(answer.destination).policy;
    core->look_at_policy();
    core->plain_limit = options.timestamps || core->metered() ? 0 : core->largest + 1;
    core->ask_ahead();
    connection->join(core.get());
    return core;
}

}  // namespace weir::detail
