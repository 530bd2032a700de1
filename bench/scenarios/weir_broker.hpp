// SPDX-License-Identifier: Apache-2.0
//
// A broker of the benchmark's own: `weir broker --foreground` in a private folder.
#ifndef WEIR_BENCH_SCENARIOS_WEIR_BROKER_HPP
#define WEIR_BENCH_SCENARIOS_WEIR_BROKER_HPP

#include <string>
#include <vector>

#include "bench/scenarios/carrier.hpp"
#include "bench/scenarios/server.hpp"

namespace weir::bench {

Probed<Server> start_weir_broker(const Scene& scene, const std::string& name,
                                 const std::vector<std::string>& options);

}  // namespace weir::bench

#endif  // WEIR_BENCH_SCENARIOS_WEIR_BROKER_HPP
