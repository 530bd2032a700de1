// SPDX-License-Identifier: Apache-2.0
//
// Asking for a cache line before it is needed. Three places in a lane do, each for a measured
// reason (bench/README.md, as ratios against the raw ping-pong and the plain ring of one run):
//
//   the reader, while its word is zero   asks for the line behind it. A record of 64 bytes lies in
//                                        two lines; else the second one moves after the first
//   the reader, in a run of records      asks ahead: else it has as many lines under way as fit
//                                        into the processor's window, five or six of some hundred
//                                        instructions a message (64 B, in turn: 82 / 150 million a
//                                        second without / with it)
//   the writer                           asks ahead, for writing: lines that readers had come back
//
// One line for a small record; as many as it has for one of 129 bytes to 8 KiB, since what nobody
// asked for is waited for (256 B to 8 KiB: a reader 1.07 to 1.15, a writer 1.1 to 1.3 of one line a
// record). Larger copies ask by themselves (64 KiB: no difference).
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
// Sixteen records of 64 bytes ahead of a reader (two or four times that: the same), sixty-four
// ahead of a writer (half of that, or twice: 0.87 to 0.95).
inline constexpr std::size_t read_ahead_bytes = 1152;
inline constexpr std::size_t write_ahead_bytes = 4608;

// Whether each line of a record of so many bytes is asked for.
constexpr bool asks_for_each_line(std::size_t bytes) noexcept {
    return bytes > 2 * cache_line && bytes <= 8192;
}

// In a run of records, by the reader of one of so many bytes here.
inline void prefetch_ahead_of_reader(const std::byte* record, std::size_t bytes) noexcept {
    const std::byte* const ahead = record + read_ahead_bytes;
    prefetch_for_read(ahead);
    if (!asks_for_each_line(bytes)) return;
    for (std::size_t at = cache_line; at < bytes; at += cache_line) prefetch_for_read(ahead + at);
}

// By the writer of a record of so many bytes here.
inline void prefetch_ahead_of_writer(const std::byte* record, std::size_t bytes) noexcept {
    const std::byte* const ahead = record + write_ahead_bytes;
    prefetch_for_write(ahead);
    if (!asks_for_each_line(bytes)) return;
    for (std::size_t at = cache_line; at < bytes; at += cache_line) prefetch_for_write(ahead + at);
}

}  // namespace weir

#endif
