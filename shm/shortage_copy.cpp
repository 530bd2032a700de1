// SPDX-License-Identifier: Apache-2.0
#include "shm/shortage_copy.hpp"

namespace weir {
namespace {

constexpr int looks_max = 100;

template <class Word>
auto load(const Word& word) noexcept {
    // SYNC(shortage) acquire: the generation that this belongs to.
    return word.load(std::memory_order_acquire);
}

}  // namespace

bool copy_shortage(const Shortage& from, ShortageCopy& to) noexcept {
    for (int look = 0; look < looks_max; ++look) {
        const std::uint32_t before = load(from.generation);
        to.reason = load(from.reason);
        to.level = load(from.level);
        to.freeable = load(from.freeable);
        to.only_pid = load(from.only_pid);
        to.used = load(from.used);
        to.capacity = load(from.capacity);
        to.since_ns = load(from.since_ns);
        for (std::size_t at = 0; at < holders_shown; ++at)
            to.holders[at] = {load(from.holders[at].bytes), load(from.holders[at].destination),
                              load(from.holders[at].session), load(from.holders[at].pid)};
        if (before % 2 == 0 && load(from.generation) == before) return true;
    }
    return false;
}

}  // namespace weir
