// SPDX-License-Identifier: Apache-2.0
//
// See stage.hpp.
#include "bench/probes/stage.hpp"

#include <sched.h>

namespace weir::bench {

void Patience::give_way() noexcept { ::sched_yield(); }

}  // namespace weir::bench
