// SPDX-License-Identifier: Apache-2.0
#include "core/broker/tables.hpp"

#include <algorithm>

#include "core/base/check.hpp"
#include "shm/sleep.hpp"

namespace weir::broker {
namespace {

auto at_or_behind(const Tables& tables, std::string_view name) noexcept {
    return std::lower_bound(tables.by_name.begin(), tables.by_name.end(), name,
                            [&](std::uint32_t slot, std::string_view sought) {
                                return tables.destinations[slot]->name < sought;
                            });
}

}  // namespace

Destination* Tables::destination_named(std::string_view name) const noexcept {
    const auto at = at_or_behind(*this, name);
    if (at == by_name.end() || destinations[*at]->name != name) return nullptr;
    return destinations[*at];
}

void Tables::enter_name(const Destination& destination) {
    by_name.insert(at_or_behind(*this, destination.name), destination.slot);
}

void Tables::strike_name(const Destination& destination) noexcept {
    const auto at = at_or_behind(*this, destination.name);
    WEIR_CHECK(at != by_name.end());
    by_name.erase(at);
}

bool Tables::set_hungry(Hunger why, bool hungry) noexcept {
    const std::uint32_t before = hunger;
    const auto bit = static_cast<std::uint32_t>(why);
    hunger = hungry ? before | bit : before & ~bit;
    if ((before != 0) == (hunger != 0)) return false;
    // SYNC(doorbell) release: nothing is published; who passed a page before, without ringing, has
    // set its bit, which is looked at after this (S2).
    signals.head().hungry.store(hunger != 0 ? 1 : 0, std::memory_order_seq_cst);
    return hunger != 0;
}

void Tables::show_ranges(const Destination& queue) noexcept {
    std::size_t ranges = queue.pending.size();
    for (const std::uint32_t consumer : queue.consumers)
        ranges += subscriptions[consumer]->outstanding.size();
    // relaxed: both within a change of all tables (tables_rest); for consumers a hint.
    slot(queue).ranges.store(static_cast<std::uint32_t>(ranges), std::memory_order_relaxed);
    slot(queue).ranges_waiting.store(static_cast<std::uint32_t>(queue.pending.size()),
                                     std::memory_order_relaxed);
}

void Tables::step_generations(Destination& destination) noexcept {
    // SYNC(slot_live) release: the slots and cursors of a lane are complete before it is looked
    // for.
    slot(destination).lanes_generation.fetch_add(1, std::memory_order_release);
    // SYNC(slot_live) release: as above, for consumers of several destinations.
    control.superblock().lanes_generation.fetch_add(1, std::memory_order_release);
}

void Tables::wake_sleepers(const Destination& destination) noexcept {
    wake_all(signals.destination(destination.slot).word);
    wake_all(signals.head().anyone.word);
}

void Tables::mark_ready(const Lane& lane) noexcept {
    // relaxed: a hint; whoever sees it looks at the commit word with acquire.
    signals.head().ready[lane.id].store(1, std::memory_order_relaxed);
}

}  // namespace weir::broker
