// SPDX-License-Identifier: Apache-2.0
//
// See probe_error.hpp.
#include "bench/probes/probe_error.hpp"

#include <cerrno>

#include "core/base/errno.hpp"

namespace weir::bench {

Failure<ProbeError> fail_with_errno(ProbeFault fault, const std::string& what) {
    return fail(fault, what + ": " + errno_text(errno));
}

}  // namespace weir::bench
