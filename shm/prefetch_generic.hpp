// SPDX-License-Identifier: Apache-2.0
//
// Any other processor: what the compiler makes of it.
#ifndef WEIR_SHM_PREFETCH_GENERIC_HPP
#define WEIR_SHM_PREFETCH_GENERIC_HPP

#include <cstddef>

namespace weir {

inline void prefetch_for_read(const std::byte* address) noexcept { __builtin_prefetch(address); }

inline void prefetch_for_write(const std::byte* address) noexcept {
    __builtin_prefetch(address, 1);
}

}  // namespace weir

#endif
