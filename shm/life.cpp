// SPDX-License-Identifier: Apache-2.0
#include "shm/life.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <climits>

#include "shm/futex.hpp"

namespace weir {

void pass_on_the_end(const LifeWord& word) noexcept { futex_wake(word, INT_MAX); }

Life::Life(LifeWord& word) noexcept : word_(word), place_{}, list_{} {
    place_.next = &list_.list;
    list_.list.next = &place_;
    // From a place in the list to its word, wherever the two are mapped.
    list_.futex_offset = static_cast<long>(reinterpret_cast<std::intptr_t>(&word_) -   // NOLINT
                                           reinterpret_cast<std::intptr_t>(&place_));  // NOLINT
    constexpr pid_t own_thread = 0;
    if (::syscall(SYS_get_robust_list, own_thread, &before_, &before_bytes_) != 0 ||
        ::syscall(SYS_set_robust_list, &list_, sizeof list_) != 0) {
        before_bytes_ = 0;
        return;  // the word stays 0
    }
    // Without the bit the kernel would wake nobody. relaxed: nothing is published with it.
    word_.store(static_cast<std::uint32_t>(::gettid()) | FUTEX_WAITERS, std::memory_order_relaxed);
}

Life::~Life() {
    // relaxed: nothing is published with it; who reads it looks at the socket, or gives up.
    word_.store(FUTEX_OWNER_DIED, std::memory_order_relaxed);
    if (before_bytes_ != 0) ::syscall(SYS_set_robust_list, before_, before_bytes_);
    pass_on_the_end(word_);
}

}  // namespace weir
