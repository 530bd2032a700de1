// SPDX-License-Identifier: Apache-2.0
//
// A Shortage (usage.hpp) copied at one moment, by those who say why a producer waits.
#ifndef WEIR_SHM_SHORTAGE_COPY_HPP
#define WEIR_SHM_SHORTAGE_COPY_HPP

#include "shm/control.hpp"

namespace weir {

struct HolderCopy {
    std::uint64_t bytes = 0;        // 0: there are no more holders
    std::uint32_t destination = 0;  // slot number, as the region says: to be checked
    std::uint32_t session = 0;      // as above, if `pid` is not 0
    std::uint32_t pid = 0;          // 0: the producer has left
};

struct ShortageCopy {
    WaitReason reason = WaitReason::none;
    LimitLevel level = LimitLevel::none;
    Freeable freeable = Freeable::by_several;
    std::uint32_t only_pid = 0;
    std::uint64_t used = 0;
    std::uint64_t capacity = 0;
    std::uint64_t since_ns = 0;  // CLOCK_MONOTONIC
    HolderCopy holders[holders_shown];
};

// False: it changed at each of many looks, or its writer died inside a change.
[[nodiscard]] bool copy_shortage(const Shortage& from, ShortageCopy& to) noexcept;

}  // namespace weir

#endif
