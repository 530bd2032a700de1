// SPDX-License-Identifier: Apache-2.0
//
// See runner.hpp.
#include "bench/suite/runner.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "bench/probes/ping_pong.hpp"
#include "core/base/bytes.hpp"

namespace weir::bench {
namespace {

constexpr int failures_max = 2;

// The raw ping-pong, kept between cells (N1).
class Witness {
public:
    Witness(const Stage& stage, bool shortly) : stage_(stage) {
        stage_.leg_ns = (shortly ? 2 : 16) * ns_per_ms;
    }
    PingPongFigures look() {
        auto figures = ping_pong(stage_, scale_);
        return figures ? *figures : PingPongFigures{};  // 0 ns: not calm
    }

private:
    Stage stage_;
    LegScale scale_{4000};
};

struct Block {
    System* system;
    std::vector<CellOutcome*> cells;
};

void note_failure(CellOutcome& outcome, const RunnerPlan& plan, const std::string& why) {
    outcome.failure = why;
    ++outcome.failures;
    const Cell& cell = outcome.planned.cell;
    plan.say(fmt::format("  {} {} {} {}: {}", cell.system, cell.scenario, format_size(cell.size),
                         mode_name(cell.mode), why));
}

Probed<Measured> measure(System& system, const Scene& scene, CellOutcome& outcome) {
    const PlannedCell& planned = outcome.planned;
    if (planned.leg_ns == 0) return system.run(scene, planned.cell, planned.count);
    return run_scaled(outcome.scale, planned.leg_ns,
                      [&](std::uint64_t count) { return system.run(scene, planned.cell, count); });
}

void run_block(const RunnerPlan& plan, const Block& block, int round, Witness& witness) {
    const auto due = [&](const CellOutcome* outcome) {
        return outcome->failures < failures_max && round < outcome->planned.rounds_max;
    };
    if (std::none_of(block.cells.begin(), block.cells.end(), due)) return;
    if (auto ready = block.system->begin(plan.scene); !ready) {
        for (CellOutcome* outcome : block.cells)
            if (due(outcome)) note_failure(*outcome, plan, ready.error().sentence);
        return;
    }
    PingPongFigures before = witness.look();
    for (CellOutcome* outcome : block.cells) {
        if (!due(outcome)) continue;
        auto measured = measure(*block.system, plan.scene, *outcome);
        const PingPongFigures after = witness.look();
        if (measured) {
            outcome->runs.push_back(
                {round, *measured, before.rtt.ns_p50, after.rtt.ns_p50,
                 std::max(before.rtt.interrupted_share, after.rtt.interrupted_share)});
        } else {
            note_failure(*outcome, plan, measured.error().sentence);
        }
        before = after;
    }
    block.system->end();
}

}  // namespace

const CellOutcome* Outcomes::find(const Cell& cell) const {
    for (const CellOutcome& outcome : cells)
        if (outcome.planned.cell == cell) return &outcome;
    return nullptr;
}

Outcomes run_rounds(const RunnerPlan& plan, std::vector<std::unique_ptr<System>>& systems) {
    Outcomes outcomes;
    std::vector<std::size_t> first_of;
    for (const auto& system : systems) {
        first_of.push_back(outcomes.cells.size());
        for (const PlannedCell& planned : cells_of(*system, plan.extent)) {
            if (!plan.scenarios.empty() && !plan.scenarios.contains(planned.cell.scenario))
                continue;
            if (!plan.sizes.empty() && !plan.sizes.contains(planned.cell.size)) continue;
            CellOutcome outcome;
            outcome.planned = planned;
            outcome.kind = system->kind();
            outcome.scale = LegScale(planned.count);
            outcomes.cells.push_back(std::move(outcome));
        }
    }
    first_of.push_back(outcomes.cells.size());
    std::vector<Block> blocks;
    for (std::size_t index = 0; index < systems.size(); ++index) {
        Block block{systems[index].get(), {}};
        for (std::size_t cell = first_of[index]; cell < first_of[index + 1]; ++cell)
            block.cells.push_back(&outcomes.cells[cell]);
        blocks.push_back(std::move(block));
    }
    Witness witness(plan.scene.stage, plan.extent == Extent::smoke);
    const std::uint64_t began_ns = monotonic_ns();
    std::uint64_t longest_ns = 0;
    while (outcomes.rounds < plan.rounds) {
        const std::uint64_t spent_ns = monotonic_ns() - began_ns;
        // N2: a round that would end behind the budget is not begun.
        if (outcomes.rounds > 0 && spent_ns + longest_ns > plan.budget_ns) break;
        plan.say(fmt::format("round {} of {}", outcomes.rounds + 1, plan.rounds));
        for (const Block& block : blocks) run_block(plan, block, outcomes.rounds, witness);
        std::reverse(blocks.begin(), blocks.end());
        longest_ns = std::max(longest_ns, monotonic_ns() - began_ns - spent_ns);
        ++outcomes.rounds;
    }
    return outcomes;
}

}  // namespace weir::bench
