// SPDX-License-Identifier: Apache-2.0
#include "core/client/wait_facts.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cstring>

#include "core/base/bytes.hpp"
#include "shm/shortage_copy.hpp"

namespace weir::detail {
namespace {

std::string why(WaitReason reason) {
    switch (reason) {
        case WaitReason::none: return "the broker has not answered yet";
        case WaitReason::direct_full:
            return "direct memory is full: consumers have to read, or start the broker with a "
                   "larger --direct";
        case WaitReason::direct_fragmented:
            return "direct memory has room, but not in one piece: it is being cleared";
        case WaitReason::heap_full:
            return "heap-like memory is short: close what is not used, or start the broker with a "
                   "larger --heap";
        case WaitReason::broker_stopping: return "the broker is stopping";
        case WaitReason::lane_exhausted: return "the lane is at its end: open the producer again";
        case WaitReason::destination_limit:
            return "the destination holds as much as its policy allows: consumers have to read, or "
                   "raise its limit";
        case WaitReason::part_full:
            return "the producers' part of direct memory is full: consumers have to read, or raise "
                   "producer-part";
        case WaitReason::session_limit:
            return "this session holds as much direct memory as one session may";
        case WaitReason::user_limit:
            return "the sessions of this user hold as much direct memory as one user may";
        case WaitReason::rate_limit: return "the destination's rate is used up for now";
        case WaitReason::pace:
            return "the destination is above its high-water mark and slowed down to what its "
                   "consumers read";
        case WaitReason::depth_limit:
            return "the destination holds as many messages as its policy allows: consumers have to "
                   "read, or raise its max-depth";
        case WaitReason::disk_full:
            return "direct memory is full and the spill directory has no room left";
        case WaitReason::disk_error:
            return "direct memory is full and the spill directory cannot be written";
        case WaitReason::never_fits:
            return "the message is larger than a limit on its way: raise the limit or send it in "
                   "parts";
    }
    return "the broker gave a reason that this build does not know";
}

// What was waited for, and how full it was.
std::string what(const WaitInfo& info) {
    const bool known = info.level != LimitLevel::none;
    switch (unit_of(info.reason)) {
        case ShortageUnit::messages:
            if (!known) return "messages to go";
            return fmt::format("messages to go ({} of {} are there)", info.used, info.capacity);
        case ShortageUnit::nothing: return "its turn";
        case ShortageUnit::bytes: break;
    }
    return fmt::format("memory ({} of {} in use)",
                       format_size(known ? info.used : info.direct_used),
                       format_size(known ? info.capacity : info.direct_capacity));
}

// Texts of `control` end at the first zero, or at the field's end.
template <std::size_t Bytes>
std::string text_of(const char (&field)[Bytes]) {
    return {field, strnlen(field, Bytes)};
}

}  // namespace

void look_up_wait(const ControlView& control, std::uint32_t destination, WaitInfo& info) {
    ShortageCopy copied;
    if (!copy_shortage(control.destination(destination).shortage, copied)) return;
    if (copied.reason == WaitReason::none || copied.reason != info.reason) return;
    info.level = copied.level;
    info.used = copied.used;
    info.capacity = copied.capacity;
    info.since_ns = copied.since_ns;
    info.freeable = copied.freeable;
    info.only_this_process = copied.freeable == Freeable::by_one &&
                             copied.only_pid == static_cast<std::uint32_t>(::getpid());
    for (const HolderCopy& held : copied.holders) {
        if (held.bytes == 0) break;
        WaitHolder& holder = info.holders.emplace_back();
        holder.bytes = held.bytes;
        holder.pid = held.pid;
        if (held.destination < control.limits.destinations)
            holder.destination = text_of(control.destination(held.destination).name);
        if (held.pid != 0 && held.session < control.limits.sessions &&
            control.session(held.session).pid == held.pid)
            holder.name = text_of(control.session(held.session).name);
    }
}

std::string wait_sentence(const WaitInfo& info, const std::string& destination, bool consumes) {
    const bool known = info.level != LimitLevel::none;
    std::string text =
        fmt::format("{} waited {} for {}: {}", destination, format_duration_ns(info.waited_ns),
                    what(info), why(info.reason));
    const char* before = "; most is held: ";
    for (const WaitHolder& holder : info.holders) {
        text +=
            fmt::format("{}{} in {} of {}", before, format_size(holder.bytes), holder.destination,
                        holder.pid == 0 ? "a producer that has left"
                                        : fmt::format("{} (pid {})", holder.name, holder.pid));
        before = ", ";
    }
    if (info.only_this_process)
        text += "; only this process consumes what holds it: it waits for what it holds itself";
    else if (known && info.freeable == Freeable::by_nobody)
        text += "; nobody consumes what holds it";
    else if (consumes)
        text += "; this process consumes " + destination +
                " itself, so it may be waiting for what it holds";
    return text;
}

}  // namespace weir::detail
