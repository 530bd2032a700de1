// SPDX-License-Identifier: Apache-2.0
//
// A consumer's long way: everything that is not the next message of what it has in hand.
#include <algorithm>

#include "core/base/clock.hpp"
#include "core/client/cores.hpp"
#include "core/client/open.hpp"
#include "core/client/queue_source.hpp"
#include "core/client/topic_source.hpp"
#include "core/client/wake_fd.hpp"
#include "core/protocol/channel.hpp"

namespace weir::detail {
namespace {

// Empty looks between two questions whether the broker lives, which are system calls.
constexpr std::uint32_t looks_per_question = 1024;

}  // namespace

ConsumerCore::ConsumerCore() = default;

ConsumerCore::~ConsumerCore() {
    if (connection == nullptr) return;
    if (connection->forked()) {
        // The waiting belongs to the parent: ending it here would end it there. Mappings are not
        // ours.
        static_cast<void>(wake_fd.release());
        for (auto& queue : queues) static_cast<void>(queue.release());
        return;
    }
    std::vector<std::uint32_t> subscriptions;
    if (topic != nullptr) subscriptions.push_back(topic->subscription());
    for (const auto& queue : queues) subscriptions.push_back(queue->subscription());
    connection->leave(this);
    close();
    for (const std::uint32_t subscription : subscriptions) connection->close_consumer(subscription);
}

void ConsumerCore::close() noexcept {
    if (!open) return;
    open = false;
    disarm();
    wake_fd.reset();
    if (topic != nullptr) topic->leave(*this);
    drop_hand();
    topic.reset();
    queues.clear();
}

void ConsumerCore::passed(LaneId lane) noexcept {
    SignalsHead& head = connection->signals().head();
    set_lane_bit(head.passed, lane);
    // SYNC(doorbell) acquire: nothing is read by it; in one order with the bit before it (S2).
    if (head.hungry.load(std::memory_order_seq_cst) != 0) connection->ring_if_asleep();
}

// With automatic acknowledgement only the message given out last is still asked.
void ConsumerCore::mark_lost(std::uint64_t messages) {
    if (automatic) gaps.clear();
    gaps.emplace_back(received, messages);
}

std::uint64_t ConsumerCore::lost_before(std::uint64_t serial) const noexcept {
    for (const auto& [behind, messages] : gaps)
        if (behind == serial) return messages;
    return 0;
}

void ConsumerCore::count_expired() noexcept {
    ++counts.expired;
    ++not_given_out;
    // relaxed: a figure for people, written by this side only.
    cell->expired.store(counts.expired, std::memory_order_relaxed);
}

void ConsumerCore::count_damaged(std::uint64_t places) noexcept {
    if (places == 0) return;
    counts.damaged += places;
    // relaxed: a figure for people, written by this side only.
    cell->damaged.store(counts.damaged, std::memory_order_relaxed);
}

bool ConsumerCore::may_hold_more() const noexcept {
    return queues.empty() || std::any_of(queues.begin(), queues.end(),
                                         [](const auto& queue) { return queue->may_claim(); });
}

void ConsumerCore::acknowledge(std::uint64_t serial, Position end) noexcept {
    if (!open || made_under_forks != forks()) return;
    std::erase_if(gaps, [serial](const auto& gap) { return gap.first <= serial; });
    if (topic != nullptr) topic->acknowledge(*this, serial, end);
    for (const auto& queue : queues) queue->acknowledge(*this, serial);
}

std::string_view ConsumerCore::destination_of(LaneId lane) {
    if (!has_wildcards) return pattern;
    if (!open || made_under_forks != forks()) return {};
    const ControlView& control = connection->control();
    // relaxed: a lane with a message that is held does not end.
    const std::uint32_t number = control.lane(lane).destination.load(std::memory_order_relaxed);
    if (number >= control.limits.destinations) return {};
    const DestinationSlot& slot = control.destination(number);
    auto& name = names[{number, slot.birth}];
    if (name.empty()) name = protocol::read_text(slot.name);
    return name;
}

// A pattern of queues is one shared consumer on each queue that it means. Queues come into being
// with their first lane, which the generation tells.
void ConsumerCore::open_new_queues() {
    const ControlView& control = connection->control();
    // relaxed: a late look finds the change later; the last look before sleeping is behind a
    // membarrier.
    const auto generation = control.superblock().lanes_generation.load(std::memory_order_relaxed);
    if (generation == seen_generation) return;
    seen_generation = generation;
    for (std::uint32_t number = 0; number < control.limits.destinations; ++number) {
        const DestinationSlot& slot = control.destination(number);
        // SYNC(slot_live) acquire: kind and name are set.
        if (slot.state.load(std::memory_order_acquire) != SlotState::live) continue;
        const std::string name(protocol::read_text(slot.name));
        const bool known = std::any_of(queues.begin(), queues.end(), [&](const auto& queue) {
            return queue->destination() == number;
        });
        if (known || slot.kind != DestinationKind::queue || !matches(pattern, name)) continue;
        auto opened = connection->open_consumer(name, notes_at_first(options), options.prefetch);
        // Refused for now: whatever changes next is a reason to try again.
        if (!opened || opened->answer.destination == 0) continue;
        queues.push_back(std::make_unique<QueueSource>(*connection, std::move(*opened), options));
    }
}

Result<Message, ReceiveError> ConsumerCore::look_into_queues() {
    if (has_wildcards) open_new_queues();
    if (queues.empty()) return fail(ReceiveError::timed_out);
    // One range at a time, so that the serial numbers of a note stand one behind the other.
    QueueSource& current = *queues[current_queue % queues.size()];
    current.settle(*this);
    const bool go_on = current.in_hand();
    if (!go_on) ++current_queue;
    for (std::size_t step = 0; step < queues.size(); ++step, ++current_queue) {
        QueueSource& queue = *queues[current_queue % queues.size()];
        auto message = queue.look(*this);
        if (message || message.error() != ReceiveError::timed_out) return message;
        if (queue.in_hand()) break;
    }
    return fail(ReceiveError::timed_out);
}

Result<Message, ReceiveError> ConsumerCore::look_once() {
    return topic != nullptr ? topic->look(*this) : look_into_queues();
}

void ConsumerCore::pause() noexcept {
    const std::uint32_t turns_of_waiting = relaxes_in(std::exchange(pause_ns, 0));
    for (std::uint32_t turn = 0; turn < turns_of_waiting; ++turn) relax();
}

Result<Message, ReceiveError> ConsumerCore::look_further(bool waits) {
    if (made_under_forks != forks()) return fail(ReceiveError::forked);
    if (!open) return fail(ReceiveError::closed);
    if (pause_ns != 0) {
        // A wait that may hold no more does not look at all: what is in hand may still be given.
        if (waits && gives_way() && may_hold_more()) return fail(ReceiveError::timed_out);
        pause();
    }
    if (armed) disarm();
    auto message = look_once();
    if (message || message.error() != ReceiveError::timed_out) return message;
    note_burst();
    if (wake_fd != nullptr) return arm_and_look();
    if (++empty_looks % looks_per_question == 0 && !connection->alive()) {
        message = look_once();
        if (message) return message;
        return fail(ReceiveError::broker_down);
    }
    return fail(ReceiveError::timed_out);
}

Result<std::unique_ptr<ConsumerCore>, Error<OpenError>> open_consumer(
    const std::shared_ptr<Connection>& connection, const DestinationName& name,
    const ConsumerOptions& options) {
    auto core = std::make_unique<ConsumerCore>();
    core->made_under_forks = forks();
    core->automatic = options.acknowledge == Acknowledge::automatic;
    core->options = options;
    core->pattern = name.full;
    core->has_wildcards = name.pattern;
    static_cast<void>(relaxes_in(0));  // measured here, not in the first pause
    core->dense_pause = DensePause(
        static_cast<std::uint64_t>(std::max<std::int64_t>(options.dense_pause.count(), 0)));
    const SignalsView signals = connection->signals();
    core->sleep_word = &signals.head().anyone.word;
    // A pattern of queues has no subscription of its own.
    if (!name.pattern || name.kind == DestinationKind::topic) {
        auto opened =
            connection->open_consumer(name.full, notes_at_first(options), options.prefetch);
        if (!opened) return fail(opened.error());
        const protocol::ConsumerOpened& answer = opened->answer;
        if (answer.destination != 0)
            core->sleep_word = &signals.destination(answer.destination - 1).word;
        core->cell = &opened->piece.cell();
        if (answer.subscription_kind == SubscriptionKind::shared && answer.destination != 0)
            core->queues.push_back(
                std::make_unique<QueueSource>(*connection, std::move(*opened), options));
        else
            core->topic = std::make_unique<TopicSource>(*connection, std::move(*opened));
    } else {
        // relaxed: any other value than the present one, so that the first look looks through all.
        core->seen_generation =
            connection->control().superblock().lanes_generation.load(std::memory_order_relaxed) - 1;
    }
    core->connection = connection;
    core->open = true;
    if (core->topic != nullptr)
        core->topic->first_look(*core);
    else if (name.pattern)
        core->open_new_queues();
    connection->join(core.get());
    return core;
}

}  // namespace weir::detail
