// SPDX-License-Identifier: Apache-2.0
//
// Why a probe has no figures. A probe that fails says so; it never reports a guess.
#ifndef WEIR_BENCH_PROBES_PROBE_ERROR_HPP
#define WEIR_BENCH_PROBES_PROBE_ERROR_HPP

#include <string>

#include "core/base/result.hpp"

namespace weir::bench {

enum class ProbeFault {
    no_memory,       // shared memory was refused
    no_process,      // fork, a pidfd, or a socket was refused
    child_failed,    // one of the two processes ended before its work was done
    timed_out,       // the pair was stopped at its deadline
    corrupted,       // bytes arrived changed, twice or not at all
    subject_failed,  // what is compared with the machine could not run
    not_possible,    // the asked combination does not exist, such as a ring smaller than a message
};

using ProbeError = Error<ProbeFault>;

template <class T>
using Probed = Result<T, ProbeError>;

// `what` and the errno of the call that just failed: "mmap of 4 MiB: ENOMEM (Cannot allocate ...)".
Failure<ProbeError> fail_with_errno(ProbeFault fault, const std::string& what);

}  // namespace weir::bench

#endif  // WEIR_BENCH_PROBES_PROBE_ERROR_HPP
