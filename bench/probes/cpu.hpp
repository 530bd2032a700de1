// SPDX-License-Identifier: Apache-2.0
//
// The four things a probe needs from its processor, under one name on every machine: a pause for
// spin loops, a steady counter, whether that counter may be believed, and a prefetch that asks for
// a cache line in order to write it. Each processor family is a file of its own; this one chooses.
#ifndef WEIR_BENCH_PROBES_CPU_HPP
#define WEIR_BENCH_PROBES_CPU_HPP

#if defined(__x86_64__)
#include "bench/probes/cpu_x86_64.hpp"  // IWYU pragma: export
#else
#include "bench/probes/cpu_generic.hpp"  // IWYU pragma: export
#endif

#endif  // WEIR_BENCH_PROBES_CPU_HPP
