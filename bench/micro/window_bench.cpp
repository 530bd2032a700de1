// SPDX-License-Identifier: Apache-2.0
//
// What a page costs: leaving, sealing, entering, passing and granting it again. One message per
// page, so the figure is per page; divide by the messages of a page to see what it adds to each.
#include <benchmark/benchmark.h>

#include "bench/micro/turning_window.hpp"

namespace weir::bench {
namespace {

void next_page(benchmark::State& state) {
    const auto page_bytes = static_cast<std::uint64_t>(state.range(0));
    TurningWindow window(8, page_bytes);
    // More than half a page, so that each message needs a new one; little of it is copied.
    const std::uint64_t bytes = page_bytes / 2 + 64;
    const std::vector<std::byte> payload(bytes);
    for (auto _ : state) {
        window.send(payload.data(), bytes);
        benchmark::DoNotOptimize(window.receive().payload());
    }
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(next_page)->Arg(4096)->Arg(64 * 1024);

}  // namespace
}  // namespace weir::bench
