// SPDX-License-Identifier: Apache-2.0
#include "core/broker/flow.hpp"

#include "core/base/bytes.hpp"
#include "core/base/log.hpp"
#include "core/broker/collection.hpp"
#include "core/broker/counting.hpp"
#include "core/broker/cursors.hpp"
#include "core/broker/lane_gaps.hpp"
#include "core/broker/lane_pages.hpp"
#include "core/broker/stated_sizes.hpp"

namespace weir::broker {
namespace {

constexpr Bytes batch_bytes = 1024 * 1024;
// Less is not worth a write, while there is memory to wait for more.
constexpr Bytes batch_bytes_least = 256 * 1024;

// Trouble that comes and goes is told once in so long.
constexpr std::uint64_t told_again_ns = 30 * ns_per_s;

constexpr std::uint64_t rate_span_ms = 1000;

// Checksums of so much a turn: a quarter of a millisecond.
constexpr Bytes checked_per_turn = 2 * 1024 * 1024;

// Lanes that are looked at for something to write, per turn.
constexpr std::size_t lanes_tried = 8;

WaitReason reason_of(io::Trouble trouble) noexcept {
    switch (trouble) {
        case io::Trouble::none: return WaitReason::none;
        case io::Trouble::limit:
        case io::Trouble::disk_full: return WaitReason::disk_full;
        case io::Trouble::disk_error:
        case io::Trouble::gone:
        case io::Trouble::denied:
        case io::Trouble::unsupported:
        case io::Trouble::exhausted: return WaitReason::disk_error;
    }
    return WaitReason::disk_error;
}

// The two lists are one: io/ does not know what is shared, shm/ does not know files. A reason that
// one of them lacks does not compile here.
constexpr DiskTrouble shown_as(io::Trouble trouble) noexcept {
    switch (trouble) {
        case io::Trouble::none: return DiskTrouble::none;
        case io::Trouble::limit: return DiskTrouble::limit;
        case io::Trouble::disk_full: return DiskTrouble::disk_full;
        case io::Trouble::disk_error: return DiskTrouble::disk_error;
        case io::Trouble::gone: return DiskTrouble::gone;
        case io::Trouble::denied: return DiskTrouble::denied;
        case io::Trouble::unsupported: return DiskTrouble::unsupported;
        case io::Trouble::exhausted: return DiskTrouble::exhausted;
    }
    return DiskTrouble::disk_error;
}

io::Extent behind(io::Extent extent, Bytes bytes) noexcept {
    return {extent.file, extent.unit + static_cast<std::uint32_t>(bytes / page_unit)};
}

}  // namespace

bool Flow::turn() {
    const bool more = store_->turn(checked_per_turn);
    while (const auto outcome = store_->take_outcome())
        outcome->is_write ? written(*outcome) : back_.answered(*outcome);
    for (const auto& [extent, bytes] : tables_->copies_freed) store_->release(extent, bytes);
    tables_->copies_freed.clear();
    if (anything_out_)
        for (Lane& lane : tables_->lanes)
            if (lane.anything_out()) serve(lane);
    push_out();
    if (anything_out_) keep_room();
    tables_->direct.consumers.set_asks(back_.take_refused());
    publish();
    return more;
}

// The page before a gap stayed for what was in it (collection.cpp).
void Flow::serve(Lane& lane) {
    back_.serve(lane);
    if (!lane.anything_out()) collect(*tables_, lane);
}

// F4. True: it is on.
bool Flow::turn_switch(Switch& flow, Bytes used, const FlowMarks& marks, Bytes limit) const {
    const bool wanted = flow.on ? used > marks.resume : used >= marks.threshold;
    if (wanted == flow.on) return flow.on;
    const std::uint64_t now = tables_->clock.now_ns();
    const bool pressing = used >= limit / 10 * 9;
    if (flow.changed_ns != 0 && now - flow.changed_ns < marks_.dwell_ns && !pressing)
        return flow.on;
    flow = {wanted, now};
    return wanted;
}

std::vector<Lane*> Flow::lanes_in_use() const {
    std::vector<Lane*> lanes;
    for (Lane& lane : tables_->lanes) lanes.push_back(&lane);
    return lanes;
}

// F5. The largest piece that somebody waits for although so much is free.
Bytes Flow::find_piece_lacking() {
    Bytes most = back_.take_piece_lacking();
    if ((tables_->hunger & static_cast<std::uint32_t>(Tables::Hunger::waiting_lanes)) == 0)
        return most;
    for (const Lane& lane : tables_->lanes)
        if (lane.waiting) most = std::max(most, lane.piece_lacking);
    return most;
}

void Flow::push_out() {
    const Bytes in_use = tables_->direct.root.used();
    const Bytes used = in_use - std::min(leaving_, in_use);
    const bool was_on = all_.on;
    const bool on = turn_switch(all_, used, marks_, tables_->direct.root.limit());
    if (on != was_on)
        log::info("flow to disk {}: {} of direct memory are in use", on ? "begins" : "ends",
                  format_size(used));
    piece_lacking_ = find_piece_lacking();
    if (on && used > marks_.resume)
        push_out(lanes_in_use(), used - marks_.resume);
    else if (piece_lacking_ > leaving_)
        push_out(lanes_in_use(), piece_lacking_ - leaving_);
    any_on_ = on || piece_lacking_ != 0;
    // A mark of its own is somebody's choice.
    each_.resize(tables_->policies.empty() ? 0 : tables_->destinations.size());
    if (each_.empty()) return;
    for (Destination& destination : tables_->destinations)
        push_out(destination, each_[destination.slot]);
}

// A destination at its own high-water mark: its own backlog, until it is ten points of its limit
// lower.
void Flow::push_out(const Destination& destination, Switch& flow) {
    const Bytes high = destination.policy.high_water;
    if (high == 0 || destination.policy.limit == 0) {
        flow = {};
        return;
    }
    std::vector<Lane*> lanes;
    Bytes leaving = 0;
    for (const LaneId id : destination.lanes) {
        lanes.push_back(tables_->lane(id));
        for (const Leaving& one : lanes.back()->leaving) leaving += one.page.bytes();
    }
    const Bytes in_use = destination.direct_account.used();
    const Bytes used = in_use - std::min(leaving, in_use);
    const Bytes resume = high - std::min(high, destination.policy.limit / 10);
    if (!turn_switch(flow, used, {high, resume, 0}, destination.policy.limit)) return;
    any_on_ = true;
    if (used > resume) push_out(std::move(lanes), used - resume);
}

void Flow::push_out(std::vector<Lane*> lanes, Bytes wanted) {
    std::erase_if(lanes, [&](const Lane* lane) {
        // A quarantined producer may still write where it has mapped.
        const Destination& destination = tables_->destination_of(*lane);
        return lane->pages.size() < 3 || lane->state == SlotState::quarantined ||
               !may_flow(destination.policy, destination.kind);
    });
    std::sort(lanes.begin(), lanes.end(),
              [](const Lane* one, const Lane* other) { return one->granted() > other->granted(); });
    lanes.resize(std::min(lanes.size(), lanes_tried));
    for (Lane* const lane : lanes) {
        while (wanted != 0) {
            const Bytes out = push_out(*lane, wanted);
            if (out == 0) break;
            wanted -= std::min(wanted, out);
        }
    }
}

// J2: where pages may leave, as far as readers are concerned: behind what each of them holds and
// will need next, up to what the next one holds.
std::vector<Flow::Stretch> Flow::between_readings(Lane& lane) const {
    const auto behind = [&](Position position) {
        const auto at =
            std::upper_bound(lane.pages.begin(), lane.pages.end(), position,
                             [](Position where, const Page& page) { return where < page.start; });
        return static_cast<std::size_t>(at - lane.pages.begin());
    };
    std::vector<Stretch> free;
    std::size_t first = 0;  // behind what the readings so far need; 0: there were none
    for (const Reading& reading : readings(*tables_, lane)) {
        // A cursor that equals a page's end is still in that page.
        std::size_t held = behind(reading.from);
        while (held > 0 && lane.pages[held - 1].end() >= reading.from) --held;
        if (first != 0 && held > first) free.push_back({first, held});
        std::size_t needed = behind(reading.to);
        for (Ahead ahead = back_.ahead_of(lane, *reading.drain);
             needed < lane.pages.size() && !ahead.is_enough(); ++needed)
            back_.add(ahead, lane.pages[needed]);
        first = std::max<std::size_t>({first, needed, 1});
    }
    if (first != 0) free.push_back({first, lane.pages.size()});
    return free;
}

std::optional<Flow::Stretch> Flow::choose(Lane& lane, Bytes wanted) const {
    const Position producer = producer_floor(*tables_, lane);
    std::size_t written = lane.pages.size() - 1;
    while (written > 0) {
        const Page& page = lane.pages[written - 1];
        const bool whole = page.end() <= producer && page.end() <= lane.counted.position &&
                           is_sealed(tables_->pages, page);
        if (whole) break;
        --written;
    }
    std::vector<Stretch> places = between_readings(lane);
    for (; !places.empty(); places.pop_back()) {
        const std::size_t head = places.back().first;
        const std::size_t last = std::min(places.back().last, written);
        if (last <= head) continue;
        const std::size_t first = furthest(lane, {head, last}, wanted);
        if (first < last) return Stretch{first, last};
    }
    return std::nullopt;
}

// Where to begin: behind the last gap, so that runs grow in order; if nothing is there, before it;
// or as far from the end as is wanted.
std::size_t Flow::furthest(const Lane& lane, Stretch place, Bytes wanted) const {
    std::size_t first = place.last;
    Bytes bytes = 0;
    bool met_gap = false;
    while (first > place.first) {
        met_gap = first < lane.pages.size() &&
                  gap_between(lane, lane.pages[first - 1].end(), lane.pages[first].start);
        if (met_gap || (!lane.anything_out() && bytes >= wanted)) break;
        bytes += lane.pages[first - 1].bytes();
        --first;
    }
    if (!met_gap || first != place.last) return first;
    while (first > place.first && bytes < std::min(wanted, batch_bytes)) {
        bytes += lane.pages[first - 1].bytes();
        --first;
    }
    return first;
}

Bytes Flow::push_out(Lane& lane, Bytes wanted) {
    accept_cursors(*tables_, lane);
    count_forward(tables_->pages, lane, everything, count_steps_max);
    auto stretch = choose(lane, wanted);
    if (!stretch) return 0;
    // One write: pages that are all on disk already, or all not.
    const bool clean = lane.pages[stretch->first].has_copy();
    std::size_t last = stretch->first;
    Bytes bytes = 0;
    while (last < stretch->last && last - stretch->first < io::SpillStore::pages_max) {
        const Page& page = lane.pages[last];
        if (page.has_copy() != clean || (bytes != 0 && bytes + page.bytes() > batch_bytes)) break;
        bytes += page.bytes();
        ++last;
    }
    const LimitedAccount& direct = tables_->direct.root;
    const LimitedAccount& own = tables_->destination_of(lane).direct_account;
    const bool pressing = direct.used() >= direct.limit() / 10 * 9 ||
                          own.used() >= own.limit() / 10 * 9 || piece_lacking_ != 0;
    if (!clean && bytes < batch_bytes_least && last == stretch->last && !pressing) return 0;
    if (!clean && !store_->may_write(bytes)) return 0;

    if (!charge_runs(lane, last - stretch->first)) return 0;

    std::vector<Page> out = take_out(*tables_, lane, stretch->first, last);
    if (out.empty()) return 0;
    anything_out_ = true;
    Destination& destination = tables_->destination_of(lane);
    for (const Page& page : out)
        destination.read_back_most = std::max(destination.read_back_most, page.bytes());
    if (clean) {
        for (Page& page : out) put_down(lane, page, page.copy);
        return bytes;
    }
    std::vector<io::SpillPage> pages;
    for (const Page& page : out)
        pages.push_back({{tables_->pages.bytes(page.ref), page.bytes()},
                         page_tag(*tables_, lane, page.start),
                         page.messages_before});
    const std::uint64_t number = ++batches_ever_;
    const auto behind_them =
        std::find_if(lane.leaving.begin(), lane.leaving.end(),
                     [&](const Leaving& one) { return one.page.start > out.front().start; });
    auto at = lane.leaving.begin() + (behind_them - lane.leaving.begin());
    for (Page& page : out) {
        leaving_ += page.bytes();
        at = lane.leaving.insert(at, {std::move(page), number, false}) + 1;
    }
    const auto extent = store_->write(pages, number);
    if (extent) batches_[number] = {lane.id, *extent};
    if (!extent) put_where_they_belong(lane, number, std::nullopt);
    return extent ? bytes : 0;
}

// Heap-like memory for the runs that there are, and that these pages could become.
bool Flow::charge_runs(Lane& lane, std::size_t pages) const {
    const std::size_t most = lane.spilled.size() + lane.leaving.size() + pages;
    const std::size_t needed = (most + charged_runs - 1) / charged_runs;
    if (needed < lane.run_charges.size()) lane.run_charges.resize(needed);
    while (lane.run_charges.size() < needed) {
        auto charge = tables_->destination_of(lane).heap_producers.charge(run_charge_bytes);
        if (!charge) break;
        lane.run_charges.push_back(std::move(*charge));
    }
    show_run_charges(lane);
    return lane.run_charges.size() == needed;
}

void Flow::show_run_charges(const Lane& lane) const {
    // relaxed: for those who recount, within a change of all tables (tables_rest).
    tables_->slot(lane).run_charges.store(lane.run_charges.size(), std::memory_order_relaxed);
}

// From here on the page is on disk only.
void Flow::put_down(Lane& lane, Page& page, io::Extent extent) {
    free_memory(*tables_, lane, page);
    lane.spilled.add({page.start, extent, page.units, 1});
}

// F3, for as long as anything of a destination is out of memory.
void Flow::keep_room() {
    Bytes most = 0;
    for (Destination& destination : tables_->destinations) {
        if (destination.read_back_most == 0) continue;
        const bool anything =
            std::any_of(destination.lanes.begin(), destination.lanes.end(),
                        [&](LaneId id) { return tables_->lane(id)->anything_out(); });
        if (!anything) destination.read_back_most = 0;
        for (const LaneId id : destination.lanes) {
            Lane& lane = *tables_->lane(id);
            if (lane.anything_out() || lane.run_charges.empty()) continue;
            lane.run_charges.clear();
            show_run_charges(lane);
        }
        destination.direct_account.set_kept(destination.read_back_most);
        most = std::max(most, destination.read_back_most);
    }
    tables_->direct.root.set_kept(most);
}

void Flow::written(const io::SpillOutcome& outcome) {
    const Batch batch = batches_.at(outcome.owner);
    batches_.erase(outcome.owner);
    const auto place = outcome.error == 0 ? std::optional(batch.extent) : std::nullopt;
    Lane& lane = *tables_->lane(batch.lane);
    put_where_they_belong(lane, outcome.owner, place);
    if (!lane.anything_out()) collect(*tables_, lane);
}

// The pages of a batch stay among those that leave until each is put in its turn: a link that is
// made meanwhile has to know that the next ones are out.
void Flow::put_where_they_belong(Lane& lane, std::uint64_t number,
                                 std::optional<io::Extent> place) {
    const auto next = [&] {
        return std::find_if(lane.leaving.begin(), lane.leaving.end(),
                            [number](const Leaving& one) { return one.batch == number; });
    };
    bool any_back = false;
    for (auto at = next(); at != lane.leaving.end(); at = next()) {
        Leaving one = std::move(*at);
        lane.leaving.erase(at);
        const Bytes bytes = one.page.bytes();
        leaving_ -= bytes;
        if (is_unneeded(*tables_, lane, one.page)) {
            free_memory(*tables_, lane, one.page);
            if (place) store_->release(*place, bytes);
        } else if (place && !one.wanted) {
            put_down(lane, one.page, *place);
        } else {
            if (place) one.page.copy = *place;
            put_in(*tables_, lane, std::move(one.page));
            any_back = true;
        }
        if (place) place = behind(*place, bytes);
    }
    if (!any_back) return;
    back_.link_arrived(lane);
    // Who waited at the gap reads on.
    tables_->mark_ready(lane);
    tables_->wake_sleepers(tables_->destination_of(lane));
}

// Once in a while, and not each time a disk changes its mind.
void Flow::tell(io::Trouble trouble) {
    const io::SpillSpace& space = store_->space();
    const std::uint64_t now = tables_->clock.now_ns();
    if (trouble == told_ || (told_ns_ != 0 && now - told_ns_ < told_again_ns)) return;
    told_ = trouble;
    told_ns_ = now;
    if (trouble == io::Trouble::none) {
        log::info("flow to disk: the trouble is over");
    } else {
        log::warning("flow to disk: {}", io::explain_trouble(trouble, space.trouble_error(),
                                                             space.options().directory));
    }
}

void Flow::show_activity(io::Trouble trouble) {
    DiskActivity& shown = tables_->control.superblock().disk_activity;
    const io::SpillCounts& counts = store_->counts();
    // relaxed: all of these are numbers for people, each read alone.
    shown.flowing.store(any_on_ ? 1 : 0, std::memory_order_relaxed);
    shown.trouble.store(shown_as(trouble), std::memory_order_relaxed);
    // relaxed: as above.
    shown.trouble_errno.store(static_cast<std::uint32_t>(store_->space().trouble_error()),
                              std::memory_order_relaxed);
    // relaxed: as above.
    shown.bytes_written.store(counts.bytes_written, std::memory_order_relaxed);
    // relaxed: as above.
    shown.bytes_read.store(counts.bytes_read, std::memory_order_relaxed);
    // relaxed: as above.
    shown.pages_lost.store(back_.pages_lost(), std::memory_order_relaxed);
    const std::uint64_t now = tables_->clock.now_ns();
    const std::uint64_t span_ms = (now - counted_ns_) / ns_per_ms;
    if (span_ms < rate_span_ms) return;
    const auto per_s = [span_ms](std::uint64_t bytes) { return bytes * 1000 / span_ms; };
    // relaxed: as above.
    shown.written_per_s.store(per_s(counts.bytes_written - counted_.bytes_written),
                              std::memory_order_relaxed);
    // relaxed: as above.
    shown.read_per_s.store(per_s(counts.bytes_read - counted_.bytes_read),
                           std::memory_order_relaxed);
    counted_ = counts;
    counted_ns_ = now;
}

void Flow::publish() {
    const io::SpillSpace& space = store_->space();
    anything_out_ =
        anything_out_ && std::any_of(tables_->lanes.begin(), tables_->lanes.end(),
                                     [](const Lane& lane) { return lane.anything_out(); });
    // A consumer that passes a page is what reading back waits for.
    tables_->set_hungry(Tables::Hunger::pages_on_disk, anything_out_);
    const io::Trouble trouble = space.trouble();
    tables_->disk_reason = any_on_ ? reason_of(trouble) : WaitReason::none;
    tell(trouble);
    show_activity(trouble);
    Usage& disk = tables_->control.superblock().disk;
    const Bytes used = space.reserved();
    // relaxed: all of these are numbers for people.
    disk.used.store(used, std::memory_order_relaxed);
    disk.limit.store(space.options().limit, std::memory_order_relaxed);
    if (used > disk.peak.load(std::memory_order_relaxed))
        disk.peak.store(used, std::memory_order_relaxed);  // relaxed: as above
}

}  // namespace weir::broker
