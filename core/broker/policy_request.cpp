// SPDX-License-Identifier: Apache-2.0
#include "core/broker/policy_request.hpp"

#include <algorithm>

namespace weir::broker {
namespace {

using Failed = Error<RequestFailure>;

constexpr std::string_view who = "weir policy";

// A report is asked for key by key; while somebody changes policies all the time there is none.
constexpr int looks_max = 100;

PolicyLine line_of(const protocol::PolicyShown& shown) {
    const auto text = [](std::span<const char> field) {
        return std::string(protocol::read_text(field));
    };
    PolicyLine line;
    line.key = text(shown.name);
    line.value = text(shown.value);
    line.numbers = {.number = shown.number, .messages = shown.messages};
    line.source.origin = static_cast<PolicyOrigin>(std::min(shown.origin, 2u));
    line.source.pattern = text(shown.pattern);
    line.source.place = text(shown.place);
    line.source.written = text(shown.written);
    return line;
}

// Nothing: the policy was changed between two keys.
Result<std::optional<PolicyReport>, Failed> look(RequestSession& session,
                                                 const std::string& destination) {
    PolicyReport report;
    report.destination = destination;
    for (std::uint32_t key = 0; key < policy_keys; ++key) {
        protocol::ShowPolicy request{};
        request.key = key;
        protocol::copy_text(request.destination, destination);
        auto shown = session.ask<protocol::PolicyShown>(request);
        if (!shown) return fail(shown.error());
        if (key == 0) report.generation = shown->generation;
        if (shown->generation != report.generation) return std::optional<PolicyReport>();
        report.lines.push_back(line_of(*shown));
    }
    return std::optional(std::move(report));
}

PolicyChange change_of(const protocol::PolicyChanged& changed) {
    return {changed.generation, changed.destinations, changed.over_limit,
            std::string(protocol::read_text(changed.note))};
}

Failure<Failed> too_long() {
    return fail(RequestFailure::usage,
                "that is longer than a request may be: set fewer keys at once");
}

}  // namespace

Result<PolicyReport, Failed> show_policy(const std::string& name, const Places& places,
                                         const std::string& destination) {
    if (destination.size() >= name_bytes) return too_long();
    auto session = RequestSession::open(name, places, who);
    if (!session) return fail(session.error());
    for (int looks = 0; looks < looks_max; ++looks) {
        auto report = look(*session, destination);
        if (!report) return fail(report.error());
        if (*report) return std::move(**report);
    }
    return fail(RequestFailure::refused, "the policies change all the time: try again");
}

Result<PolicyChange, Failed> set_policy(const std::string& name, const Places& places,
                                        const std::string& pattern,
                                        const std::vector<std::string>& settings) {
    protocol::SetPolicy request{};
    std::string lines;
    for (const std::string& setting : settings) lines += (lines.empty() ? "" : "\n") + setting;
    // The last byte of a field is its end.
    if (lines.size() >= sizeof(request.settings) || pattern.size() >= name_bytes) return too_long();
    protocol::copy_text(request.pattern, pattern);
    protocol::copy_text(request.settings, lines);
    auto session = RequestSession::open(name, places, who);
    if (!session) return fail(session.error());
    auto changed = session->ask<protocol::PolicyChanged>(request);
    if (!changed) return fail(changed.error());
    return change_of(*changed);
}

Result<PolicyChange, Failed> read_policies(const std::string& name, const Places& places) {
    auto session = RequestSession::open(name, places, who);
    if (!session) return fail(session.error());
    auto changed = session->ask<protocol::PolicyChanged>(protocol::ReadPolicies{});
    if (!changed) return fail(changed.error());
    return change_of(*changed);
}

}  // namespace weir::broker
