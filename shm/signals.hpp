// SPDX-License-Identifier: Apache-2.0
//
// `signals`: hints that all clients and the broker write. A lie here costs a wasted wake-up or a
// delay that the broker's look around ends (watch.hpp, W1), never a message.
//
//      | head: hungry, broker asleep, anyone | need (bit per lane) | passed (bit per lane) |
//      | ready (byte per lane) | sleep word per destination, 128 bytes apart |
//
//   S1  the broker alone clears a ready byte: clear, membarrier, look at the lane again
//   S2  a need or passed bit is set before `hungry` and the broker's sleep word are looked at, and
//       the broker sets those words before it looks at the bits a last time. All of these are
//       sequentially consistent, so one of the two sees the other. Here that is cheaper than
//       letting the broker call membarrier for both, as sleepers do (sleep.hpp): the client's side
//       comes once per page and has its read-modify-write anyway, the broker's once per turn, of
//       which the call was more than half
#ifndef WEIR_SHM_SIGNALS_HPP
#define WEIR_SHM_SIGNALS_HPP

#include "shm/units.hpp"

namespace weir {

struct alignas(line_distance) SleepCell {
    std::atomic<std::uint32_t> word;  // sleep.hpp
};

struct SignalsHead {
    alignas(line_distance) std::atomic<std::uint32_t> hungry;  // somebody waits for direct memory
    alignas(line_distance) std::atomic<std::uint32_t> broker_asleep;  // ring the doorbell if 1
    SleepCell anyone;  // consumers of several destinations
    alignas(
        line_distance) std::atomic<std::uint64_t> need[lanes_max / 64];  // lanes that want pages
    alignas(line_distance)
        std::atomic<std::uint64_t> passed[lanes_max / 64];  // lanes whose pages were read
    alignas(line_distance) std::atomic<std::uint8_t> ready[lanes_max];
};
static_assert(sizeof(SignalsHead) == 3 * line_distance +
                                         2 * round_up(lanes_max / 8, line_distance) +
                                         round_up(lanes_max, line_distance));

constexpr std::uint64_t signals_bytes(std::uint32_t destinations) noexcept {
    return round_up(sizeof(SignalsHead) + destinations * sizeof(SleepCell), page_unit);
}

struct SignalsView {
    std::byte* base = nullptr;

    SignalsHead& head() const noexcept {
        return *reinterpret_cast<SignalsHead*>(base);  // NOLINT: shared bytes have this layout
    }
    SleepCell& destination(std::uint32_t slot) const noexcept {
        return reinterpret_cast<SleepCell*>(base + sizeof(SignalsHead))[slot];  // NOLINT
    }
};

// Sets a lane's bit. Always the read-modify-write, also when the bit seems set: a plain look could
// be overtaken by the stores before it, and the broker could clear the bit and miss them. Once per
// page.
inline void set_lane_bit(std::atomic<std::uint64_t>* bits, LaneId lane) noexcept {
    // SYNC(lane_bit) release: what the lane needs was written before its bit. In one order with the
    // words that are looked at next (S2).
    bits[lane / 64].fetch_or(std::uint64_t{1} << (lane % 64), std::memory_order_seq_cst);
}

}  // namespace weir

#endif
