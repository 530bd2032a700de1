// SPDX-License-Identifier: Apache-2.0
#include "core/client/topic_source.hpp"

#include <algorithm>

#include "core/client/expiry.hpp"
#include "shm/shared_reader.hpp"

namespace weir::detail {
namespace {

// Messages from one lane before the next one gets its turn, and looks at an only lane before the
// long way.
constexpr std::uint32_t burst = 256;

bool readable(SlotState state) noexcept {
    return state == SlotState::live || state == SlotState::closed ||
           state == SlotState::quarantined;
}

}  // namespace

TopicSource::TopicSource(Connection& connection, OpenedConsumer opened)
    : connection_(&connection), opened_(std::move(opened)) {}

std::uint32_t TopicSource::generation() const noexcept {
    const ControlView& control = connection_->control();
    const std::uint32_t destination = opened_.answer.destination;  // slot + 1, 0: a pattern
    const auto& word = destination != 0 ? control.destination(destination - 1).lanes_generation
                                        : control.superblock().lanes_generation;
    // SYNC(slot_live) acquire: the places of the lanes that it counts. A late look finds the change
    // later; the last look before sleeping is behind a membarrier.
    return word.load(std::memory_order_acquire);
}

TopicSource::Lane* TopicSource::lane_with(LaneId id) noexcept {
    const auto found = std::find_if(lanes_.begin(), lanes_.end(),
                                    [id](const Lane& lane) { return lane.id == id; });
    return found == lanes_.end() ? nullptr : &*found;
}

void TopicSource::add_if_readable(std::uint32_t place, std::vector<Lane>& found) {
    const LanePlace& ours = opened_.piece.place(place);
    // SYNC(place_set) acquire: the cursor beside it.
    const std::uint64_t named = ours.lane.load(std::memory_order_acquire);
    const ControlView& control = connection_->control();
    if (named == 0 || named > control.limits.lanes) return;
    const auto id = static_cast<LaneId>(named - 1);
    const LaneSlot& slot = control.lane(id);
    // SYNC(slot_live) acquire: the slot's fields are set.
    if (!readable(slot.state.load(std::memory_order_acquire))) return;
    // relaxed: visible with the state.
    const std::uint64_t birth = slot.birth.load(std::memory_order_relaxed);
    // relaxed: a place is left before its lane's slot can be another's, which was seen in use.
    if (ours.lane.load(std::memory_order_relaxed) != named) return;
    if (Lane* const known = lane_with(id); known != nullptr && known->birth == birth) {
        found.push_back(*known);
        found.back().gone = false;
        return;
    }
    found.push_back(Lane{.id = id,
                         .birth = birth,
                         .slot = &slot,
                         .place = place,
                         .reader = LaneReader(connection_->readable(), id)});
}

// More lanes have come than the piece has places for. False: they cannot be read yet.
bool TopicSource::widen(ConsumerCore& core) {
    // SYNC(place_set) acquire: so many can be had.
    const std::uint32_t places = core.cell->places.load(std::memory_order_acquire);
    if (places <= opened_.piece.places) return true;
    auto piece = connection_->widen_consumer(opened_, 0);
    if (!piece || piece->places < opened_.piece.places) {
        lost_ = piece || piece.error() == NoWiderPiece::no_answer;
        return false;
    }
    opened_.piece = *piece;
    core.cell = &opened_.piece.cell();
    return true;
}

// Makes the list of lanes anew. Places may change under the walk; then the generation is stepped
// behind that, differs from the one noted here, and the next look walks again.
void TopicSource::refresh(ConsumerCore& core) {
    leave(core);
    seen_generation_ = generation();
    stale_ = !widen(core);
    std::vector<Lane> found;
    const std::uint32_t places = lost_ ? 0 : opened_.piece.places;
    for (std::uint32_t place = 0; place < places; ++place) add_if_readable(place, found);
    lanes_ = std::move(found);
    current_ = 0;
}

// Finds the page of `position`. False while there is none: the lane waits for its next page, or
// what stood there is just being given up.
bool TopicSource::stand(Lane& lane, Position position) noexcept {
    const PageView pages = connection_->readable();
    // SYNC(given_up) acquire: what lies below the floor is unlinked, and the page at it linked.
    const Position floor = lane.slot->floor.load(std::memory_order_acquire);
    PageRef page = page_of(pages, *lane.slot, position);
    if (page == 0 && floor > position) {
        position = floor;
        page = page_of(pages, *lane.slot, position);
    }
    if (page == 0) return false;
    // SYNC(put_down) release: what is held of the lane named before stands in its cursor.
    opened_.piece.cell().entering.store(page, std::memory_order_release);
    // barrier: the page is named before it is looked for again, in program order.
    std::atomic_signal_fence(std::memory_order_seq_cst);
    if (page_of(pages, *lane.slot, position) != page) return false;
    if (lane.reader.is_being_taken(page)) return false;
    lane.reader.stand(page, position);
    if (lane.page == 0) lane.page = page;
    return true;
}

bool TopicSource::ended() const noexcept {
    // SYNC(slot_live) acquire: only compared.
    return connection_->control()
               .subscription(subscription())
               .state.load(std::memory_order_acquire) == SlotState::ended;
}

bool TopicSource::enter(ConsumerCore& core, Lane& lane) noexcept {
    // SYNC(put_down) release: as in `stand`.
    core.cell->looking_at.store(lane.id + 1, std::memory_order_release);
    // barrier: the lane is named before its state is looked at, in program order.
    std::atomic_signal_fence(std::memory_order_seq_cst);
    // SYNC(slot_live) acquire: this use of the slot, if it is one.
    const SlotState state = lane.slot->state.load(std::memory_order_acquire);
    // relaxed: visible with the state.
    if (!readable(state) || lane.slot->birth.load(std::memory_order_relaxed) != lane.birth) {
        lane.gone = stale_ = true;
        return false;
    }
    if (ended()) return false;
    if (lane.reader.standing()) {
        // SYNC(put_down) release: as in `stand`.
        core.cell->entering.store(lane.reader.page(), std::memory_order_release);
        // barrier: as in `stand`.
        std::atomic_signal_fence(std::memory_order_seq_cst);
        if (lane.reader.may_stay()) return true;
        return stand(lane, lane.reader.position());
    }
    // relaxed: written by this side since the lane can be seen.
    return stand(lane, exclusive_position(cursor_of(lane).load(std::memory_order_relaxed)));
}

// What the short way gave out since the lane was taken in hand becomes a run.
void TopicSource::note_run(const ConsumerCore& core) {
    if (!in_hand_ || core.automatic || core.received < hand_serial_) return;
    const Lane& lane = lanes_[current_];
    if (runs_.empty() || runs_.back().lane != lane.id) runs_.push_back({hand_serial_, lane.id, 0});
    runs_.back().end = lane.reader.position();
}

void TopicSource::leave(ConsumerCore& core) noexcept {
    note_run(core);
    if (in_hand_) keep_or_pass(core, lanes_[current_]);
    in_hand_ = false;
    core.drop_hand();
    // SYNC(put_down) release: what is held of the lane stands in its cursor.
    core.cell->looking_at.store(0, std::memory_order_release);
    // SYNC(put_down) release: as above; the broker may still have read the lane's name and finds no
    // page now.
    core.cell->entering.store(0, std::memory_order_release);
}

// Whether messages of the lane were given out and are not acknowledged. Of a lane of which nothing
// is held the cursor moves on whatever is held of others: nothing else keeps its pages.
bool TopicSource::holds(const ConsumerCore& core, const Lane& lane) const noexcept {
    return !core.automatic && std::any_of(runs_.begin(), runs_.end(),
                                          [&](const Run& run) { return run.lane == lane.id; });
}

// Of a lane that is put down, the broker has to know what was given out and not acknowledged.
void TopicSource::keep_or_pass(ConsumerCore& core, Lane& lane) noexcept {
    if (!holds(core, lane)) return set_cursor(core, lane, lane.reader.position());
    // relaxed: written by this side only.
    const Position cursor = exclusive_position(cursor_of(lane).load(std::memory_order_relaxed));
    const std::uint64_t units = held_units(cursor, lane.reader.position());
    // SYNC(cursor_set) release: as in set_cursor.
    cursor_of(lane).store(exclusive_cursor(cursor, units), std::memory_order_release);
}

// Moves the cursor and tells the broker if that lets a page go.
void TopicSource::set_cursor(ConsumerCore& core, Lane& lane, Position position,
                             bool put_down) noexcept {
    // relaxed: written by this side only.
    if (position > exclusive_position(cursor_of(lane).load(std::memory_order_relaxed))) {
        // Of a lane that was put down the word also says what is held: to the same end as before.
        const std::uint64_t units = put_down ? held_units(position, lane.reader.position()) : 0;
        // SYNC(cursor_set) release: everything before this position has been read.
        cursor_of(lane).store(exclusive_cursor(position, units), std::memory_order_release);
    }
    if (!lane.owes_passed || position <= lane.reader.page_start()) return;
    lane.owes_passed = false;
    core.passed(lane.id);
}

// Called when the reader may have stepped into another page; everything before `position` has been
// read.
void TopicSource::pass_pages(ConsumerCore& core, Lane& lane, Position position) noexcept {
    if (lane.reader.page() == lane.page) return;
    lane.page = lane.reader.page();
    lane.owes_passed = true;
    if (!holds(core, lane)) set_cursor(core, lane, position);
}

void TopicSource::take_in_hand(ConsumerCore& core, Lane& lane) noexcept {
    in_hand_ = true;
    hand_serial_ = core.received + 1;
    core.hand = Hand::lane;
    core.turns = burst;
    core.alone = lanes_.size() == 1 && core.wake_fd == nullptr;
    core.reader = &lane.reader;
    core.cursor = &cursor_of(lane);
}

Result<Message, ReceiveError> TopicSource::look_into(ConsumerCore& core, Lane& lane) {
    const std::uint64_t damaged = lane.reader.damaged();
    for (;;) {
        const RecordView record = lane.reader.look(&core.cell->entering);
        if (!record) break;
        pass_pages(core, lane, record.position);
        lane.reader.pass(record);
        if (has_expired(record)) {
            ++core.received;
            core.count_expired();
            continue;
        }
        core.count_damaged(lane.reader.damaged() - damaged);
        if (!in_hand_) take_in_hand(core, lane);
        core.alone = lanes_.size() == 1 && core.wake_fd == nullptr;
        ++core.received;
        if (const std::uint64_t lost = lane.reader.take_lost()) core.mark_lost(lost);
        return core.give(record, false);
    }
    pass_pages(core, lane, lane.reader.position());
    core.count_damaged(lane.reader.damaged() - damaged);
    if (!holds(core, lane)) set_cursor(core, lane, lane.reader.position());
    return fail(ReceiveError::timed_out);
}

Result<Message, ReceiveError> TopicSource::look(ConsumerCore& core) {
    const bool had_hand = in_hand_;
    if (had_hand && core.turns != 0) {
        // The short way met something that it leaves to this one: a new page, an envelope, or no
        // message.
        note_run(core);
        if (auto message = look_into(core, lanes_[current_])) return message;
    }
    if (ended()) {
        leave(core);
        return fail(ReceiveError::too_slow);
    }
    const std::size_t last = current_;
    if (had_hand) leave(core);
    if (!lost_ && (stale_ || generation() != seen_generation_)) refresh(core);
    if (lost_) return fail(ReceiveError::broker_down);
    if (lanes_.empty()) return fail(ReceiveError::timed_out);
    const std::size_t count = lanes_.size();
    const std::size_t first = had_hand && last < count && count > 1 ? last + 1 : last;
    const auto& ready = connection_->signals().head().ready;
    bool entered = false;
    for (std::size_t step = 0; step < count; ++step) {
        current_ = (first + step) % count;
        Lane& lane = lanes_[current_];
        // relaxed: a hint. Only the broker clears it, and looks again itself (S1).
        const bool idle = ready[lane.id].load(std::memory_order_relaxed) == 0;
        entered = !(idle && count > 1) && enter(core, lane);
        if (!entered) continue;
        if (auto message = look_into(core, lane)) return message;
    }
    Lane& only = lanes_[current_];
    // relaxed: a closed lane is let go as soon as it is empty, so that the broker may end it.
    if (count == 1 && entered && !only.gone && only.reader.standing() &&
        only.slot->state.load(std::memory_order_relaxed) == SlotState::live) {
        take_in_hand(core, only);
    } else {
        leave(core);
    }
    return fail(ReceiveError::timed_out);
}

void TopicSource::first_look(ConsumerCore& core) {
    refresh(core);
    for (Lane& lane : lanes_) {
        if (!enter(core, lane)) continue;
        while (const RecordView record = lane.reader.look(&core.cell->entering))
            lane.reader.pass(record);
        lane.reader.take_lost();  // was before this subscription
        pass_pages(core, lane, lane.reader.position());
        set_cursor(core, lane, lane.reader.position());
    }
    leave(core);
}

void TopicSource::acknowledge(ConsumerCore& core, std::uint64_t serial, Position end) noexcept {
    if (core.automatic) {
        if (in_hand_) set_cursor(core, lanes_[current_], lanes_[current_].reader.position());
        return;
    }
    note_run(core);
    const bool all = serial >= core.received;
    while (!runs_.empty() && runs_.front().first_serial <= serial) {
        const Run run = runs_.front();
        const bool whole = all || (runs_.size() > 1 && runs_[1].first_serial <= serial);
        // A lane that is not there any more has ended, and with it what was in it.
        Lane* const lane = lane_with(run.lane);
        const bool put_down = lane != nullptr && !(in_hand_ && lane == &lanes_[current_]);
        if (whole) runs_.pop_front();
        if (lane != nullptr) {
            // One store: once nothing is held of a lane that was put down, it may end.
            const bool none_left = whole && !holds(core, *lane);
            const Position acknowledged = whole ? run.end : end;
            set_cursor(core, *lane, none_left ? lane->reader.position() : acknowledged, put_down);
        }
        if (!whole) return;
    }
    hand_serial_ = core.received + 1;
}

}  // namespace weir::detail
