// SPDX-License-Identifier: Apache-2.0
//
// Asking for a cache line before it is needed. Three places in a lane do, each for a measured
// reason (bench/README.md, as ratios against the raw ping-pong and the plain ring of one run):
//
//   the reader, while its word is zero   asks for the line behind it. A record of 64 bytes lies in
//                                        two lines; else the second one moves after the first
//   the reader, in a run of records      asks some records ahead: lines arrive while it works
//   the writer                           asks ahead, for writing: lines that readers had come back
//
// A prefetch never faults and changes nothing but time: it may point anywhere.
#ifndef WEIR_SHM_PREFETCH_HPP
#define WEIR_SHM_PREFETCH_HPP

#include <cstddef>

#if defined(__x86_64__)
#include "shm/prefetch_x86_64.hpp"  // IWYU pragma: export
#else
#include "shm/prefetch_generic.hpp"  // IWYU pragma: export
#endif

namespace weir {

inline constexpr std::size_t cache_line = 64;
// Eight records of 64 bytes ahead of a reader, thirty-two ahead of a writer.
inline constexpr std::size_t read_ahead_bytes = 576;
inline constexpr std::size_t write_ahead_bytes = 2304;

inline void prefetch_for_read(const std::byte* address) noexcept { __builtin_prefetch(address); }

}  // namespace weir

#endif
