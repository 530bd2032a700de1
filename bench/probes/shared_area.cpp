// SPDX-License-Identifier: Apache-2.0
//
// See shared_area.hpp.
#include "bench/probes/shared_area.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

#include "core/base/bytes.hpp"

namespace weir::bench {

Probed<SharedArea> SharedArea::create(std::uint64_t bytes) {
    void* base = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED) {
        return fail_with_errno(ProbeFault::no_memory, "shared memory of " + format_size(bytes));
    }
    return SharedArea(static_cast<std::byte*>(base), bytes);
}

SharedArea::~SharedArea() {
    if (base_ != nullptr) ::munmap(base_, bytes_);  // fails only for a range that was never mapped
}

Probed<void> SharedArea::populate() const {
    if (::madvise(base_, bytes_, MADV_POPULATE_WRITE) == 0) return {};
    if (errno != EINVAL) {
        return fail_with_errno(ProbeFault::no_memory, "touching " + format_size(bytes_));
    }
    // EINVAL: a kernel before 5.14. Each page is written with what stands in it.
    auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
    for (std::uint64_t at = 0; at < bytes_; at += page) {
        std::atomic_ref<std::byte> first(base_[at]);
        std::byte seen = first.load(std::memory_order_relaxed);  // relaxed: the value is not used
        // relaxed: it changes nothing; atomic only because the partner may be here as well.
        first.compare_exchange_strong(seen, seen, std::memory_order_relaxed);
    }
    return {};
}

}  // namespace weir::bench
