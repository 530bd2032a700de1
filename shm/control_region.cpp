// SPDX-License-Identifier: Apache-2.0
#include "shm/control_region.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/interprocess/managed_external_buffer.hpp>
#include <boost/interprocess/shared_memory_object.hpp>
#include <cerrno>

#include "core/base/bytes.hpp"
#include "core/base/errno.hpp"
#include "shm/claims.hpp"
#include "shm/signals.hpp"

namespace weir {
namespace {

namespace bip = boost::interprocess;

constexpr std::uint64_t superblock_bytes = 4096;
constexpr std::uint64_t table_alignment = 4096;
constexpr std::uint32_t users_max = 64;
constexpr std::uint64_t heap_before_slots = 29 * 512 * 1024;
constexpr std::uint64_t heap_per_slot = 13 * 512;
constexpr std::uint64_t heap_headers =
    64 * 1024;  // what the managed heap keeps for itself, generously

std::uint64_t tables_bytes(const Limits& limits) {
    const auto table = [](std::uint64_t count, std::uint64_t size) {
        return round_up(count * size, table_alignment) + table_alignment;
    };
    return table(limits.destinations, sizeof(DestinationSlot)) +
           table(limits.lanes, sizeof(LaneSlot)) +
           table(limits.subscriptions, sizeof(SubscriptionSlot)) +
           table(limits.sessions, sizeof(SessionSlot)) + table(limits.users, sizeof(UserSlot)) +
           table(limits.pages, sizeof(PageSlot));
}

}  // namespace

Limits limits_for(std::uint64_t direct_bytes, std::uint64_t heap_bytes,
                  std::uint64_t largest_message) {
    Limits limits{};
    limits.direct_bytes = direct_bytes / page_unit * page_unit;
    limits.heap_bytes = heap_bytes;
    limits.largest_message = largest_message;
    limits.pages = direct_bytes / page_unit;
    const std::uint64_t each =
        (heap_bytes - std::min(heap_bytes, heap_before_slots)) / heap_per_slot;
    const std::uint64_t lanes =
        std::clamp<std::uint64_t>(std::max(heap_bytes / (16 * 1024), each), 256, lanes_max);
    limits.lanes = static_cast<std::uint32_t>(lanes / 8 * 8);
    const auto slots = static_cast<std::uint32_t>(std::min<std::uint64_t>(each, limits.lanes));
    limits.destinations = std::max(slots, limits.lanes / 4);
    limits.subscriptions = std::max(slots, limits.lanes / 2);
    limits.sessions = limits.lanes / 2;
    limits.users = std::min(limits.sessions, users_max);
    limits.signals_bytes = signals_bytes(limits.destinations);
    limits.claims_bytes = claims_bytes(limits.lanes, limits.subscriptions);
    limits.control_bytes =
        round_up(superblock_bytes + heap_headers + tables_bytes(limits), page_unit);
    return limits;
}

std::string ControlRegion::object_name(const std::string& broker) {
    return "weir-" + std::to_string(getuid()) + "-" + broker;
}

bool ControlRegion::remove(const std::string& broker) noexcept {
    return bip::shared_memory_object::remove(object_name(broker).c_str());
}

Result<ControlRegion, Error<MemoryError>> ControlRegion::create(const std::string& broker,
                                                                const Limits& limits) {
    const std::string name = object_name(broker);
    ControlRegion region;
    try {
        bip::permissions owner_only(0600);
        bip::shared_memory_object object(bip::create_only, name.c_str(), bip::read_write,
                                         owner_only);
        object.truncate(static_cast<bip::offset_t>(limits.control_bytes));
        const int fd = object.get_mapping_handle().handle;
        if (auto done = allocate_memory(fd, 0, limits.control_bytes); !done) {
            remove(broker);
            if (done.error().code != MemoryError::out_of_memory) return fail(done.error());
            return fail(Error<MemoryError>{
                MemoryError::out_of_memory,
                "/dev/shm has no room for " + format_size(limits.control_bytes) +
                    " of bookkeeping: enlarge it or start with a smaller --direct and --heap"});
        }
        auto mapping = Mapping::map(fd, limits.control_bytes, Access::read_write);
        if (!mapping) return fail(mapping.error());
        region.mapping_ = std::move(*mapping);
    } catch (const bip::interprocess_exception& error) {
        const bool exists = error.get_error_code() == bip::already_exists_error;
        return fail(Error<MemoryError>{exists ? MemoryError::exists : MemoryError::refused,
                                       "cannot create /dev/shm/" + name + ": " + error.what()});
    }
    region.read_only_ = Fd(shm_open(("/" + name).c_str(), O_RDONLY | O_CLOEXEC, 0));
    if (!region.read_only_)
        return fail(Error<MemoryError>{
            MemoryError::refused, "cannot reopen /dev/shm/" + name + ": " + errno_text(errno)});
    region.carve(limits);
    return region;
}

// Fresh shared memory is zero, and zero is "free" or "none" for every slot: only offsets are set
// here.
void ControlRegion::carve(const Limits& limits) {
    bip::managed_external_buffer heap(bip::create_only, data() + superblock_bytes,
                                      bytes() - superblock_bytes);
    const auto table = [&](std::uint64_t count, std::uint64_t size) {
        auto* const memory =
            static_cast<std::byte*>(heap.allocate_aligned(count * size, table_alignment));
        return static_cast<std::uint64_t>(memory - data());
    };
    Superblock& super = superblock();
    super.limits = limits;
    super.offsets.destinations = table(limits.destinations, sizeof(DestinationSlot));
    super.offsets.lanes = table(limits.lanes, sizeof(LaneSlot));
    super.offsets.subscriptions = table(limits.subscriptions, sizeof(SubscriptionSlot));
    super.offsets.sessions = table(limits.sessions, sizeof(SessionSlot));
    super.offsets.users = table(limits.users, sizeof(UserSlot));
    super.offsets.pages = table(limits.pages, sizeof(PageSlot));
    super.version = layout_version;
    super.fingerprint = layout_fingerprint();
    view_ = ControlView::of(data());
}

void ControlRegion::publish() noexcept {
    // SYNC(region_made) release: whoever sees the magic sees a complete superblock and its tables.
    superblock().magic.store(control_magic, std::memory_order_release);
}

Result<ControlRegion, Error<MemoryError>> ControlRegion::open(const std::string& broker) {
    const std::string name = "/" + object_name(broker);
    Fd fd(shm_open(name.c_str(), O_RDONLY | O_CLOEXEC, 0));
    if (!fd) {
        const MemoryError code = errno == ENOENT ? MemoryError::not_found : MemoryError::refused;
        return fail(
            Error<MemoryError>{code, "cannot open /dev/shm" + name + ": " + errno_text(errno)});
    }
    struct stat status {};
    if (fstat(fd.get(), &status) != 0 ||
        static_cast<std::uint64_t>(status.st_size) < superblock_bytes)
        return fail(
            Error<MemoryError>{MemoryError::too_small, "/dev/shm" + name + " is not finished"});
    auto mapping =
        Mapping::map(fd.get(), static_cast<std::uint64_t>(status.st_size), Access::read_only);
    if (!mapping) return fail(mapping.error());
    if (const char* wrong = ControlView::check(mapping->data(), mapping->bytes()))
        return fail(Error<MemoryError>{MemoryError::refused, "/dev/shm" + name + ": " + wrong});
    ControlRegion region;
    region.mapping_ = std::move(*mapping);
    region.read_only_ = std::move(fd);
    region.view_ = ControlView::of(region.data());
    return region;
}

}  // namespace weir
