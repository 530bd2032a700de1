// SPDX-License-Identifier: Apache-2.0
#include "tools/doctor_report.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace weir::tools {
namespace {

using inspect::Resource;
using nlohmann::json;

constexpr Resource each[] = {Resource::direct, Resource::heap, Resource::messages,
                             Resource::cursors};

const char* unit_of(Resource resource) noexcept {
    return resource == Resource::direct || resource == Resource::heap ? " bytes" : "";
}

bool self_drift(const inspect::SelfFacts& self) noexcept {
    return self.direct != 0 || self.heap != 0 || self.messages != 0;
}

bool moves(const DoctorReport& report) noexcept {
    return !report.found.moving.empty() || report.found.tables_moved;
}

std::uint64_t drift_of(const DoctorReport& report) noexcept {
    std::uint64_t sum = 0;
    for (const Resource resource : each) sum += report.found.drift_of(resource);
    return sum;
}

json difference_json(const inspect::Difference& one) {
    return {{"resource", inspect::name_of(one.resource)},
            {"where", one.where},
            {"what", one.what},
            {"books", one.books},
            {"counted", one.counted}};
}

json differences_json(const std::vector<inspect::Difference>& all) {
    json array = json::array();
    for (const inspect::Difference& one : all) array.push_back(difference_json(one));
    return array;
}

std::string line_of(const inspect::Difference& one) {
    return fmt::format("  {}: {}: {}\n", inspect::name_of(one.resource), one.where, one.what);
}

}  // namespace

bool has_drift(const DoctorReport& report) noexcept {
    return !report.found.drift.empty() || self_drift(report.snapshot.self);
}

std::string doctor_json(const DoctorReport& report) {
    json resources = json::array();
    for (const Resource resource : each) {
        const inspect::Totals& totals = report.found.last.of(resource);
        resources.push_back({{"resource", inspect::name_of(resource)},
                             {"books", totals.books},
                             {"counted", totals.counted},
                             {"seen", totals.seen},
                             {"drift", report.found.drift_of(resource)}});
    }
    const inspect::SelfFacts& self = report.snapshot.self;
    const json object{{"broker",
                       {{"name", report.snapshot.broker.name},
                        {"pid", report.snapshot.broker.pid},
                        {"alive", report.broker_lives},
                        {"answers", report.broker_answers}}},
                      {"drift", drift_of(report)},
                      {"moving", moves(report)},
                      {"recounts", report.found.recounts},
                      {"resources", resources},
                      {"differences", differences_json(report.found.drift)},
                      {"movements", differences_json(report.found.moving)},
                      {"not_seen", report.found.last.unseen},
                      {"pages", report.found.last.pages},
                      {"records", report.found.last.records},
                      {"self_count",
                       {{"direct", self.direct},
                        {"heap", self.heap},
                        {"messages", self.messages},
                        {"passes", self.passes},
                        {"drifts", self.drifts},
                        {"resting", self.resting}}}};
    return object.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

std::string doctor_text(const DoctorReport& report) {
    std::string text;
    for (const Resource resource : each) {
        const inspect::Totals& totals = report.found.last.of(resource);
        if (!totals.seen) {
            text += fmt::format("{:<9} not seen\n", inspect::name_of(resource));
            continue;
        }
        text += fmt::format("{:<9} books {}{}, counted {}{}, drift {}\n",
                            inspect::name_of(resource), totals.books, unit_of(resource),
                            totals.counted, unit_of(resource), report.found.drift_of(resource));
    }
    const inspect::SelfFacts& self = report.snapshot.self;
    text += fmt::format("{:<9} {} passes of the broker's own recount, drift {}{}\n", "self",
                        self.passes, self_drift(self) ? 1 : 0, self.resting ? ", at rest" : "");
    for (const std::string& sentence : report.found.last.unseen) text += "  " + sentence + "\n";
    for (const inspect::Difference& one : report.found.drift) text += line_of(one);
    if (self_drift(self))
        text += fmt::format(
            "  self: the broker's books differ from its own recount by {} bytes of direct, {} "
            "bytes of heap, {} messages\n",
            self.direct, self.heap, self.messages);
    if (moves(report)) {
        text += fmt::format("moving, {} numbers kept changing, which is no drift\n",
                            report.found.moving.size());
        if (report.found.tables_moved)
            text += report.broker_lives && report.broker_answers
                        ? "  the broker was busy at each look: look again when it is quieter\n"
                        : "  the broker was stopped, or died, in the middle of a change\n";
        for (const inspect::Difference& one : report.found.moving) text += line_of(one);
    }
    return text + fmt::format("drift {}\n", drift_of(report));
}

}  // namespace weir::tools
