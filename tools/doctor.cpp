// SPDX-License-Identifier: Apache-2.0
//
// `weir doctor`: counts anew what a broker holds, and says where its books differ.
//
// It walks pages, records, cursors and notes in the broker's regions itself (core/inspect/recount)
// and asks the broker for one thing only, to bring its books up to date first. A broker that is
// stopped or dead is examined as far as it can be seen, and what could not be seen is said.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>

#include "core/base/clock.hpp"
#include "core/inspect/region.hpp"
#include "core/inspect/settle.hpp"
#include "core/protocol/names.hpp"
#include "core/protocol/places.hpp"
#include "tools/command.hpp"
#include "tools/doctor_report.hpp"

namespace weir::tools {
namespace {

constexpr std::uint64_t answer_ns = ns_per_s;
constexpr std::uint32_t recounts_max = 40;
constexpr auto between_recounts = std::chrono::milliseconds(25);

struct DoctorPlan {
    std::string broker;
    bool json = false;
};

// One that did not answer once is not asked again: each question would cost the whole time.
class Settling {
public:
    explicit Settling(std::string socket) : socket_(std::move(socket)) {}

    bool settle() {
        if (!answers_) return false;
        answers_ = static_cast<bool>(inspect::settle_books(socket_, monotonic_ns() + answer_ns));
        return answers_;
    }

private:
    std::string socket_;
    bool answers_ = true;
};

int run_doctor(const DoctorPlan& plan) {
    const std::string name = broker_name_or_default(plan.broker);
    if (!valid_broker_name(name))
        return give_up("doctor", exit_usage,
                       fmt::format("\"{}\" is not a broker's name: use [a-z0-9-]{{1,32}}", name));
    auto places = places_of(name);
    if (!places) return give_up("doctor", exit_failed, places.error().sentence);
    auto region = inspect::Region::open(name);
    if (!region) {
        const bool none = region.error().code == inspect::InspectError::no_broker;
        return give_up("doctor", none ? exit_no_broker : exit_failed, region.error().sentence);
    }
    DoctorReport report;
    report.broker_lives = region->broker_alive();
    Settling settling(places->socket);
    inspect::BrokerFiles files(region->broker_pid());
    const auto look = [&] {
        inspect::RecountPlan how;
        how.broker_lives = report.broker_lives;
        how.settled = report.broker_lives && settling.settle();
        report.broker_answers = how.settled;
        return inspect::recount(region->view(), region->bytes(), files, how);
    };
    report.found = inspect::examine(
        look, [] { std::this_thread::sleep_for(between_recounts); }, recounts_max);
    report.snapshot = region->snapshot();
    const std::string text = plan.json ? doctor_json(report) : doctor_text(report);
    std::fwrite(text.data(), 1, text.size(), stdout);
    return has_drift(report) ? exit_failed : exit_ok;
}

}  // namespace

void add_doctor(CLI::App& app, int& exit_code) {
    auto plan = std::make_shared<DoctorPlan>();
    CLI::App& doctor =
        *app.add_subcommand("doctor", "Recount a broker's memory and compare it with its books");
    doctor.add_option("--name", plan->broker, "The broker's name (else WEIR_NAME, else default)")
        ->type_name("NAME");
    doctor.add_flag("--json", plan->json, "As JSON");
    doctor.callback([plan, &exit_code] { exit_code = run_doctor(*plan); });
}

}  // namespace weir::tools
