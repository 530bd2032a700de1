// SPDX-License-Identifier: Apache-2.0
//
// Making, finding and removing the named region `control` of a broker.
//
// It has a name so that a restarted broker and reading tools find it again; everything else is
// handed over as descriptors. Boost.Interprocess names and maps it, and its managed heap carves the
// tables, once: an allocator that was killed in the middle of an allocation cannot be trusted
// again.
#ifndef WEIR_SHM_CONTROL_REGION_HPP
#define WEIR_SHM_CONTROL_REGION_HPP

#include <string>

#include "shm/control.hpp"
#include "shm/mapping.hpp"

namespace weir {

// Table lengths for a broker with this much memory, and the bytes of `control` they need. Formula:
// a lane per 16 KiB of heap-like memory (256 to `lanes_max`), a quarter as many destinations, half
// as many subscriptions and sessions. Beyond 14.5 MiB, so that a broker of the usual 16 MiB pays
// for no more than that, at least one of each but the sessions per 6.5 KiB: the slots take 1.6 KiB
// of it, and the rest is for a queue with one producer and one consumer.
Limits limits_for(std::uint64_t direct_bytes, std::uint64_t heap_bytes,
                  std::uint64_t largest_message);

class ControlRegion {
public:
    ControlRegion() = default;

    // The name of the object for a broker's name and this user: "weir-UID-NAME".
    static std::string object_name(const std::string& broker);

    // Creates, allocates and carves it; the magic is not set yet (`publish`).
    static Result<ControlRegion, Error<MemoryError>> create(const std::string& broker,
                                                            const Limits& limits);
    // Maps an existing one read-only.
    static Result<ControlRegion, Error<MemoryError>> open(const std::string& broker);
    static bool remove(const std::string& broker) noexcept;

    // Sets the magic: from here on others may read it.
    void publish() noexcept;

    Superblock& superblock() noexcept { return *at<Superblock>(0); }
    DestinationSlot& destination(std::uint32_t slot) noexcept {
        return at<DestinationSlot>(view_.offsets.destinations)[slot];
    }
    LaneSlot& lane(LaneId lane) noexcept { return at<LaneSlot>(view_.offsets.lanes)[lane]; }
    SubscriptionSlot& subscription(std::uint32_t slot) noexcept {
        return at<SubscriptionSlot>(view_.offsets.subscriptions)[slot];
    }
    SessionSlot& session(std::uint32_t slot) noexcept {
        return at<SessionSlot>(view_.offsets.sessions)[slot];
    }
    UserSlot& user(std::uint32_t slot) noexcept { return at<UserSlot>(view_.offsets.users)[slot]; }
    PageSlot& page(PageRef ref) noexcept {
        return at<PageSlot>(view_.offsets.pages)[unit_of_ref(ref)];
    }

    const ControlView& view() const noexcept { return view_; }
    std::byte* data() const noexcept { return mapping_.data(); }
    std::uint64_t bytes() const noexcept { return mapping_.bytes(); }
    // A descriptor that clients may map, read-only.
    int read_only_fd() const noexcept { return read_only_.get(); }

private:
    template <class T>
    T* at(std::uint64_t offset) noexcept {
        return reinterpret_cast<T*>(mapping_.data() +
                                    offset);  // NOLINT: shared bytes have this layout
    }
    void carve(const Limits& limits);

    Mapping mapping_;
    Fd read_only_;
    ControlView view_;
};

}  // namespace weir

#endif
