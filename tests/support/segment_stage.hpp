// SPDX-License-Identifier: Apache-2.0
//
// A whole segment and its clients in one process and one thread. Clients are shm's own classes over
// mappings of their own, as a client process would have them; `turn` is called where the daemon
// would. Time stands still until a test moves it.
#ifndef WEIR_TESTS_SUPPORT_SEGMENT_STAGE_HPP
#define WEIR_TESTS_SUPPORT_SEGMENT_STAGE_HPP

#include <unistd.h>

#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/broker/segment.hpp"
#include "shm/claims.hpp"
#include "shm/control_region.hpp"
#include "shm/lane_writer.hpp"
#include "shm/shared_reader.hpp"
#include "shm/signals.hpp"

namespace weir::test {

using Texts = std::vector<std::string>;

// Policies for a segment of this size, from lines as `weir policy set` takes them.
inline broker::PolicySet policies_of(
    std::uint64_t direct_bytes,
    const std::vector<std::pair<std::string_view, std::string_view>>& rules) {
    broker::PolicySet set({direct_bytes, direct_bytes / 4});
    for (const auto& [pattern, settings] : rules)
        set = set.with(pattern, broker::read_assignments(settings).value()).value();
    return set;
}

// What all clients of a stage see.
struct Shared {
    ControlView control;
    SignalsView signals;
    PageView pages;
};

inline std::string text_of(const RecordView& view) {
    return {reinterpret_cast<const char*>(view.payload()), view.payload_bytes()};
}

// A message behind a gap, with how many are missing in front of it; and back.
inline std::string mark_text(std::uint64_t lost, const std::string& text) {
    return lost == 0 ? text : std::to_string(lost) + "?" + text;
}
inline std::pair<std::uint64_t, std::string> mark_of(const std::string& text) {
    const std::size_t at = text.find('?');
    if (at == std::string::npos) return {0, text};
    return {std::stoull(text), text.substr(at + 1)};
}

// An open producer.
struct TestProducer {
    const Shared* shared = nullptr;
    broker::Segment* segment = nullptr;
    std::uint32_t session = 0;
    LaneId lane = 0;
    std::uint32_t destination = 0;
    ProducerCell* cell = nullptr;
    LaneWriter writer;

    std::uint64_t sent_messages = 0;  // while metered
    std::uint64_t sent_payload = 0;
    Overflow on_full = Overflow::block;

    const LaneSlot& slot() const { return shared->control.lane(lane); }
    bool meter_allows(std::uint64_t payload) const {
        const std::uint64_t messages = slot().message_stop.load(std::memory_order_relaxed);
        const std::uint64_t bytes = slot().payload_stop.load(std::memory_order_relaxed);
        return (messages == 0 || sent_messages + 1 < messages) &&
               (bytes == 0 || sent_payload + payload < bytes);
    }

    // Claims without waiting. Null: no grant; the request stands in the cell as a waiting one.
    std::byte* claim(std::uint64_t payload) {
        const std::uint64_t bytes = record_bytes(0, payload);
        for (int look = 0; look < 4; ++look) {
            writer.announce();
            const bool allowed = meter_allows(payload);
            if (!allowed) writer.withdraw();
            if (std::byte* const record = allowed ? writer.claim(bytes) : nullptr) {
                ++sent_messages;
                sent_payload += payload;
                return record;
            }
            if (allowed && writer.advance(bytes) == ClaimStatus::ok) continue;
            ask(bytes);
            segment->turn();
        }
        return nullptr;
    }
    void ask(std::uint64_t bytes) {
        cell->wanted.store(bytes, std::memory_order_relaxed);
        cell->on_full.store(on_full, std::memory_order_relaxed);
        cell->sent_messages.store(sent_messages, std::memory_order_relaxed);
        cell->sent_payload.store(sent_payload, std::memory_order_relaxed);
        cell->waiting.store(ProducerWaiting::in_line, std::memory_order_relaxed);
        set_lane_bit(shared->signals.head().need, lane);
    }
    void stop_asking() {
        cell->wanted.store(0, std::memory_order_relaxed);
        cell->waiting.store(ProducerWaiting::no, std::memory_order_relaxed);
    }
    bool send(std::string_view text) {
        std::byte* const record = claim(text.size());
        if (record == nullptr) return false;
        stop_asking();
        std::memcpy(record + commit_word_bytes, text.data(), text.size());
        writer.commit(record, commit_word(RecordKind::message, 0, text.size()));
        shared->signals.head().ready[lane].store(1, std::memory_order_relaxed);
        return true;
    }
    // How many of `text` it could send until it would have to wait.
    std::size_t fill(std::string_view text, std::size_t most = 1u << 20) {
        std::size_t sent = 0;
        while (sent < most && send(text)) ++sent;
        return sent;
    }
};

// A consumer of a queue that holds what it takes until it is told to acknowledge.
struct TestWorker {
    const Shared* shared = nullptr;
    std::uint32_t session = 0;
    std::uint32_t subscription = 0;
    std::uint32_t destination = 0;
    std::uint32_t self = 0;
    ConsumerPiece piece;
    ClaimsView claims;
    std::map<LaneId, SharedReader> readers;
    std::uint64_t lost_before_assigned = 0;  // of the range taken over last

    std::uint32_t free_note() const {
        std::uint32_t note = 0;
        while (note < piece.notes && piece.note(note).from.load(std::memory_order_acquire) != 0)
            ++note;
        return note;
    }
    std::vector<LaneId> lanes() const {
        std::vector<LaneId> found;
        std::uint32_t next =
            shared->control.destination(destination).first_lane.load(std::memory_order_acquire);
        for (; next != 0;
             next = shared->control.lane(next - 1).next_lane.load(std::memory_order_acquire))
            found.push_back(next - 1);
        return found;
    }
    // Claims one range of a lane into a free note; its messages.
    Texts take(LaneId lane, std::uint32_t limit = 64) {
        auto& reader =
            readers.try_emplace(lane, shared->pages, shared->control.lane(lane), lane, self)
                .first->second;
        const std::uint32_t note = free_note();
        ClaimedRange range;
        if (note == piece.notes || reader.claim(claims, piece.cell(), piece.note(note), limit,
                                                range) != RangeStatus::taken)
            return {};
        Texts texts = read(range.reader, range.count, ~std::uint64_t{0});
        if (range.lost != 0) texts.front() = mark_text(range.lost, texts.front());
        return texts;
    }
    Texts take_all(std::uint32_t limit = 64) {
        Texts texts;
        for (const LaneId lane : lanes()) {
            for (;;) {
                const Texts more = take(lane, limit);
                if (more.empty()) break;
                texts.insert(texts.end(), more.begin(), more.end());
            }
        }
        return texts;
    }
    // Takes over one assigned range; its messages, those delivered before with a '*' in front.
    Texts take_assigned() {
        const std::uint64_t taken = piece.cell().taken.load(std::memory_order_relaxed);
        if (piece.cell().assigned.load(std::memory_order_acquire) == taken) return {};
        const Assignment& from = piece.assignment(taken);
        InFlightNote& note = piece.note(free_note());
        const LaneId lane = from.lane.load(std::memory_order_relaxed);
        const std::uint64_t due = from.due.load(std::memory_order_relaxed);
        const std::uint64_t again = from.redelivered.load(std::memory_order_relaxed);
        note.to.store(from.to.load(std::memory_order_relaxed), std::memory_order_relaxed);
        note.lane.store(lane, std::memory_order_relaxed);
        note.count.store(from.count.load(std::memory_order_relaxed), std::memory_order_relaxed);
        note.due.store(due, std::memory_order_relaxed);
        note.acknowledged.store(0, std::memory_order_relaxed);
        note.started.store(0, std::memory_order_relaxed);
        note.assignment.store(taken + 1, std::memory_order_relaxed);
        note.confirmed.store(1, std::memory_order_relaxed);
        note.from.store(from.from.load(std::memory_order_relaxed), std::memory_order_release);
        piece.cell().taken.store(taken + 1, std::memory_order_release);
        LaneReader reader(shared->pages, lane);
        if (!stand_at_range(reader, shared->pages, shared->control.lane(lane),
                            note.from.load(std::memory_order_relaxed),
                            note.to.load(std::memory_order_relaxed)))
            return {"assigned outside its page"};
        lost_before_assigned = reader.lost_here();
        return read(reader, note.count.load(std::memory_order_relaxed), due, again);
    }
    Texts take_all_assigned() {
        Texts texts;
        for (Texts more = take_assigned(); !more.empty(); more = take_assigned())
            texts.insert(texts.end(), more.begin(), more.end());
        return texts;
    }
    void start(std::uint64_t mask, std::uint32_t note = 0) {
        piece.note(note).started.store(mask, std::memory_order_relaxed);
    }
    void acknowledge(std::uint64_t mask, std::uint32_t note = 0) {
        piece.note(note).acknowledged.fetch_or(mask, std::memory_order_release);
    }
    // Everything it holds; tells the broker.
    void acknowledge_all() {
        for (std::uint32_t note = 0; note < piece.notes; ++note)
            piece.note(note).from.store(0, std::memory_order_release);
        for (const LaneId lane : lanes()) set_lane_bit(shared->signals.head().passed, lane);
    }

private:
    static Texts read(LaneReader reader, std::uint32_t count, std::uint64_t due,
                      std::uint64_t again = 0) {
        Texts texts;
        for (std::uint32_t at = 0; at < count; ++at) {
            const RecordView view = reader.look(nullptr);
            if (!view) break;
            const std::string mark = (again >> at & 1) != 0 ? "*" : "";
            if ((due >> at & 1) != 0) texts.push_back(mark + text_of(view));
            reader.pass(view);
        }
        return texts;
    }
};

// A topic's subscriber that acknowledges what it reads.
struct TestSubscriber {
    const Shared* shared = nullptr;
    std::uint32_t session = 0;
    std::uint32_t subscription = 0;
    ConsumerPiece piece;
    std::map<std::pair<LaneId, std::uint64_t>, LaneReader> readers;  // by lane and birth

    // Everything that can be read now, of all lanes that it is attached to; the lane read last
    // stays in hand if it `stays`.
    Texts drain(std::size_t most = ~std::size_t{0}, bool stays = false) {
        Texts texts;
        for (const auto& [lane, place] : places()) drain_lane(lane, *place, most, stays, texts);
        return texts;
    }
    // Up to so many of each lane: how many in all.
    std::size_t drain_each(std::size_t most) {
        std::size_t read = 0;
        for (const auto& [lane, place] : places()) {
            Texts texts;
            drain_lane(lane, *place, most, false, texts);
            read += texts.size();
        }
        return read;
    }
    std::map<LaneId, LanePlace*> places() const {
        std::map<LaneId, LanePlace*> found;
        for (std::uint32_t index = 0; index < piece.places; ++index)
            if (const auto lane = piece.place(index).lane.load(std::memory_order_acquire))
                found[static_cast<LaneId>(lane - 1)] = &piece.place(index);
        return found;
    }
    // Names the lane and the page in which it goes on. False: there is none now.
    bool enter(LaneId lane, LaneReader& reader, Position cursor) {
        const LaneSlot& slot = shared->control.lane(lane);
        piece.cell().looking_at.store(lane + 1, std::memory_order_relaxed);
        if (reader.standing()) {
            piece.cell().entering.store(reader.page(), std::memory_order_relaxed);
            if (reader.may_stay()) return true;
            cursor = reader.position();
        }
        PageRef page = page_of(shared->pages, slot, cursor);
        if (page == 0 && slot.floor.load() > cursor)
            page = page_of(shared->pages, slot, cursor = slot.floor.load());
        if (page == 0) return false;
        piece.cell().entering.store(page, std::memory_order_relaxed);
        if (reader.is_being_taken(page)) return false;
        reader.stand(page, cursor);
        return true;
    }
    // Reads up to `most` messages of a lane and acknowledges none; the lane stays in hand.
    Texts hold(LaneId lane, std::size_t most) {
        Texts texts;
        const LaneSlot& slot = shared->control.lane(lane);
        LaneReader& reader =
            readers.try_emplace({lane, slot.birth.load()}, shared->pages, lane).first->second;
        if (!enter(lane, reader, exclusive_position(piece.place_of(lane)->cursor.load())))
            return texts;
        while (texts.size() < most) {
            const RecordView view = reader.look(&piece.cell().entering);
            if (!view) break;
            texts.push_back(text_of(view));
            reader.pass(view);
        }
        return texts;
    }
    // Puts the lane down and keeps what it holds of it.
    void put_down_holding(LaneId lane) {
        const LaneReader& reader = readers.at({lane, shared->control.lane(lane).birth.load()});
        const Position cursor = exclusive_position(piece.place_of(lane)->cursor.load());
        piece.place_of(lane)->cursor.store(
            exclusive_cursor(cursor, held_units(cursor, reader.position())));
        put_down();
    }
    void put_down() {
        piece.cell().looking_at.store(0, std::memory_order_relaxed);
        piece.cell().entering.store(0, std::memory_order_relaxed);
    }
    std::uint64_t dropped() const { return shared->control.subscription(subscription).dropped; }

private:
    void drain_lane(LaneId lane, LanePlace& place, std::size_t most, bool stays, Texts& texts) {
        const Position cursor = exclusive_position(place.cursor.load());
        const LaneSlot& slot = shared->control.lane(lane);
        const SlotState state = slot.state.load(std::memory_order_acquire);
        if (cursor == 0 || (state != SlotState::live && state != SlotState::closed)) return;
        LaneReader& reader =
            readers.try_emplace({lane, slot.birth.load()}, shared->pages, lane).first->second;
        if (!enter(lane, reader, cursor)) return;
        while (const RecordView view = reader.look(&piece.cell().entering)) {
            if (texts.size() == most) break;
            texts.push_back(mark_text(reader.take_lost(), text_of(view)));
            reader.pass(view);
        }
        place.cursor.store(reader.position(), std::memory_order_release);
        set_lane_bit(shared->signals.head().passed, lane);
        if (!stays) put_down();
    }
};

class SegmentStage {
public:
    explicit SegmentStage(std::uint64_t direct_bytes = 4 << 20, std::uint64_t heap_bytes = 16 << 20,
                          std::uint64_t largest = 0) {
        broker::SegmentOptions options;
        options.direct_bytes = direct_bytes;
        options.heap_bytes = heap_bytes;
        options.largest_message = largest;
        start(options);
    }
    // Not `whole`: with no more of its memory than a broker has that has just begun.
    explicit SegmentStage(const broker::SegmentOptions& options, bool whole = true) {
        start(options, whole);
    }

    void start(broker::SegmentOptions options, bool whole = true) {
        static int made = 0;
        options.name = "unit-" + std::to_string(::getpid()) + "-" + std::to_string(++made);
        segment = broker::Segment::create(options, clock).value();
        ControlRegion::remove(options.name);
        segment->publish();
        while (whole && !segment->may_sleep()) segment->turn();
        const broker::Regions regions = segment->regions();
        control_ =
            Mapping::map(regions.control_ro, regions.control_bytes, Access::read_only).value();
        signals_ = Mapping::map(regions.signals, regions.signals_bytes, Access::read_write).value();
        direct_ = Mapping::map(regions.direct_rw, regions.direct_bytes, Access::read_write).value();
        claims_ = Mapping::map(regions.claims, regions.claims_bytes, Access::read_write).value();
        shared.control = ControlView::of(control_.data());
        shared.signals = {signals_.data()};
        shared.pages = {direct_.data(), shared.control.pages(), shared.control.limits.pages};
    }

    std::uint32_t session(const std::string& name = "test") {
        return segment->open_session({.pid = 1, .uid = 0, .start_time = 1, .name = name}).value();
    }

    TestProducer producer(std::uint32_t session, std::string_view destination) {
        broker::ProducerAnswer answer = segment->open_producer(session, destination).value();
        const protocol::ProducerOpened& fields = answer.fields;
        TestProducer made;
        made.shared = &shared;
        made.segment = segment.get();
        made.session = session;
        made.lane = fields.lane;
        made.destination = fields.destination;
        made.cell = reinterpret_cast<ProducerCell*>(
            block(session, fields.block, fields.block_bytes, answer.block) + fields.block_offset);
        made.writer = LaneWriter(shared.pages, shared.control.lane(fields.lane), *made.cell);
        if (fields.page != 0)
            made.writer.resume(fields.page, fields.tail, fields.messages, fields.payload);
        return made;
    }

    TestWorker worker(std::uint32_t session, std::string_view queue, std::uint32_t notes = 16) {
        broker::ConsumerAnswer answer = segment->open_consumer(session, queue, notes, 100).value();
        const protocol::ConsumerOpened& fields = answer.fields;
        TestWorker made;
        made.shared = &shared;
        made.session = session;
        made.subscription = fields.subscription;
        made.destination = fields.destination - 1;
        made.self = fields.consumer_slot;
        made.piece = {
            block(session, fields.block, fields.block_bytes, answer.block) + fields.block_offset,
            fields.notes};
        made.claims = {claims_.data(), shared.control.limits.lanes,
                       shared.control.limits.subscriptions};
        return made;
    }

    TestSubscriber subscriber(std::uint32_t session, std::string_view pattern) {
        broker::ConsumerAnswer answer = segment->open_consumer(session, pattern, 0, 100).value();
        const protocol::ConsumerOpened& fields = answer.fields;
        TestSubscriber made;
        made.shared = &shared;
        made.session = session;
        made.subscription = fields.subscription;
        made.piece = {
            block(session, fields.block, fields.block_bytes, answer.block) + fields.block_offset, 0,
            fields.places};
        return made;
    }
    // As its consumer would ask when it looks for lanes, or has too few notes.
    template <class Consumer>
    void widen(Consumer& consumer, std::uint32_t notes = 0) {
        const broker::ConsumerAnswer answer =
            segment->widen_consumer(consumer.session, consumer.subscription, notes).value();
        const protocol::ConsumerOpened& fields = answer.fields;
        consumer.piece = {block(consumer.session, fields.block, fields.block_bytes, answer.block) +
                              fields.block_offset,
                          fields.notes, fields.places};
    }

    // Unmaps what clients see beside the regions: those made before must not be used any more.
    void forget_clients() { blocks_.clear(); }

    // Turns until there is nothing to do, at most so many.
    void settle_turns(int most = 64) {
        while (most-- > 0 && segment->turn()) {
        }
    }
    // Published books of a destination, brought up to date.
    const Books& books(std::uint32_t destination) {
        segment->settle();
        return shared.control.destination(destination).books;
    }
    std::uint64_t direct_used() const {
        return shared.control.superblock().direct.used.load(std::memory_order_relaxed);
    }
    // Direct memory in use, counted by walking the pages that can be reached: of a lane, of the
    // lanes of a destination, of all.
    std::uint64_t granted_to(LaneId lane) const {
        std::uint64_t bytes = 0;
        for (PageRef page = shared.control.lane(lane).first_page.load(); page != 0;
             page = shared.pages.slot(page).next.load())
            bytes += shared.pages.length(page);
        return bytes;
    }
    std::uint64_t granted_to_all(std::uint32_t destination = ~0u) const {
        std::uint64_t bytes = 0;
        for (LaneId lane = 0; lane < shared.control.limits.lanes; ++lane) {
            const LaneSlot& slot = shared.control.lane(lane);
            if (slot.state.load() == SlotState::free) continue;
            if (destination == ~0u || slot.destination.load() == destination)
                bytes += granted_to(lane);
        }
        return bytes;
    }
    std::uint64_t heap_used() const {
        return shared.control.superblock().heap.used.load(std::memory_order_relaxed);
    }

    ManualClock clock{10 * ns_per_s};
    std::unique_ptr<broker::Segment> segment;
    Shared shared;

private:
    std::byte* block(std::uint32_t session, std::uint32_t number, std::uint64_t bytes, int fd) {
        const std::uint64_t id = shared.control.session(session).id;
        auto& mapping = blocks_[{id, number}];
        if (fd >= 0)
            mapping =
                std::make_unique<Mapping>(Mapping::map(fd, bytes, Access::read_write).value());
        return mapping->data();
    }

    Mapping control_;
    Mapping signals_;
    Mapping direct_;
    Mapping claims_;
    std::map<std::pair<std::uint64_t, std::uint32_t>, std::unique_ptr<Mapping>> blocks_;
};

}  // namespace weir::test

#endif
