// SPDX-License-Identifier: Apache-2.0
//
// The cold side of WEIR_CHECK. It may run with broken memory, hence no allocation and no log.
#include "core/base/check.hpp"

#include <cstdio>
#include <cstdlib>

namespace weir {

void check_failed(const char* condition, const char* file, int line) noexcept {
    std::fprintf(stderr, "%s:%d: check failed: %s\n", file, line, condition);
    std::fflush(stderr);
    std::abort();
}

}  // namespace weir
