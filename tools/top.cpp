// SPDX-License-Identifier: Apache-2.0
//
// `weir top`: what a broker does, live, from its shared memory alone.
//
// The broker is never asked, so it is looked at without disturbing it, and also while it is stopped
// or after it died. When another broker of the same name comes it is looked at from then on.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>

#include "core/base/clock.hpp"
#include "core/inspect/region.hpp"
#include "core/protocol/names.hpp"
#include "core/protocol/places.hpp"
#include "tools/command.hpp"
#include "tools/end_request.hpp"
#include "tools/top_frame.hpp"
#include "tools/top_screen.hpp"

namespace weir::tools {
namespace {

struct TopPlan {
    std::string broker;
    std::uint64_t interval_ns = ns_per_s;
    bool once = false;
    bool json = false;
};

// A broker by its name: the one that runs, else the last one.
class Watched {
public:
    Watched(std::string name, inspect::Region region)
        : name_(std::move(name)), region_(std::move(region)) {}

    TopFrame look() {
        inspect::BrokerState state = region_.broker_state();
        if (state == inspect::BrokerState::dead) {
            if (auto next = inspect::Region::open(name_)) {
                region_ = std::move(*next);
                state = region_.broker_state();
            }
        }
        return rates_.frame(region_.snapshot(), state, monotonic_ns(), realtime_ns());
    }

private:
    std::string name_;
    inspect::Region region_;
    TopRates rates_;
};

int print_once(Watched& watched, const TopPlan& plan) {
    watched.look();  // rates are between two looks
    end_request::watch();
    end_request::sleep_until(monotonic_ns() + plan.interval_ns);
    const TopFrame frame = watched.look();
    std::string text;
    if (plan.json) {
        text = top_json(frame);
    } else {
        for (const std::string& line : top_text(frame, 0, 0)) text += line + "\n";
    }
    std::fwrite(text.data(), 1, text.size(), stdout);
    return frame.state == inspect::BrokerState::dead ? exit_no_broker : exit_ok;
}

int keep_drawing(Watched& watched, const TopPlan& plan) {
    const Screen screen;
    TopFrame frame = watched.look();
    std::uint64_t due_ns = monotonic_ns() + plan.interval_ns;
    for (;;) {
        const Screen::Size size = Screen::size();
        if (!Screen::draw(top_text(frame, size.lines, size.columns))) return exit_ok;
        const std::uint64_t now_ns = monotonic_ns();
        switch (Screen::wait(due_ns > now_ns ? due_ns - now_ns : 0)) {
            case Screen::Event::quit: return exit_ok;
            case Screen::Event::resized: break;  // the same numbers on another screen
            case Screen::Event::time_passed:
                frame = watched.look();
                due_ns = monotonic_ns() + plan.interval_ns;
                break;
        }
    }
}

int run_top(const TopPlan& plan) {
    const std::string name = broker_name_or_default(plan.broker);
    if (!valid_broker_name(name))
        return give_up("top", exit_usage,
                       fmt::format("\"{}\" is not a broker's name: use [a-z0-9-]{{1,32}}", name));
    auto region = inspect::Region::open(name);
    if (!region) {
        const bool none = region.error().code == inspect::InspectError::no_broker;
        return give_up("top", none ? exit_no_broker : exit_failed, region.error().sentence);
    }
    Watched watched(name, std::move(*region));
    if (plan.once || plan.json || !Screen::possible()) return print_once(watched, plan);
    return keep_drawing(watched, plan);
}

}  // namespace

void add_top(CLI::App& app, int& exit_code) {
    auto plan = std::make_shared<TopPlan>();
    CLI::App& top = *app.add_subcommand(
        "top", "Show live who uses memory, who waits and who is slow; q ends it");
    top.add_option("--name", plan->broker, "The broker's name (else WEIR_NAME, else default)")
        ->type_name("NAME");
    add_duration_option(top, "--interval", plan->interval_ns, "Time between two looks");
    top.add_flag("--once", plan->once, "One frame, as text, also on a terminal");
    top.add_flag("--json", plan->json, "One frame, as JSON");
    top.callback([plan, &exit_code] { exit_code = run_top(*plan); });
}

}  // namespace weir::tools
