// SPDX-License-Identifier: Apache-2.0
//
// The part of a recount about messages: every record is walked over, and every cursor, note and
// assignment is held against the records.
//
//   queue   behind the shared cursor + what consumers noted and did not acknowledge
//           + assignments they have not taken + pending (the broker's word)
//   topic   the subscription that has the most to come
//
// The mappings that these views are over cannot be written, whatever the views allow.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "core/inspect/recount_state.hpp"
#include "core/protocol/names.hpp"
#include "shm/claims.hpp"
#include "shm/exchange.hpp"

namespace weir::inspect {
namespace {

bool holds(const LanePages& lane, Position at) {
    return std::any_of(lane.pages.begin(), lane.pages.end(), [&](const WalkedPage& page) {
        return at >= page.start && at <= page.end();
    });
}

class MessageCount {
public:
    MessageCount(RecountState& state, const PageView& pages) : state_(state), pages_(pages) {}

    void count(std::uint32_t destination);
    bool all_seen() const noexcept { return all_seen_; }
    bool some_on_disk() const noexcept { return some_on_disk_; }

private:
    using Lanes = std::vector<const WalkedLane*>;

    Tally count_queue(std::uint32_t destination, const Lanes& lanes);
    Tally count_topic(std::uint32_t destination, const Lanes& lanes);
    // Messages behind each mark of a lane; names the marks where no record begins.
    void walk(const WalkedLane& lane, std::vector<Mark>& marks, std::vector<Tally>& behind,
              const std::vector<std::string>& whose);
    Tally held_by(const SubscriptionSlot& consumer, const ClaimsView& claims, const Lanes& lanes);
    void add_range(const Lanes& lanes, LaneId in, Position from, Position to, std::uint64_t due,
                   Tally& held) const;
    ConsumerPiece piece_of(const SubscriptionSlot& subscription);

    RecountState& state_;
    const PageView& pages_;
    bool all_seen_ = true;
    bool some_on_disk_ = false;
};

ConsumerPiece MessageCount::piece_of(const SubscriptionSlot& subscription) {
    const ConsumerPiece piece = state_.piece_of(subscription);
    if (piece.base == nullptr) all_seen_ = false;
    return piece;
}

// A topic's subscription that is counted.
struct Reader {
    ConsumerPiece piece;
    bool ended = false;  // too slow: it is let go of lane by lane, and gets no new one
};

// Where a reader stands in a lane; nothing: it does not read it.
std::optional<Position> cursor_in(const Reader& reader, const WalkedLane& lane) {
    const ConsumerPiece& piece = reader.piece;
    if (const LanePlace* const place = piece.place_of(lane.lane)) {
        // SYNC(cursor_set) acquire: what lies before it has been read.
        const Position at = exclusive_position(place->cursor.load(std::memory_order_acquire));
        return at != 0 ? std::optional(at) : std::nullopt;
    }
    // SYNC(place_set) acquire: it has more places than it has asked for.
    if (reader.ended || piece.cell().places.load(std::memory_order_acquire) <= piece.places)
        return {};
    // The lane came since, and it stands at its beginning.
    return lane.pages.pages.empty()
               ? std::nullopt
               : std::optional(lane.pages.pages.front().start + page_header_bytes);
}

void MessageCount::walk(const WalkedLane& lane, std::vector<Mark>& marks,
                        std::vector<Tally>& behind, const std::vector<std::string>& whose) {
    std::vector<std::pair<Position, std::size_t>> order;
    for (std::size_t index = 0; index < marks.size(); ++index)
        order.emplace_back(marks[index].at, index);
    std::sort(order.begin(), order.end());  // equal positions in their own order
    const LaneRecords records = walk_records(pages_, lane.pages, marks);
    state_.result.records += records.records;
    state_.result.damaged += records.damaged;
    state_.stamp_with(records.tail);
    for (const Mark& mark : marks) state_.stamp_with(mark.at);
    behind.assign(marks.size(), {});
    for (std::size_t at = 0; at < marks.size(); ++at) {
        const Mark& mark = marks[at];
        behind[order[at].second] = {records.total.messages - mark.before.messages,
                                    records.total.payload - mark.before.payload};
        Totals& cursors = state_.result.of(Resource::cursors);
        ++cursors.books;
        ++cursors.counted;
        if (mark.at_record) continue;
        --cursors.counted;
        state_.differ(Resource::cursors, whose[order[at].second] + " on " + state_.lane_name(lane),
                      fmt::format("it stands at position {}, where no record begins", mark.at),
                      mark.at, records.tail);
    }
}

void MessageCount::add_range(const Lanes& lanes, LaneId in, Position from, Position to,
                             std::uint64_t due, Tally& held) const {
    for (const WalkedLane* const lane : lanes) {
        if (lane->lane != in) continue;
        const std::vector<std::uint64_t> payloads = messages_in(pages_, lane->pages, from, to);
        for (std::size_t at = 0; at < payloads.size(); ++at) {
            if ((due >> at & 1) == 0) continue;
            ++held.messages;
            held.payload += payloads[at];
        }
    }
}

// `taken` is read before the notes, as an assignment that it counts is in one of them or done.
Tally MessageCount::held_by(const SubscriptionSlot& consumer, const ClaimsView& claims,
                            const Lanes& lanes) {
    Tally held;
    const ConsumerPiece piece = piece_of(consumer);
    if (piece.base == nullptr) return held;
    // SYNC(taken) acquire: the notes of assignments that it counts are visible.
    const std::uint64_t taken = piece.cell().taken.load(std::memory_order_acquire);
    // SYNC(assigned) acquire: the fields of assignments that it counts are visible.
    const std::uint64_t assigned = piece.cell().assigned.load(std::memory_order_acquire);
    std::vector<std::uint64_t> named;
    for (std::uint32_t index = 0; index < piece.notes; ++index) {
        const InFlightNote& note = piece.note(index);
        // SYNC(noted) acquire: the note's fields are complete when `from` is set.
        const Position from = note.from.load(std::memory_order_acquire);
        if (from == 0) continue;
        // relaxed: all of these were made visible by `from`.
        const Position to = note.to.load(std::memory_order_relaxed);
        const LaneId lane = note.lane.load(std::memory_order_relaxed);
        const std::uint64_t due = note.due.load(std::memory_order_relaxed);
        const std::uint64_t done = note.acknowledged.load(std::memory_order_relaxed);
        const std::uint64_t assignment = note.assignment.load(std::memory_order_relaxed);
        // SYNC(noted) acquire: the claimant knew that it had won.
        const bool confirmed = note.confirmed.load(std::memory_order_acquire) != 0;
        if (assignment != 0) {
            named.push_back(assignment - 1);
        } else if (lane >= state_.view->limits.lanes ||
                   !is_claim(claims, lane, to, consumer.consumer_slot, confirmed)) {
            continue;
        }
        state_.stamp_with(from);
        state_.stamp_with(done);
        add_range(lanes, lane, from, to, due & ~done, held);
    }
    for (std::uint64_t number = taken;
         number < assigned && number < taken + assignments_of(piece.notes); ++number) {
        if (std::find(named.begin(), named.end(), number) != named.end()) continue;
        const Assignment& ring = piece.assignment(number);
        // relaxed: all of these were made visible by `assigned`.
        const Position from = ring.from.load(std::memory_order_relaxed);
        const Position to = ring.to.load(std::memory_order_relaxed);
        const LaneId lane = ring.lane.load(std::memory_order_relaxed);
        const std::uint64_t due = ring.due.load(std::memory_order_relaxed);
        add_range(lanes, lane, from, to, due, held);
    }
    return held;
}

Tally MessageCount::count_queue(std::uint32_t destination, const Lanes& lanes) {
    const ControlView& view = *state_.view;
    const DestinationSlot& slot = view.destination(destination);
    Tally depth{shown(slot.pending_messages), shown(slot.pending_bytes)};
    // Without consumers the broker keeps the cursors.
    ClaimsView claims;
    if (shown(slot.consumers) != 0) {
        const Limits& limits = view.limits;
        const Mapping* const file = state_.files->map(
            static_cast<int>(view.superblock().descriptors.claims), "weir-claims");
        if (file == nullptr || file->bytes() < claims_bytes(limits.lanes, limits.subscriptions)) {
            all_seen_ = false;
            return depth;
        }
        claims = {file->data(), limits.lanes, limits.subscriptions};
    }
    for (const WalkedLane* const lane : lanes) {
        const Position accepted = shown(view.lane(lane->lane).queue_cursor);
        Position cursor = accepted;
        if (claims.base != nullptr) {
            // SYNC(cursor_moved) acquire: notes of ranges below it are visible to the looks that
            // follow.
            cursor = cursor_position(claims.cursor(lane->lane).load(std::memory_order_acquire));
            // The broker accepts what it sees when it is asked to; cursors never go back.
            if (state_.plan.settled ? cursor != accepted : cursor < accepted)
                state_.differ(Resource::cursors, "the shared cursor on " + state_.lane_name(*lane),
                              fmt::format("it stands at position {}, the broker accepted {}",
                                          cursor, accepted),
                              accepted, cursor);
        }
        std::vector<Mark> marks{{cursor, {}, false}};
        std::vector<Tally> behind;
        walk(*lane, marks, behind, {"the shared cursor"});
        depth.messages += behind.front().messages;
        depth.payload += behind.front().payload;
    }
    if (claims.base == nullptr) return depth;
    for (std::uint32_t number = 0; number < view.limits.subscriptions; ++number) {
        const SubscriptionSlot& consumer = view.subscription(number);
        if (shown(consumer.state) == SlotState::free || consumer.kind != SubscriptionKind::shared ||
            consumer.destination != destination + 1)
            continue;
        const Tally held = held_by(consumer, claims, lanes);
        depth.messages += held.messages;
        depth.payload += held.payload;
    }
    return depth;
}

Tally MessageCount::count_topic(std::uint32_t destination, const Lanes& lanes) {
    const ControlView& view = *state_.view;
    const std::string name = state_.destination_name(destination);
    std::vector<Reader> readers;
    std::vector<std::string> whose;
    for (std::uint32_t number = 0; number < view.limits.subscriptions; ++number) {
        const SubscriptionSlot& subscription = view.subscription(number);
        if (shown(subscription.state) == SlotState::free ||
            subscription.kind != SubscriptionKind::exclusive)
            continue;
        const std::string pattern(subscription.pattern,
                                  strnlen(subscription.pattern, sizeof subscription.pattern));
        if (subscription.destination != 0 ? subscription.destination != destination + 1
                                          : !matches(pattern, name))
            continue;
        if (const ConsumerPiece piece = piece_of(subscription); piece.base != nullptr) {
            readers.push_back({piece, shown(subscription.state) == SlotState::ended});
            whose.push_back(fmt::format("the cursor of subscription {}", number));
        }
    }
    std::vector<Tally> depths(readers.size());
    for (const WalkedLane* const lane : lanes) {
        std::vector<Mark> marks;
        std::vector<std::size_t> reader_of;
        std::vector<std::string> names;
        for (std::size_t reader = 0; reader < readers.size(); ++reader) {
            const auto cursor = cursor_in(readers[reader], *lane);
            if (!cursor) continue;
            Position at = *cursor;
            if (!holds(lane->pages, at)) {
                // SYNC(given_up) acquire: what lay below is unlinked, and a reader goes on here.
                at = std::max(at,
                              state_.view->lane(lane->lane).floor.load(std::memory_order_acquire));
            }
            marks.push_back({at, {}, false});
            reader_of.push_back(reader);
            names.push_back(whose[reader]);
        }
        std::vector<Tally> behind;
        walk(*lane, marks, behind, names);
        for (std::size_t at = 0; at < behind.size(); ++at) {
            depths[reader_of[at]].messages += behind[at].messages;
            depths[reader_of[at]].payload += behind[at].payload;
        }
    }
    Tally deepest;
    for (const Tally& depth : depths)
        if (depth.messages > deepest.messages) deepest = depth;
    return deepest;
}

void MessageCount::count(std::uint32_t destination) {
    Lanes lanes;
    for (const WalkedLane& lane : state_.lanes)
        if (lane.destination == destination) lanes.push_back(&lane);
    // What is on disk is known by the broker alone: the rest of such a destination is not held
    // against its books.
    const bool on_disk = std::any_of(lanes.begin(), lanes.end(),
                                     [](const WalkedLane* lane) { return lane->pages.over_gap; });
    some_on_disk_ = some_on_disk_ || on_disk;
    const DestinationSlot& slot = state_.view->destination(destination);
    const bool whole_before = all_seen_;
    all_seen_ = true;
    state_.stamp = 0;
    const Tally depth = slot.kind == DestinationKind::queue ? count_queue(destination, lanes)
                                                            : count_topic(destination, lanes);
    const std::uint64_t books = shown(slot.books.depth_messages);
    Totals& totals = state_.result.of(Resource::messages);
    totals.books += books;
    totals.counted += depth.messages;
    if (on_disk) totals.counted += books - std::min(books, depth.messages);
    if (all_seen_ && state_.plan.settled && !on_disk) {
        const std::string name = state_.destination_name(destination);
        state_.compare(Resource::messages, name, books, depth.messages, "messages");
        state_.compare(Resource::messages, name, shown(slot.books.depth_bytes), depth.payload,
                       "payload bytes");
    }
    state_.stamp = 0;
    all_seen_ = all_seen_ && whole_before;
}

}  // namespace

void count_messages(RecountState& state) {
    const ControlView& view = *state.view;
    const Mapping* const direct =
        state.plan.broker_lives
            ? state.files->map(static_cast<int>(view.superblock().descriptors.direct),
                               "weir-direct")
            : nullptr;
    if (direct == nullptr || direct->bytes() < view.limits.pages * page_unit) {
        state.result.unseen.push_back(
            "messages and cursors were not recounted: the direct region is a memory file of the "
            "broker's process, which " +
            std::string(state.plan.broker_lives ? "this user may not look into" : "is gone"));
        return;
    }
    const PageView pages{direct->data(), view.pages(), view.limits.pages};
    MessageCount count(state, pages);
    for (std::uint32_t slot = 0; slot < view.limits.destinations; ++slot)
        if (state.used_destination(slot)) count.count(slot);
    state.result.of(Resource::cursors).seen = count.all_seen();
    state.result.of(Resource::messages).seen = count.all_seen() && state.plan.settled;
    if (!count.all_seen())
        state.result.unseen.emplace_back(
            "some consumers' exchange or claims could not be opened: what they hold is missing");
    if (count.some_on_disk())
        state.result.unseen.emplace_back(
            "messages on disk were taken from the books: only the broker knows where they lie");
    if (!state.plan.settled)
        state.result.unseen.emplace_back(
            "messages were not set beside the books: the broker did not bring them up to date");
}

}  // namespace weir::inspect
