// SPDX-License-Identifier: Apache-2.0
//
// The half of Grants (grants.hpp) that is about lanes which wait.
#include <algorithm>

#include "core/broker/collection.hpp"
#include "core/broker/grants.hpp"
#include "core/broker/limits.hpp"
#include "core/broker/retraction.hpp"
#include "core/broker/shortages.hpp"
#include "core/broker/window.hpp"

namespace weir::broker {

// The first in line for memory that `lane` needs too: one that waits at the limit of another
// destination, session or user is no reason to wait. Nobody, if `lane` is the first itself.
Lane* Grants::first_before(const Lane& lane) const {
    for (const LaneId id : waiting_) {
        if (id == lane.id) return nullptr;
        Lane* const first = tables_->lane(id);
        if (first == nullptr || first->cell == nullptr) continue;
        // relaxed: the broker's own word.
        const WaitReason reason = tables_->slot(*first).reason.load(std::memory_order_relaxed);
        if (counts_at(*tables_, *first, level_of(reason), lane)) return first;
    }
    return nullptr;
}

bool Grants::may_pass(const Lane& lane, Bytes bytes) const {
    const Lane* const first = first_before(lane);
    if (first == nullptr) return true;
    // relaxed: the broker's own word.
    const WaitReason reason = tables_->slot(*first).reason.load(std::memory_order_relaxed);
    if (level_of(reason) == LimitLevel::broker && lane.account.reserved(bytes)) return true;
    const Bytes wanted = units_needed(read_request(*first).record) * page_unit;
    return bytes < wanted && first->passed_by + bytes <= std::max(passing_max, wanted);
}

void Grants::note_passing(const Lane& lane, Bytes bytes) {
    if (Lane* const first = first_before(lane)) first->passed_by += bytes;
}

void Grants::wait(Lane& lane) {
    lane.waiting = true;
    lane.passed_by = 0;
    const bool first = waiting_.empty();
    waiting_.push_back(lane.id);
    // relaxed: both are numbers for people.
    tables_->slot(lane).waiting_since_ns.store(tables_->clock.now_ns(), std::memory_order_relaxed);
    tables_->slot(tables_->destination_of(lane))
        .blocked_producers.fetch_add(1, std::memory_order_relaxed);
    if (first) set_hungry(true);
}

void Grants::stop_waiting(Lane& lane) {
    if (!lane.waiting) return;
    lane.waiting = false;
    std::erase(waiting_, lane.id);
    // relaxed: both are numbers for people.
    tables_->slot(lane).waiting_since_ns.store(0, std::memory_order_relaxed);
    tables_->slot(tables_->destination_of(lane))
        .blocked_producers.fetch_sub(1, std::memory_order_relaxed);
    if (waiting_.empty()) set_hungry(false);
}

// A consumer that passed a page and saw nobody hungry did not ring: what was passed before is
// looked for once more.
void Grants::set_hungry(bool hungry) {
    if (!tables_->set_hungry(Tables::Hunger::waiting_lanes, hungry)) return;
    for (const auto& lane : tables_->lanes)
        if (lane) collect(*tables_, *lane);
}

void Grants::serve_waiting() {
    if (waiting_.empty()) return;
    const std::deque<LaneId> order = waiting_;
    for (const LaneId id : order) {
        Lane& lane = *tables_->lane(id);
        const Request request = read_request(lane);
        // relaxed: the broker's own word.
        const WaitReason before = tables_->slot(lane).reason.load(std::memory_order_relaxed);
        WaitReason reason = before;
        if (!request.blocked) {
            stop_waiting(lane);  // gave up: the next in line is served as the first
        } else if (lane.revoked_page == 0 &&
                   (has_room_ahead(lane, request.record) || grant_first(lane, request, reason))) {
            // It asks again when half of that is used, so that it need not stop each time.
            // relaxed: a hint for when to ask.
            tables_->slot(lane).window_bytes.store(bytes_ahead(lane), std::memory_order_relaxed);
            granted(lane);
        } else if (reason != before && reason != WaitReason::none) {
            refused(lane, request, reason);
        }
    }
}

}  // namespace weir::broker
