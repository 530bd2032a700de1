// SPDX-License-Identifier: Apache-2.0
//
// The whole of a recount, and its part about pages.
#include "core/inspect/recount.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "core/inspect/recount_state.hpp"

namespace weir::inspect {
namespace {

template <std::size_t length>
std::string text_of(const char (&field)[length]) {
    return std::string(field, strnlen(field, length));
}

std::uint64_t changes_of(const ControlView& view) noexcept {
    // SYNC(tables_rest) acquire: the tables are those of this number, or of a later change.
    return view.superblock().changes.load(std::memory_order_acquire);
}

// Pages on their way to disk or from there are in memory and their lane's, and no link leads to
// them.
template <class Visit>
void each_page_between(const ControlView& view, Visit visit) {
    for (std::uint64_t unit = 0; unit < view.limits.pages; ++unit) {
        const PageSlot& slot = view.pages()[unit];
        // relaxed: all three are looked at again if the tables changed meanwhile.
        const PageState state = slot.state.load(std::memory_order_relaxed);
        if (state != PageState::writing && state != PageState::reading) continue;
        const LaneId lane = slot.lane.load(std::memory_order_relaxed);
        visit(lane, slot.units.load(std::memory_order_relaxed) * page_unit);
    }
}

void walk_lanes(RecountState& state) {
    const ControlView& view = *state.view;
    for (LaneId lane = 0; lane < view.limits.lanes; ++lane) {
        const LaneSlot& slot = view.lane(lane);
        if (shown(slot.state) == SlotState::free) continue;
        WalkedLane walked;
        walked.lane = lane;
        walked.destination = shown(slot.destination);
        if (!state.used_destination(walked.destination))
            walked.destination = view.limits.destinations;
        walked.session = std::min(shown(slot.session), view.limits.sessions);
        walked.pages = walk_pages(view, lane);
        state.lanes.push_back(std::move(walked));
    }
    each_page_between(view, [&](LaneId lane, std::uint64_t bytes) {
        for (WalkedLane& walked : state.lanes)
            if (walked.lane == lane) walked.pages.bytes += bytes;
    });
}

// No page may be led to twice, and each page slot in use must be led to by its lane.
void check_pages(RecountState& state) {
    const ControlView& view = *state.view;
    std::vector<bool> led_to(view.limits.pages, false);
    for (const WalkedLane& lane : state.lanes) {
        for (const WalkedPage& page : lane.pages.pages) {
            const std::uint64_t unit = unit_of_ref(page.ref);
            for (std::uint64_t at = unit; at < unit + page.bytes / page_unit; ++at) {
                if (led_to[at])
                    state.differ(Resource::direct, state.lane_name(lane),
                                 fmt::format("page {} lies over another lane's page", page.ref), 0,
                                 page.bytes);
                led_to[at] = true;
            }
        }
        state.result.pages += lane.pages.pages.size();
    }
    for (std::uint64_t unit = 0; unit < view.limits.pages; ++unit) {
        const PageSlot& slot = view.pages()[unit];
        if (led_to[unit] || shown(slot.start) == 0) continue;
        // relaxed: both were written before the start.
        const std::uint64_t bytes = slot.units.load(std::memory_order_relaxed) * page_unit;
        const LaneId lane = slot.lane.load(std::memory_order_relaxed);
        // relaxed: as above.
        if (slot.state.load(std::memory_order_relaxed) == PageState::writing) continue;
        state.differ(Resource::direct, fmt::format("page {}", ref_of_unit(unit)),
                     fmt::format("it is granted to lane {}, which does not lead to it", lane),
                     bytes, 0);
    }
}

}  // namespace

std::string RecountState::destination_name(std::uint32_t slot) const {
    return used_destination(slot) ? text_of(view->destination(slot).name) : "no destination";
}

std::string RecountState::lane_name(const WalkedLane& lane) const {
    return fmt::format("lane {} of {}", lane.lane, destination_name(lane.destination));
}

ConsumerPiece RecountState::piece_of(const SubscriptionSlot& subscription) const {
    const Mapping* const block =
        files->map(descriptor_of(shown(subscription.exchange_descriptor)), "weir-exchange-");
    const std::uint64_t offset = shown(subscription.exchange_offset);
    const std::uint32_t entries = shown(subscription.piece_entries);
    const bool shared = subscription.kind == SubscriptionKind::shared;
    const std::uint64_t bytes =
        shared ? shared_piece_bytes(entries) : exclusive_piece_bytes(entries);
    if (block == nullptr || offset % line_distance != 0 || offset > block->bytes() ||
        bytes > block->bytes() - offset)
        return {};
    return {block->data() + offset, shared ? entries : 0, shared ? 0 : entries};
}

void RecountState::compare(Resource resource, const std::string& where, std::uint64_t books,
                           std::uint64_t counted, const char* unit) {
    if (books == counted) return;
    differ(resource, where,
           fmt::format("the books say {0} {2}, {1} were counted", books, counted, unit), books,
           counted);
}

void count_direct(RecountState& state) {
    const ControlView& view = *state.view;
    std::vector<std::uint64_t> of_destination(view.limits.destinations + 1, 0);
    std::vector<std::uint64_t> of_session(view.limits.sessions + 1, 0);
    std::uint64_t all = 0;
    for (const WalkedLane& lane : state.lanes) {
        if (!lane.pages.broken.empty())
            state.differ(Resource::direct, state.lane_name(lane), lane.pages.broken, 0, 0);
        state.compare(Resource::direct, state.lane_name(lane),
                      shown(view.lane(lane.lane).direct_bytes), lane.pages.bytes, "bytes");
        of_destination[lane.destination] += lane.pages.bytes;
        of_session[lane.session] += lane.pages.bytes;
        all += lane.pages.bytes;
    }
    check_pages(state);
    for (std::uint32_t slot = 0; slot < view.limits.destinations; ++slot)
        if (state.used_destination(slot))
            state.compare(Resource::direct, state.destination_name(slot),
                          shown(view.destination(slot).direct.used), of_destination[slot], "bytes");
    for (std::uint32_t slot = 0; slot < view.limits.sessions; ++slot) {
        const SessionSlot& session = view.session(slot);
        if (shown(session.state) == SlotState::free) continue;
        // Pages that a lane had when it was handed on are its former holder's user's.
        const std::uint64_t held = shown(session.direct.used);
        if (held > of_session[slot])
            state.compare(Resource::direct,
                          fmt::format("session {} ({})", session.id, text_of(session.name)), held,
                          of_session[slot], "bytes");
    }
    const std::uint64_t books = shown(view.superblock().direct.used);
    state.compare(Resource::direct, "the broker", books, all, "bytes");
    state.result.of(Resource::direct) = {books, all, true};
}

Recounted recount(const ControlView& view, std::uint64_t control_bytes, BrokerFiles& files,
                  const RecountPlan& plan) {
    RecountState state;
    state.view = &view;
    state.files = &files;
    state.plan = plan;
    const std::uint64_t before = changes_of(view);
    walk_lanes(state);
    count_direct(state);
    count_heap(state, control_bytes);
    count_messages(state);
    state.result.at_rest = before % 2 == 0 && changes_of(view) == before;
    return std::move(state.result);
}

Reachable reachable_pages(const ControlView& view) {
    Reachable found;
    found.of_destination.assign(view.limits.destinations, 0);
    const std::uint64_t before = changes_of(view);
    if (before % 2 != 0) return found;
    for (LaneId lane = 0; lane < view.limits.lanes; ++lane) {
        const LaneSlot& slot = view.lane(lane);
        if (shown(slot.state) == SlotState::free) continue;
        const std::uint64_t bytes = walk_pages(view, lane).bytes;
        const std::uint32_t destination = shown(slot.destination);
        if (destination < found.of_destination.size()) found.of_destination[destination] += bytes;
        found.bytes += bytes;
    }
    each_page_between(view, [&](LaneId lane, std::uint64_t bytes) {
        found.bytes += bytes;
        if (lane >= view.limits.lanes) return;
        const std::uint32_t destination = shown(view.lane(lane).destination);
        if (destination < found.of_destination.size()) found.of_destination[destination] += bytes;
    });
    found.at_rest = changes_of(view) == before;
    return found;
}

const char* name_of(Resource resource) noexcept {
    switch (resource) {
        case Resource::direct: return "direct";
        case Resource::heap: return "heap";
        case Resource::messages: return "messages";
        case Resource::cursors: return "cursors";
    }
    return "unknown";
}

}  // namespace weir::inspect
