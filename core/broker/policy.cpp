// SPDX-License-Identifier: Apache-2.0
#include "core/broker/policy.hpp"

namespace weir::broker {

void show(const Policy& policy, PolicySlot& slot) noexcept {
    const auto set = [](auto& shown, auto value) {
        // relaxed: settings for clients and numbers for people, each read alone. A new
        // destination's become visible with its state.
        shown.store(value, std::memory_order_relaxed);
    };
    set(slot.overflow, policy.overflow);
    set(slot.flow_to_disk, policy.flow_to_disk);
    set(slot.slow_subscriber, policy.slow_subscriber);
    set(slot.max_producers, policy.max_producers);
    set(slot.max_consumers, policy.max_consumers);
    set(slot.page_bytes, static_cast<std::uint32_t>(policy.page_bytes));
    set(slot.limit, policy.limit);
    set(slot.reserve, policy.reserve);
    set(slot.high_water, policy.high_water);
    set(slot.largest_message, policy.largest_message);
    set(slot.fail_after_ns, policy.fail_after_ns);
    set(slot.rate_bytes, policy.rate_bytes);
    set(slot.rate_messages, policy.rate_messages);
    set(slot.max_depth, policy.max_depth);
}

}  // namespace weir::broker
