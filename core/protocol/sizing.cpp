// SPDX-License-Identifier: Apache-2.0
#include "core/protocol/sizing.hpp"

#include <bit>

#include "shm/control_region.hpp"
#include "shm/record.hpp"

namespace weir::sizing {
namespace {

constexpr Bytes mebibyte = 1024 * 1024;
constexpr Bytes direct_min = mebibyte;
constexpr Bytes heap_min = 16 * mebibyte;
constexpr std::size_t name_length = 24;  // of a destination, supposed
// As in core/broker/window.hpp: a page is a part of the window, and that doubles each time it is
// half used up, as long as its producer is fast.
constexpr Bytes page_part = 16;
constexpr Bytes window_max = 64 * mebibyte;

Bytes page_for(Bytes window, Bytes record) noexcept {
    const Bytes page = std::bit_floor(std::clamp(window / page_part, page_unit, page_class_max));
    const Bytes needed = page_bytes_for(record);
    if (needed <= page) return page;
    return record <= 64 * 1024 ? std::bit_ceil(needed) : needed;
}

Bytes reached(Bytes used, Bytes part, Bytes whole) noexcept {
    return round_up(used * whole / part, mebibyte);
}

}  // namespace

Bytes lane_direct_bytes(std::uint64_t messages, Bytes size) noexcept {
    const Bytes record = record_bytes(0, size);
    Bytes window = page_unit;
    Bytes since_asked = 0;
    Bytes granted = 0;
    for (std::uint64_t left = std::max<std::uint64_t>(messages, 1);;) {
        const Bytes page = page_for(window, record);
        granted += page;
        const std::uint64_t fitting = (page - page_header_bytes) / record;
        if (fitting >= left) return granted;
        left -= fitting;
        since_asked += page;
        if (since_asked < window / 2) continue;
        since_asked = 0;
        window = std::min(window * 2, window_max);
    }
}

Bytes exchange_bytes(std::uint64_t producers) noexcept {
    Bytes blocks_bytes = 0;
    for (std::size_t blocks = 0; producers != 0; ++blocks) {
        const Bytes block = next_block_bytes(blocks, sizeof(ProducerCell));
        producers -= std::min<std::uint64_t>(producers, block / sizeof(ProducerCell));
        blocks_bytes += block;
    }
    return blocks_bytes;
}

Plan plan_for(const Load& load) {
    Plan plan;
    const std::uint64_t lanes = load.connections * load.sessions;
    plan.used.direct = lanes * lane_direct_bytes(load.messages, load.size);
    const Bytes largest = page_bytes_for(record_bytes(0, load.size));
    plan.configure.direct =
        std::max({direct_min, reached(plan.used.direct, 3, 4), round_up(4 * largest, mebibyte)});
    const Bytes moving = load.connections * (session_bytes + exchange_bytes(load.sessions)) +
                         lanes * (lane_bytes + destination_bytes + text_bytes(name_length));
    // Tables grow with the heap-like memory they are in: the smallest that holds both.
    plan.configure.heap = heap_min;
    for (;; plan.configure.heap += mebibyte) {
        const Limits limits = limits_for(plan.configure.direct, plan.configure.heap, load.size);
        plan.used.heap = fixed_bytes(limits) + moving;
        const bool room = plan.used.heap <= plan.configure.heap / 10 * 9;
        const bool slots = limits.lanes >= lanes && limits.sessions >= load.connections;
        if (room && (slots || limits.lanes == lanes_max)) return plan;
    }
}

}  // namespace weir::sizing
