// SPDX-License-Identifier: Apache-2.0
//
// The columns of the table that are always there: Weir, and the machine's own limits.
#ifndef WEIR_BENCH_SUITE_SYSTEMS_HPP
#define WEIR_BENCH_SUITE_SYSTEMS_HPP

#include <memory>
#include <vector>

#include "bench/peers/system.hpp"

namespace weir::bench {

// futex, eventfd, hand lane, plain ring, and the copy stream in its two states.
std::vector<std::unique_ptr<System>> limit_systems();

// Weir over a topic, with every scenario; over a queue, with those of a pair.
std::vector<std::unique_ptr<System>> weir_systems();

}  // namespace weir::bench

#endif  // WEIR_BENCH_SUITE_SYSTEMS_HPP
