// SPDX-License-Identifier: Apache-2.0
#include "core/broker/limits.hpp"

#include <algorithm>

#include "core/broker/window.hpp"

namespace weir::broker {

Units suited_units(const Tables& tables, const Lane& lane, Bytes record, Bytes free) {
    const Destination& destination = tables.destination_of(lane);
    const Policy& policy = destination.policy;
    if (policy.page_bytes != 0)
        return std::max<Units>(units_needed(record), policy.page_bytes / page_unit);
    const Bytes most = page_most(policy.limit, destination.producers);
    return units_suited(lane.window, record, std::min(free, most * page_part_of_window));
}

Bytes window_bound(const Tables& tables, const Lane& lane) {
    const Destination& destination = tables.destination_of(lane);
    return std::min(window_limit(tables.control.view().limits.direct_bytes),
                    window_most(destination.policy.limit, destination.producers));
}

// On a topic a page is given back only when the next one is there (its readers stand in it), so
// there have to be two of them.
LimitLevel in_vain_at(const Tables& tables, const Lane& lane, Bytes record) {
    const Destination& destination = tables.destination_of(lane);
    const Bytes largest = destination.policy.largest_message;
    if (largest != 0 && record > round_up(largest, 8) + 2 * commit_word_bytes)
        return LimitLevel::destination;
    const Bytes page = units_needed(record) * page_unit;
    const Bytes room = destination.kind == DestinationKind::topic ? 2 * page : page;
    const Account* const holder =
        lane.session == nobody ? nullptr : &tables.sessions[lane.session]->direct_held;
    return lane.account.obstacle_for_ever(room, holder).level;
}

std::uint32_t number_at(const Tables& tables, const Lane& lane, LimitLevel level) {
    switch (level) {
        case LimitLevel::destination: return lane.destination;
        case LimitLevel::session: return lane.session;
        case LimitLevel::user:
            return lane.session == nobody ? nobody : tables.sessions[lane.session]->user.slot;
        default: return 0;
    }
}

bool counts_at(const Tables& tables, const Lane& lane, LimitLevel level, const Lane& other) {
    return number_at(tables, other, level) == number_at(tables, lane, level);
}

}  // namespace weir::broker
