// SPDX-License-Identifier: Apache-2.0
//
// What one message costs on each side of a lane, without another core: instructions, not cache
// lines that travel. The two-process harness measures those.
#include <benchmark/benchmark.h>

#include "bench/micro/turning_window.hpp"

namespace weir::bench {
namespace {

void send_and_receive(benchmark::State& state) {
    const auto bytes = static_cast<std::uint64_t>(state.range(0));
    TurningWindow window(8, 64 * 1024);
    const std::vector<std::byte> payload(bytes);
    for (auto _ : state) {
        window.send(payload.data(), bytes);
        benchmark::DoNotOptimize(window.receive().payload());
    }
    state.SetItemsProcessed(state.iterations());
    state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(send_and_receive)->Arg(0)->Arg(64)->Arg(1024)->Arg(8192);

// The dense case: a burst is written, then read.
void burst(benchmark::State& state) {
    TurningWindow window(16, 64 * 1024);
    const std::vector<std::byte> payload(64);
    for (auto _ : state) {
        for (std::int64_t i = 0; i < state.range(0); ++i) window.send(payload.data(), 64);
        while (const RecordView view = window.receive()) benchmark::DoNotOptimize(view.payload());
    }
    state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(burst)->Arg(32)->Arg(1024);

}  // namespace
}  // namespace weir::bench
