// SPDX-License-Identifier: Apache-2.0
#include "shm/control.hpp"

#include <cstddef>
#include <initializer_list>

#include "shm/claims.hpp"
#include "shm/exchange.hpp"
#include "shm/record.hpp"
#include "shm/signals.hpp"

namespace weir {
namespace {

// FNV-1a, 64 bit (http://www.isthe.com/chongo/tech/comp/fnv): a dozen numbers, no table, no
// dependency.
constexpr std::uint64_t fold(std::initializer_list<std::uint64_t> numbers) noexcept {
    std::uint64_t hash = 0xcbf29ce484222325u;
    for (const std::uint64_t number : numbers) {
        for (int byte = 0; byte < 8; ++byte) {
            hash ^= (number >> (8 * byte)) & 0xff;
            hash *= 0x100000001b3u;
        }
    }
    return hash;
}

}  // namespace

std::uint64_t layout_fingerprint() noexcept {
    return fold({layout_version,
                 sizeof(void*),
                 page_unit,
                 page_header_bytes,
                 line_distance,
                 lanes_max,
                 note_records_max,
                 assignments_max,
                 exchange_block_bytes,
                 sizeof(Superblock),
                 offsetof(Superblock, limits),
                 offsetof(Superblock, offsets),
                 offsetof(Superblock, life),
                 offsetof(Superblock, changes),
                 sizeof(DestinationSlot),
                 offsetof(DestinationSlot, books),
                 offsetof(DestinationSlot, shortage),
                 offsetof(DestinationSlot, name),
                 sizeof(LaneSlot),
                 offsetof(LaneSlot, state),
                 sizeof(SubscriptionSlot),
                 sizeof(SessionSlot),
                 sizeof(UserSlot),
                 sizeof(PageSlot),
                 sizeof(PageHeader),
                 sizeof(ProducerCell),
                 sizeof(ConsumerCell),
                 sizeof(InFlightNote),
                 sizeof(Assignment),
                 sizeof(SignalsHead),
                 sizeof(SleepCell),
                 commit_mark});
}

const char* ControlView::check(const std::byte* base, std::uint64_t bytes) noexcept {
    if (bytes < sizeof(Superblock)) return "too short to be a broker's control region";
    const auto& super = *reinterpret_cast<const Superblock*>(base);  // NOLINT: checked from here on
    // SYNC(region_made) acquire: the rest of the superblock is complete when the magic is there.
    if (super.magic.load(std::memory_order_acquire) != control_magic)
        return "not a broker's control region, or its making was cut short";
    if (super.version != layout_version || super.fingerprint != layout_fingerprint())
        return "made by another build of Weir (weir --version shows the layout)";
    const Limits& limits = super.limits;
    const Offsets& offsets = super.offsets;
    const auto inside = [bytes](std::uint64_t offset, std::uint64_t count, std::uint64_t size) {
        return offset <= bytes && count <= (bytes - offset) / size;
    };
    if (limits.lanes > lanes_max || limits.subscriptions > lanes_max ||
        !inside(offsets.lanes, limits.lanes, sizeof(LaneSlot)) ||
        !inside(offsets.destinations, limits.destinations, sizeof(DestinationSlot)) ||
        !inside(offsets.subscriptions, limits.subscriptions, sizeof(SubscriptionSlot)) ||
        !inside(offsets.sessions, limits.sessions, sizeof(SessionSlot)) ||
        !inside(offsets.users, limits.users, sizeof(UserSlot)) ||
        !inside(offsets.pages, limits.pages, sizeof(PageSlot)))
        return "its tables do not fit into it";
    return nullptr;
}

ControlView ControlView::of(const std::byte* base) noexcept {
    ControlView view;
    view.base = base;
    const auto& super =
        *reinterpret_cast<const Superblock*>(base);  // NOLINT: the caller has checked it
    view.limits = super.limits;
    view.offsets = super.offsets;
    return view;
}

}  // namespace weir
