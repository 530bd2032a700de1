// SPDX-License-Identifier: Apache-2.0
#include "core/client/queue_source.hpp"

#include <algorithm>
#include <bit>

#include "core/base/clock.hpp"
#include "core/client/expiry.hpp"

namespace weir::detail {
namespace {

constexpr std::uint32_t polls_per_range = 4 * note_records_max;
// A range that somebody else took is tried for again; a producer that lies could make that endless.
constexpr int claim_tries = 64;
constexpr std::uint64_t unlimited = ~std::uint64_t{0};
constexpr std::uint32_t notes_when_pulling = 64;
constexpr std::uint32_t notes_least = 2;
constexpr std::uint32_t widening = 4;  // a wider piece has so many times the notes
constexpr std::uint64_t refused_for_ns = 100'000'000;

// One note per message suffices also when each range holds a single one.
std::uint32_t notes_for(const ConsumerOptions& options) noexcept {
    return std::min(options.prefetch == 0 ? notes_when_pulling : options.prefetch, piece_notes_max);
}

constexpr std::uint64_t mask_of(std::uint32_t count) noexcept {
    return count >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << count) - 1;
}

// The lowest `count` bits that are set in `mask`.
std::uint64_t lowest_bits(std::uint64_t mask, std::uint64_t count) noexcept {
    std::uint64_t rest = mask;
    for (std::uint64_t i = 0; i < count && rest != 0; ++i) rest &= rest - 1;
    return mask & ~rest;
}

}  // namespace

std::uint32_t notes_at_first(const ConsumerOptions& options) noexcept {
    return std::min(notes_least, notes_for(options));
}

QueueSource::QueueSource(Connection& connection, OpenedConsumer opened,
                         const ConsumerOptions& options)
    : connection_(&connection),
      opened_(std::move(opened)),
      claims_(connection.claims()),
      prefetch_(options.prefetch),
      prefetch_bytes_(options.prefetch_bytes),
      notes_most_(std::max(notes_for(options), opened_.answer.notes)),
      held_(opened_.answer.notes) {
    for (std::uint32_t note = opened_.answer.notes; note-- > 0;) free_notes_.push_back(note);
}

std::atomic<std::uint32_t>& QueueSource::sleep_word() const noexcept {
    return connection_->signals().destination(destination()).word;
}

bool QueueSource::may_widen() const noexcept {
    return opened_.piece.notes < notes_most_ && monotonic_ns() >= widen_from_ns_;
}

std::uint32_t QueueSource::limit() const noexcept {
    if (free_notes_.empty() && !may_widen()) return 0;
    if (prefetch_bytes_ != 0 && held_bytes_ >= prefetch_bytes_) return 0;
    if (prefetch_ == 0) return 1;
    const std::uint64_t left = prefetch_ > unacknowledged_ ? prefetch_ - unacknowledged_ : 0;
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(left, note_records_max));
}

std::uint64_t QueueSource::bytes_limit() const noexcept {
    return prefetch_bytes_ == 0 ? unlimited : prefetch_bytes_ - held_bytes_;
}

// Q5. A note that is free, if need be in a wider piece.
bool QueueSource::have_note(ConsumerCore& core) {
    if (!free_notes_.empty()) return true;
    return may_widen() && widen(core, std::min(widening * opened_.piece.notes, notes_most_)) &&
           !free_notes_.empty();
}

// Q6. Whatever the prefetch: its notes are also places in the ring of assignments. True: some came.
bool QueueSource::ask_for_ranges(ConsumerCore& core) {
    const DestinationSlot& slot = connection_->control().destination(destination());
    const std::uint32_t notes = opened_.piece.notes;
    // relaxed: assigned behind this look is as if its consumer had died behind it.
    if (slot.ranges_waiting.load(std::memory_order_relaxed) == 0) return false;
    return notes < assignments_max && monotonic_ns() >= widen_from_ns_ &&
           widen(core, std::min(widening * notes, assignments_max)) && is_assigned(opened_.piece);
}

bool QueueSource::widen(ConsumerCore& core, std::uint32_t notes) {
    const std::uint32_t had = opened_.piece.notes;
    auto piece = connection_->widen_consumer(opened_, notes);
    if (!piece || piece->notes < had) {
        lost_ = piece || piece.error() == NoWiderPiece::no_answer;
        widen_from_ns_ = monotonic_ns() + refused_for_ns;
        return false;
    }
    opened_.piece = *piece;
    core.cell = &opened_.piece.cell();
    std::rotate(held_.begin(), held_.begin() + static_cast<std::ptrdiff_t>(held_first_),
                held_.end());
    held_first_ = 0;
    held_.resize(piece->notes);
    for (std::uint32_t note = piece->notes; note-- > had;) free_notes_.push_back(note);
    return true;
}

void QueueSource::refresh() {
    const ControlView& control = connection_->control();
    const DestinationSlot& slot = control.destination(destination());
    stale_ = false;
    // relaxed: a late look finds the change later; the last look before sleeping is behind a
    // membarrier.
    seen_generation_ = slot.lanes_generation.load(std::memory_order_relaxed);
    std::vector<Lane> found;
    // SYNC(slot_live) acquire: the lane that is named is complete.
    std::uint32_t next = slot.first_lane.load(std::memory_order_acquire);
    for (std::uint32_t steps = 0;
         next != 0 && next <= control.limits.lanes && steps < control.limits.lanes; ++steps) {
        const LaneId id = next - 1;
        const LaneSlot& lane = control.lane(id);
        // SYNC(slot_live) acquire: the slot's fields are set.
        const SlotState state = lane.state.load(std::memory_order_acquire);
        const bool gone = state == SlotState::free || state == SlotState::ended;
        // relaxed: visible with the state.
        if (!gone && lane.destination.load(std::memory_order_relaxed) == destination()) {
            // relaxed: visible with the state.
            const std::uint64_t birth = lane.birth.load(std::memory_order_relaxed);
            const auto known = std::find_if(lanes_.begin(), lanes_.end(), [&](const Lane& old) {
                return old.id == id && old.birth == birth;
            });
            found.push_back(known != lanes_.end()
                                ? *known
                                : Lane{.id = id,
                                       .birth = birth,
                                       .reader = SharedReader(connection_->readable(), lane, id,
                                                              opened_.answer.consumer_slot)});
        }
        // SYNC(slot_live) acquire: as above.
        next = lane.next_lane.load(std::memory_order_acquire);
    }
    lanes_ = std::move(found);
}

// Makes `held` the note being read.
void QueueSource::begin(ConsumerCore& core, const Held& held, const LaneReader& reader,
                        Position to) {
    ++held_count_;
    newest() = held;
    newest().first_serial = core.received + 1;
    unacknowledged_ += static_cast<std::uint64_t>(std::popcount(held.due));
    held_bytes_ += held.bytes;
    reading_ = true;
    reader_ = reader;
    core.reader = &reader_;
    core.note = &opened_.piece.note(held.note);
    core.started = 0;
    core.bit = 1;
    core.last_bit = std::uint64_t{1} << (held.count - 1);
    core.range_to = to;
}

bool QueueSource::take_assigned(ConsumerCore& core) {
    const ControlView& control = connection_->control();
    while ((is_assigned(opened_.piece) || ask_for_ranges(core)) && have_note(core)) {
        const std::uint32_t number = free_notes_.back();
        InFlightNote& note = opened_.piece.note(number);
        const AssignedRange range = take_assignment(opened_.piece, note);
        LaneReader reader(connection_->readable(), range.lane);
        const bool sound = range.lane < control.limits.lanes && range.count != 0 &&
                           range.count <= note_records_max &&
                           stand_at_range(reader, connection_->readable(), control.lane(range.lane),
                                          range.from, range.to);
        if (!sound) {
            core.count_damaged(1);
            // SYNC(noted) release: nothing of it can be read, so nothing of it is held.
            note.from.store(0, std::memory_order_release);
            continue;
        }
        free_notes_.pop_back();
        const std::uint64_t due = range.due & mask_of(range.count);
        begin(core,
              {.note = number,
               .lane = range.lane,
               .count = range.count,
               .assigned = true,
               .due = due,
               .redelivered = range.redelivered,
               .bytes = range.to - range.from,
               .page_start = reader.page_start(),
               // Who acknowledged the first message has seen the mark.
               .lost = (due & 1) != 0 ? reader.lost_here() : 0},
              reader, range.to);
        return true;
    }
    return false;
}

// Without a limit in bytes, or within it; one message of any size if nothing is held.
bool QueueSource::claim_from(ConsumerCore& core, Lane& lane, std::uint32_t most) {
    if (claim_range(core, lane, most, bytes_limit())) return true;
    return prefetch_bytes_ != 0 && held_count_ == 0 && claim_range(core, lane, 1, unlimited);
}

bool QueueSource::claim_range(ConsumerCore& core, Lane& lane, std::uint32_t most,
                              std::uint64_t bytes) {
    const std::uint32_t number = free_notes_.back();
    if (last_to_ != 0 && last_lane_ != lane.id) {
        step_off(claims_, last_lane_, last_to_, opened_.answer.consumer_slot);
        last_to_ = 0;
    }
    ClaimedRange range;
    RangeStatus status = RangeStatus::lost;
    const std::uint64_t damaged = lane.reader.damaged();
    for (int tries = 0; status == RangeStatus::lost && tries < claim_tries; ++tries)
        status =
            lane.reader.claim(claims_, *core.cell, opened_.piece.note(number), most, bytes, range);
    if (lane.reader.damaged() != damaged) {
        // SYNC(cursor_moved) acquire: only compared with the one that damage was counted at.
        const Position cursor =
            cursor_position(claims_.cursor(lane.id).load(std::memory_order_acquire));
        if (cursor != lane.damaged_at) core.count_damaged(1);
        lane.damaged_at = cursor;
    }
    if (status != RangeStatus::taken) return false;
    free_notes_.pop_back();
    last_lane_ = lane.id;
    last_to_ = range.to;
    const bool page_passed = lane.page_start != 0 && lane.page_start != range.reader.page_start();
    lane.page_start = range.reader.page_start();
    begin(core,
          {.note = number,
           .lane = lane.id,
           .count = range.count,
           .due = mask_of(range.count),
           .bytes = range.to - range.from,
           .page_start = lane.page_start,
           .lost = range.lost + std::exchange(lane.lost, 0)},
          range.reader, range.to);
    core.hand = Hand::range;
    core.turns = polls_per_range;
    if (page_passed) core.passed(lane.id);
    if (range.more && anyone_sleeps(sleep_word())) wake_one(sleep_word());  // Q4
    return true;
}

bool QueueSource::claim(ConsumerCore& core) {
    const std::uint32_t most = limit();
    if (most == 0) return false;
    const DestinationSlot& slot = connection_->control().destination(destination());
    // relaxed: as in refresh.
    if (stale_ || slot.lanes_generation.load(std::memory_order_relaxed) != seen_generation_)
        refresh();
    if (free_notes_.empty() && (!work_is_left(core) || !have_note(core))) {
        // SYNC(entered) release: nothing is taken from the page that was looked into.
        core.cell->entering.store(0, std::memory_order_release);
        return false;
    }
    const auto& ready = connection_->signals().head().ready;
    for (std::size_t step = 0; step < lanes_.size(); ++step) {
        Lane& lane = lanes_[next_lane_++ % lanes_.size()];
        // relaxed: a hint. Only the broker clears it, and looks again itself (S1).
        if (ready[lane.id].load(std::memory_order_relaxed) == 0) continue;
        // relaxed: ordered against the look at the state by the broker's membarrier.
        core.cell->looking_at.store(lane.id + 1, std::memory_order_relaxed);
        // barrier: the lane is named before its cursor and pages are looked at, in program order.
        std::atomic_signal_fence(std::memory_order_seq_cst);
        const LaneSlot& lane_slot = connection_->control().lane(lane.id);
        // relaxed: a lane of another birth has a cursor that no claim of ours can win.
        if (lane_slot.birth.load(std::memory_order_relaxed) != lane.birth) {
            stale_ = true;
            continue;
        }
        if (claim_from(core, lane, most)) break;
    }
    // relaxed: a range is pinned by its note from here on; a late clear costs the broker one more
    // look.
    core.cell->looking_at.store(0, std::memory_order_relaxed);
    // SYNC(entered) release: who finds no page named finds the note and the cursor of what was
    // taken.
    core.cell->entering.store(0, std::memory_order_release);
    return reading_;
}

// The rest of the range in hand cannot be read: it is nonsense where its messages should be.
void QueueSource::give_up_rest(ConsumerCore& core) noexcept {
    core.count_damaged(1);
    Held& held = newest();
    const std::uint64_t rest = held.due & ~(core.bit - 1);
    core.received += static_cast<std::uint64_t>(std::popcount(rest));
    core.not_given_out += static_cast<std::uint64_t>(std::popcount(rest));
    core.started |= rest;
    core.bit = 0;
    mark_acknowledged(core, held, rest);
}

Result<Message, ReceiveError> QueueSource::next_of_range(ConsumerCore& core) {
    Held& held = newest();
    while (core.bit != 0) {
        const RecordView record = core.reader->look(nullptr);
        if (!record || record.end() > core.range_to) {
            give_up_rest(core);
            break;
        }
        const std::uint64_t bit = core.bit;
        const bool due = (held.due & bit) != 0;
        if (due && given_out_is_at_limit(core)) return fail(ReceiveError::timed_out);
        core.bit = bit == core.last_bit ? 0 : bit << 1;
        core.reader->pass(record);
        if (!due) continue;
        core.started |= bit;
        // relaxed: it only decides whether a message counts as delivered before.
        core.note->started.store(core.started, std::memory_order_relaxed);
        ++core.received;
        if (has_expired(record)) {
            core.count_expired();
            mark_acknowledged(core, held, bit);
            continue;
        }
        if (held.lost != 0) core.mark_lost(std::exchange(held.lost, 0));
        return core.give(record, (held.redelivered & bit) != 0);
    }
    return fail(ReceiveError::timed_out);
}

// Assignments come whatever the prefetch; they are given out within it.
bool QueueSource::given_out_is_at_limit(const ConsumerCore& core) noexcept {
    if (core.automatic || prefetch_ == 0 || !newest().assigned) return false;
    std::uint64_t given_out = 0;
    for (std::size_t index = 0; index < held_count_; ++index) {
        const Held& note = held(index);
        const std::uint64_t started = &note == &newest() ? core.started : note.started;
        given_out +=
            static_cast<std::uint64_t>(std::popcount(started & note.due & ~note.acknowledged));
    }
    return given_out >= prefetch_;
}

void QueueSource::settle(ConsumerCore& core) noexcept {
    if (!reading_) return;
    Held& held = newest();
    if (core.automatic) mark_acknowledged(core, held, core.started & held.due);
    if (core.bit != 0) return;
    reading_ = false;
    held.started = core.started;
    keep_mark(held);
    core.drop_hand();
    core.note = nullptr;
    while (held_count_ != 0 && !reading_ && (this->held(0).due & ~this->held(0).acknowledged) == 0)
        free_front(core);
}

// Everything behind a gap had expired: the next message of the lane says what is missing.
void QueueSource::keep_mark(const Held& held) noexcept {
    if (held.lost == 0) return;
    for (Lane& lane : lanes_)
        if (lane.id == held.lane) lane.lost += held.lost;
}

void QueueSource::mark_acknowledged(ConsumerCore& core, Held& held, std::uint64_t mask) noexcept {
    const std::uint64_t fresh = mask & held.due & ~held.acknowledged;
    held.acknowledged |= fresh;
    unacknowledged_ -= static_cast<std::uint64_t>(std::popcount(fresh));
    // SYNC(noted) release: the bytes of what is acknowledged here have been read.
    opened_.piece.note(held.note).acknowledged.store(
        core.automatic ? held.acknowledged | core.started : held.acknowledged,
        std::memory_order_release);
}

// Q3. Its messages may have been the last in their page that somebody held.
void QueueSource::free_front(ConsumerCore& core) noexcept {
    const Held& front = held(0);
    // SYNC(noted) release: everything in the range has been read.
    opened_.piece.note(front.note).from.store(0, std::memory_order_release);
    free_notes_.push_back(front.note);
    held_bytes_ -= front.bytes;
    const auto lane = std::find_if(lanes_.begin(), lanes_.end(), [&](const Lane& candidate) {
        return candidate.id == front.lane;
    });
    const bool page_is_behind = lane == lanes_.end() || lane->page_start != front.page_start;
    const LaneId id = front.lane;
    held_first_ = (held_first_ + 1) % held_.size();
    --held_count_;
    if (page_is_behind) core.passed(id);
}

void QueueSource::acknowledge(ConsumerCore& core, std::uint64_t serial) noexcept {
    while (held_count_ != 0) {
        Held& front = held(0);
        const bool in_reading = reading_ && held_count_ == 1;
        const std::uint64_t started = (in_reading ? core.started : front.started) & front.due;
        if (front.first_serial > serial || started == 0) return;
        const std::uint64_t count = serial - front.first_serial + 1;
        mark_acknowledged(core, front, lowest_bits(started, count));
        if ((front.due & ~front.acknowledged) != 0) return;
        if (in_reading && core.bit != 0) return;  // only what is not due is left of it
        if (in_reading) {
            reading_ = false;
            core.drop_hand();
            core.note = nullptr;
        }
        free_front(core);
    }
}

bool QueueSource::work_is_left(ConsumerCore& core) noexcept {
    const auto& ready = connection_->signals().head().ready;
    return std::any_of(lanes_.begin(), lanes_.end(), [&](Lane& lane) {
        // relaxed: a hint, as in claim.
        return ready[lane.id].load(std::memory_order_relaxed) != 0 &&
               lane.reader.has_work(claims_, *core.cell);
    });
}

void QueueSource::offer_work(ConsumerCore& core) noexcept {
    if (anyone_sleeps(sleep_word()) && work_is_left(core)) wake_one(sleep_word());
}

Result<Message, ReceiveError> QueueSource::look(ConsumerCore& core) {
    core.cell = &opened_.piece.cell();
    settle(core);
    for (;;) {
        if (!reading_ && !lost_ && !take_assigned(core) && !lost_) claim(core);
        if (!reading_) return fail(lost_ ? ReceiveError::broker_down : ReceiveError::timed_out);
        if (auto message = next_of_range(core)) return message;
        if (core.bit != 0) return fail(ReceiveError::timed_out);  // given out as many as it may
        settle(core);
        // Everything in it was passed over (expired, damaged): the next one.
        if (reading_) return fail(ReceiveError::timed_out);
    }
}

}  // namespace weir::detail
