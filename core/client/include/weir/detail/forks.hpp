// SPDX-License-Identifier: Apache-2.0
//
// Whether this process is a child of the one that made a handle.
//
// A forked child inherits the handle's bytes but none of its mappings (MADV_DONTFORK), and must not
// speak for its parent. Asking the kernel for the process number would be a system call per
// message, so the C library's fork hook counts instead: a handle keeps the count it was made under.
#ifndef WEIR_DETAIL_FORKS_HPP
#define WEIR_DETAIL_FORKS_HPP

#include <atomic>
#include <cstdint>

namespace weir::detail {

inline std::atomic<std::uint32_t> fork_count{0};

// How many forks lie between the first process of this image and this one. Thread safe.
inline std::uint32_t forks() noexcept {
    // relaxed: stepped only in a fresh child, while it has one thread.
    return fork_count.load(std::memory_order_relaxed);
}

// Begins to count. Idempotent, thread safe; called before the first handle is made.
void watch_forks();

}  // namespace weir::detail

#endif
