// SPDX-License-Identifier: Apache-2.0
#include "shm/barrier.hpp"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/base/check.hpp"

namespace weir {

bool register_barrier() noexcept {
    return syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0) == 0;
}

void barrier_everywhere() noexcept {
    // barrier: this is the one that all others mean. It cannot fail once registration succeeded,
    // which attach and the broker's start demand.
    WEIR_CHECK(syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0) == 0);
}

}  // namespace weir
