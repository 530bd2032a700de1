// SPDX-License-Identifier: Apache-2.0
//
// The C library calls us in each child that was made by fork; one made by a bare clone system call
// is not seen. Such a child has the parent's mappings taken away (MADV_DONTFORK), so it ends where
// it uses them and does no harm.
#include "weir/detail/forks.hpp"

#include <pthread.h>

#include <mutex>

namespace weir::detail {
namespace {

void count_fork() {
    // relaxed: a fresh child has one thread.
    fork_count.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

void watch_forks() {
    static std::once_flag once;
    std::call_once(once, [] { pthread_atfork(nullptr, nullptr, count_fork); });
}

}  // namespace weir::detail
