// SPDX-License-Identifier: Apache-2.0
//
// What sleeping and waking cost: the look that each record pays, the announcement with its
// membarrier that only a sleeper pays, and a whole trip through the kernel.
#include <benchmark/benchmark.h>

#include <thread>

#include "shm/barrier.hpp"
#include "shm/sleep.hpp"

namespace weir::bench {
namespace {

void look_for_sleepers(benchmark::State& state) {
    std::atomic<std::uint32_t> word{0};
    for (auto _ : state) benchmark::DoNotOptimize(anyone_sleeps(word));
}
BENCHMARK(look_for_sleepers);

void announce_and_take_back(benchmark::State& state) {
    if (!register_barrier()) state.SkipWithError("membarrier is refused here");
    std::atomic<std::uint32_t> word{0};
    for (auto _ : state) {
        const std::uint32_t ticket = announce_sleep(word);
        // barrier: what is measured.
        barrier_everywhere();
        stop_sleeping(word, ticket);
    }
}
BENCHMARK(announce_and_take_back);

// Two threads that wake each other in turn: twice a wake-up through the kernel.
void wake_there_and_back(benchmark::State& state) {
    std::atomic<std::uint32_t> there{0};
    std::atomic<std::uint32_t> back{0};
    std::atomic<std::uint32_t> stop{0};
    std::thread other([&] {
        for (;;) {
            sleep_on(there, announce_sleep(there), no_deadline);
            // relaxed: nothing but the flag is read.
            if (stop.load(std::memory_order_relaxed) != 0) return;
            while (!wake_one(back)) std::this_thread::yield();
        }
    });
    for (auto _ : state) {
        const std::uint32_t ticket = announce_sleep(back);
        while (!wake_one(there)) std::this_thread::yield();
        sleep_on(back, ticket, no_deadline);
    }
    // relaxed: as above.
    stop.store(1, std::memory_order_relaxed);
    while (!wake_one(there)) std::this_thread::yield();
    other.join();
}
BENCHMARK(wake_there_and_back)->UseRealTime();

}  // namespace
}  // namespace weir::bench
