// SPDX-License-Identifier: Apache-2.0
//
// Asking for a cache line before it is needed. Three places in a lane do, each for a measured
// reason (bench/README.md, as ratios against the raw ping-pong and the plain ring of one run):
//
//   the reader, while its word is zero   asks for the line behind it. A record of 64 bytes lies in
//                                        two lines; else the second one moves after the first
//   the reader, in a run of records      asks some records ahead: lines arrive while it works
//   the writer                           asks ahead, for writing: lines that readers had come back.
//                                        One line for a small record; as many as it has for one of
//                                        129 bytes to 8 KiB, since a store waits for each line that
//                                        nobody asked for (1.1 to 1.3 of one line a record); larger
//                                        copies ask by themselves (64 KiB: no difference)
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
// Eight records of 64 bytes ahead of a reader, sixty-four ahead of a writer (of 64 bytes and one
// line a record, in turn: 1.06 to 1.15 of what half of that gives, and of twice that).
inline constexpr std::size_t read_ahead_bytes = 576;
inline constexpr std::size_t write_ahead_bytes = 4608;
inline constexpr std::size_t write_ahead_lines_from = 2 * cache_line;
inline constexpr std::size_t write_ahead_lines_to = 8192;

inline void prefetch_for_read(const std::byte* address) noexcept { __builtin_prefetch(address); }

// Asks for the lines ahead of a writer that is about to write a record of so many bytes here.
inline void prefetch_ahead_of_writer(const std::byte* record, std::size_t bytes) noexcept {
    const std::byte* const ahead = record + write_ahead_bytes;
    prefetch_for_write(ahead);
    if (bytes <= write_ahead_lines_from || bytes > write_ahead_lines_to) return;
    for (std::size_t at = cache_line; at < bytes; at += cache_line) prefetch_for_write(ahead + at);
}

}  // namespace weir

#endif
