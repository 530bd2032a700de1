// SPDX-License-Identifier: Apache-2.0
//
// x86-64: the instructions are written out. A build for the family's baseline turns the builtin for
// writing into one for reading (processors that do not know it run it as a no-operation), and g++
// drops calls of a function in which it sees nothing but the builtin.
#ifndef WEIR_SHM_PREFETCH_X86_64_HPP
#define WEIR_SHM_PREFETCH_X86_64_HPP

#include <cstddef>

namespace weir {

inline void prefetch_for_read(const std::byte* address) noexcept {
    asm volatile("prefetcht0 %0" : : "m"(*address));
}

inline void prefetch_for_write(const std::byte* address) noexcept {
    asm volatile("prefetchw %0" : : "m"(*address));
}

}  // namespace weir

#endif
