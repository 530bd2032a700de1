// SPDX-License-Identifier: Apache-2.0
//
// A whole comparison: rounds until enough of them were calm, then medians.
//
// round.hpp says what a round is and when it is calm. A round that was not is repeated, up to three
// times as many rounds as were wanted and while the time budget lasts; a machine that is never calm
// so gives a report in bounded time, and one that is not trusted. A round that has begun is ended:
// on a busy machine it takes several times its usual three seconds.
#ifndef WEIR_BENCH_HARNESS_RUN_HPP
#define WEIR_BENCH_HARNESS_RUN_HPP

#include <cstdint>
#include <span>
#include <string>

#include "bench/harness/machine.hpp"
#include "bench/harness/report.hpp"
#include "bench/harness/round.hpp"
#include "bench/harness/subject.hpp"
#include "bench/probes/placement.hpp"
#include "core/base/clock.hpp"

namespace weir::bench {

struct RunPlan {
    std::uint64_t message_bytes = 64;
    double rate_per_s = 0;  // 0: no open-loop leg
    int rounds_wanted = 5;  // calm, of one distance
    std::uint64_t subject_leg_ns = 120 * ns_per_ms;
    std::uint64_t budget_ns = 40 * ns_per_s;  // no round begins later than this
    Placement placement;                      // the one that machine and subject use

    // A throughput leg must renew its memory this often, or it would measure a first lap.
    static constexpr std::uint64_t windows_min = 10;
    int rounds_max() const { return 3 * rounds_wanted; }
};

Probed<Report> run_comparison(const RunPlan& plan, Machine& machine, Subject& subject);

// The second half of it: what `rounds` say. Apart, so that tests can make up rounds.
Report summarize(const RunPlan& plan, const Subject& subject, std::span<const Round> rounds);

}  // namespace weir::bench

#endif  // WEIR_BENCH_HARNESS_RUN_HPP
