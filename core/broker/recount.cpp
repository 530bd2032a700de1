// SPDX-License-Identifier: Apache-2.0
#include "core/broker/recount.hpp"

#include <algorithm>

#include "core/base/log.hpp"
#include "core/broker/stated_sizes.hpp"
#include "shm/record.hpp"

namespace weir::broker {
namespace {

constexpr std::uint64_t step_every_ns = ns_per_ms;
constexpr std::uint64_t warn_every_ns = 30 * ns_per_s;
// What a step looks at: some ten microseconds.
constexpr std::uint64_t pages_per_step = 512;
constexpr std::uint64_t records_per_step = 1024;
constexpr std::size_t slots_per_step = 512;
constexpr std::uint64_t slots_per_page = 32;  // an empty slot costs a part of what a page does
constexpr int restarts_max = 4;               // then it is left for the next pass

std::int64_t difference(std::uint64_t books, std::uint64_t counted) noexcept {
    return static_cast<std::int64_t>(books) - static_cast<std::int64_t>(counted);
}

}  // namespace

Recount::Stamp Recount::stamp() const noexcept {
    const Tables& tables = *tables_;
    return {tables.pages_moved,   tables.direct.root.used(), tables.heap.root.used(),
            tables.sessions_ever, tables.subscriptions_ever, tables.closings_ever};
}

void Recount::step_if_due() {
    if (resting_ && rested_at_ == stamp()) return;
    const std::uint64_t now = tables_->clock.now_ns();
    if (now - stepped_ns_ < step_every_ns) return;
    stepped_ns_ = now;
    step();
}

void Recount::steps(int count) {
    for (; count > 0 && !(resting_ && rested_at_ == stamp()); --count) step();
}

void Recount::step() {
    if (!in_pass_) {
        in_pass_ = true;
        resting_ = false;
        found_ = {0, 0, found_.messages};  // a page is walked once, and stays miscounted
        pass_began_ = stamp();
        walked_to_.resize(tables_->lanes.size(), 0);
        phase_ = Phase::lanes;
        at_lane_ = 0;
        lane_ = {};
    }
    switch (phase_) {
        case Phase::lanes:
            if (!count_lanes()) return;
            phase_ = Phase::records;
            at_lane_ = 0;
            page_ = {};
            return;
        case Phase::records:
            if (!count_records()) return;
            phase_ = Phase::sums;
            sums_ = {};
            return;
        case Phase::sums:
            if (count_sums()) end_pass();
            return;
    }
}

void Recount::end_pass() {
    in_pass_ = false;
    // What changed while the pass went on was perhaps not counted: only a pass without is the last.
    resting_ = pass_began_ == stamp();
    rested_at_ = pass_began_;
    publish(found_);
    SelfCount& shown = tables_->control.superblock().self_count;
    // relaxed: both are numbers for people.
    shown.passes.fetch_add(1, std::memory_order_relaxed);
    shown.resting.store(resting_ ? 1 : 0, std::memory_order_relaxed);
}

void Recount::publish(const Found& found) noexcept {
    SelfCount& shown = tables_->control.superblock().self_count;
    // relaxed: all of these are numbers for people, each read alone.
    shown.direct.store(found.direct, std::memory_order_relaxed);
    shown.heap.store(found.heap, std::memory_order_relaxed);
    shown.messages.store(found.messages, std::memory_order_relaxed);
}

// A difference is shown at once; a later pass that finds none takes it back.
void Recount::differs(std::int64_t& found, std::int64_t by, std::uint32_t lane, const char* what) {
    if (by == 0) return;
    found += by;
    const std::uint64_t now = tables_->clock.now_ns();
    SelfCount& shown = tables_->control.superblock().self_count;
    // relaxed: all of these are numbers for people.
    shown.drifts.fetch_add(1, std::memory_order_relaxed);
    shown.drifted_ns.store(now, std::memory_order_relaxed);
    shown.drifted_lane.store(lane == nobody ? 0 : lane + 1, std::memory_order_relaxed);
    publish(found_);
    if (warned_ns_ != 0 && now - warned_ns_ < warn_every_ns) return;
    warned_ns_ = now;
    log::error("the books are off by {} {}{}: please report this, with the output of weir doctor",
               by, what, lane == nobody ? "" : " of lane " + std::to_string(lane));
}

bool Recount::count_lanes() {
    std::uint64_t budget = pages_per_step * slots_per_page;
    while (at_lane_ < tables_->lanes.size()) {
        if (budget == 0) return false;
        --budget;
        const Lane* const lane = tables_->lanes[at_lane_];
        if (lane != nullptr && !count_lane(*lane, budget)) return false;
        lane_ = {};
        ++at_lane_;
    }
    return true;
}

// Follows the links of one lane. False: the budget is used up, it goes on at the next step.
bool Recount::count_lane(const Lane& lane, std::uint64_t& budget) {
    const LaneSlot& slot = tables_->control.lane(lane.id);
    const std::size_t out = lane.leaving.size() + lane.arriving.size();
    const bool changed =
        lane_.pages != lane.pages.size() || lane_.out != out || lane_.next_start != lane.next_start;
    if (lane_.begun && changed) {
        if (++lane_.restarts > restarts_max) return true;  // not in this pass
        lane_.begun = false;
    }
    if (!lane_.begun) {
        // relaxed: the broker's own word.
        lane_.next = slot.first_page.load(std::memory_order_relaxed);
        lane_.index = 0;
        lane_.bytes = 0;
        lane_.pages = lane.pages.size();
        lane_.out = out;
        lane_.next_start = lane.next_start;
        lane_.begun = true;
    }
    SelfCount& shown = tables_->control.superblock().self_count;
    std::uint64_t looked_at = 0;
    bool chain_is_whole = true;
    while (lane_.next != 0 && budget >= slots_per_page && chain_is_whole) {
        budget -= slots_per_page;
        ++looked_at;
        const PageSlot& page = tables_->control.page(lane_.next);
        // relaxed: all of these are the broker's own words.
        lane_.bytes += page.units.load(std::memory_order_relaxed) * page_unit;
        chain_is_whole = lane_.index < lane.pages.size() &&
                         lane.pages[lane_.index].ref == lane_.next &&
                         page.lane.load(std::memory_order_relaxed) == lane.id;
        lane_.next = linked_page(page.next.load(std::memory_order_relaxed));
        ++lane_.index;
    }
    // relaxed: a number for people.
    shown.pages.fetch_add(looked_at, std::memory_order_relaxed);
    if (chain_is_whole && lane_.next != 0) return false;
    // On their way to disk or from there: in memory, and nothing leads to them.
    const auto add_slot_of = [&](const Page& page) {
        // relaxed: the broker's own word.
        lane_.bytes +=
            tables_->control.page(page.ref).units.load(std::memory_order_relaxed) * page_unit;
    };
    for (const Leaving& one : lane.leaving) add_slot_of(one.page);
    for (const Arriving& one : lane.arriving) add_slot_of(one.page);
    differs(found_.direct, difference(lane.granted(), lane_.bytes), lane.id, "bytes of pages");
    return true;
}

bool Recount::count_records() {
    std::uint64_t budget = records_per_step;
    for (; at_lane_ < tables_->lanes.size(); ++at_lane_) {
        const Lane* const lane = tables_->lanes[at_lane_];
        if (lane == nullptr || lane->pages.size() < 2) continue;
        Position& walked_to = walked_to_[at_lane_];
        const auto after = [](Position position, const Page& page) {
            return position < page.end();
        };
        auto page = std::upper_bound(lane->pages.begin(), lane->pages.end(), walked_to, after);
        // The last page is being written; the count has to have left the one that is walked.
        for (; page != lane->pages.end() && page + 1 != lane->pages.end() &&
               page->end() < lane->counted.position;
             ++page) {
            if (budget == 0) return false;
            --budget;
            if (!count_page(*lane, *page, *(page + 1), budget)) return false;
            walked_to = page->end();
            page_ = {};
        }
    }
    return true;
}

// The records of one sealed page. False: the budget is used up.
bool Recount::count_page(const Lane& lane, const Page& page, const Page& behind,
                         std::uint64_t& budget) {
    if (behind.start != page.end()) return true;  // what lay between was counted with this one
    if (page_.start != page.start) page_ = {page.start, page.first_record(), 0, 0};
    const std::byte* const origin = tables_->pages.bytes(page.ref);
    while (page_.at < page.end()) {
        if (budget == 0) return false;
        --budget;
        // SYNC(published) acquire: only the lengths in the word itself are used.
        const std::uint64_t word =
            word_at(const_cast<std::byte*>(origin) +  // NOLINT: a shared word
                    (page_.at - page.start))
                .load(std::memory_order_acquire);
        if (!record_fits(word, page.end() - page_.at)) break;
        if (is_message(word)) {
            ++page_.messages;
            page_.payload += commit_payload(word);
        }
        page_.at += record_bytes_of(word);
    }
    const std::uint64_t messages = behind.messages_before - page.messages_before;
    const std::uint64_t payload = behind.payload_before - page.payload_before;
    differs(found_.messages, difference(messages, page_.messages), lane.id, "messages");
    if (messages == page_.messages)
        differs(found_.messages, difference(payload, page_.payload), lane.id, "payload bytes");
    return true;
}

// Slots are numbered through: lanes, destinations, subscriptions, sessions.
bool Recount::count_sums() {
    const Tables& tables = *tables_;
    const std::size_t slots = tables.lanes.size() + tables.destinations.size() +
                              tables.subscriptions.size() + tables.sessions.size();
    if (sums_.begun && sums_.stamp != stamp()) {
        if (++sums_.restarts > restarts_max) return true;  // not in this pass
        sums_.begun = false;
    }
    if (!sums_.begun) {
        const int restarts = sums_.restarts;
        sums_ = {};
        sums_.restarts = restarts;
        sums_.stamp = stamp();
        sums_.begun = true;
        sums_.heap = tables.control.bytes() + tables.signals_mapping.bytes() +
                     tables.claims_mapping.bytes() +
                     tables_->control.superblock().heap_sizes.tables +
                     tables.policies.memory_bytes();
    }
    const std::size_t to = std::min(slots, sums_.slot + slots_per_step);
    for (; sums_.slot < to; ++sums_.slot) add_slot(sums_.slot);
    if (sums_.slot < slots) return false;
    differs(found_.direct, difference(tables.direct.root.used(), sums_.direct), nobody,
            "bytes of direct memory");
    differs(found_.heap, difference(tables.heap.root.used(), sums_.heap), nobody,
            "bytes of heap-like memory");
    return true;
}

void Recount::add_slot(std::size_t slot) {
    const Tables& tables = *tables_;
    if (slot < tables.lanes.size()) {
        const Lane* const lane = tables.lanes[slot];
        if (lane == nullptr) return;
        sums_.direct += lane->granted();  // compared with its pages by itself
        sums_.heap += lane_object_bytes + lane->attachments.size() * attachment_bytes +
                      lane->run_charges.size() * run_charge_bytes;
        return;
    }
    slot -= tables.lanes.size();
    if (slot < tables.destinations.size()) {
        const Destination* const destination = tables.destinations[slot];
        if (destination == nullptr) return;
        sums_.heap += destination_object_bytes + destination->pending.size() * range_bytes;
        return;
    }
    slot -= tables.destinations.size();
    if (slot < tables.subscriptions.size()) {
        const Subscription* const subscription = tables.subscriptions[slot];
        if (subscription == nullptr) return;
        const Bytes ranges = subscription->piece.notes + subscription->outstanding.size();
        sums_.heap += subscription_object_bytes + ranges * range_bytes;
        return;
    }
    slot -= tables.subscriptions.size();
    const Session* const session = tables.sessions[slot];
    if (session != nullptr) sums_.heap += session_object_bytes + session->blocks.bytes();
}

}  // namespace weir::broker
