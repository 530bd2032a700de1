// SPDX-License-Identifier: Apache-2.0
//
// The sections flow-to-disk, session and user, and the producer part; see config.hpp.
//
// Two settings that cannot stand beside each other are refused with the places of both: whoever
// wrote one of them may not know where the other comes from.
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <system_error>

#include "core/base/bytes.hpp"
#include "core/base/errno.hpp"
#include "core/broker/config.hpp"

namespace weir::broker {
namespace {

using StartFailed = Failure<Error<StartFailure>>;
using Number = Result<std::uint64_t, Error<StartFailure>>;
using MaybeSetting = std::optional<Setting>;

constexpr std::string_view no_limit = "none";

StartFailed usage(const std::string& origin, const std::string& why) {
    return fail(StartFailure::usage, origin + ": " + why);
}

// A size or a share of `whole`, from `least` to `whole`.
Number share_in(const Setting& setting, std::uint64_t whole, std::uint64_t least,
                const std::string& of_what) {
    const auto bytes = parse_share(setting.value, whole);
    if (!bytes) return usage(setting.origin, bytes.error().sentence);
    if (*bytes > whole)
        return usage(setting.origin, "more than " + of_what + ", " + format_size(whole) +
                                         ": name less or raise that");
    if (*bytes < least)
        return usage(setting.origin, "at least " + format_size(least) + " is needed");
    return *bytes;
}

// The same for a limit that nobody need set; 0: none.
Number limit_in(const MaybeSetting& setting, std::uint64_t whole, std::uint64_t least,
                const std::string& of_what) {
    if (!setting || setting->value == no_limit) return std::uint64_t{0};
    return share_in(*setting, whole, least, of_what);
}

Result<std::uint32_t, Error<StartFailure>> count_in(const MaybeSetting& setting) {
    if (!setting || setting->value == no_limit) return std::uint32_t{0};
    const auto number = parse_count(setting->value);
    if (!number) return usage(setting->origin, number.error().sentence);
    if (*number == 0)
        return usage(setting->origin, "at least 1 is needed; \"none\" is for no limit");
    return static_cast<std::uint32_t>(
        std::min<std::uint64_t>(*number, std::numeric_limits<std::uint32_t>::max()));
}

// Private to the user: its owner is looked at before anything is written there (daemon.cpp).
std::string default_spill_dir() {
    const char* const state = std::getenv("XDG_STATE_HOME");
    if (state != nullptr && *state == '/') return std::string(state) + "/weir/spill";
    if (::getuid() == 0) return "/var/lib/weir/spill";
    return "/var/tmp/weir-" + std::to_string(::getuid());
}

// Judged only, not made: nothing is written there yet, and a check must leave no trace.
Result<std::string, Error<StartFailure>> judge_spill_dir(const Setting& setting) {
    namespace fs = std::filesystem;
    std::error_code error;
    if (setting.value.empty()) return usage(setting.origin, "name a directory");
    const fs::path path = fs::absolute(setting.value, error).lexically_normal();
    if (error) return usage(setting.origin, "no such path (" + error.message() + ")");
    fs::path existing = path;
    while (!fs::exists(existing, error) && existing.has_relative_path())
        existing = existing.parent_path();
    if (!fs::is_directory(existing, error))
        return usage(setting.origin, existing.string() + " is not a directory: name one");
    if (::access(existing.c_str(), W_OK | X_OK) != 0)
        return usage(setting.origin, existing.string() + " cannot be written (" +
                                         errno_text(errno) + "): name a directory of yours");
    return path.string();
}

Result<void, Error<StartFailure>> judge_spill_limit(const Setting& setting, FlowOptions& flow) {
    if (setting.value.ends_with('%')) {
        const auto share = parse_percent(setting.value);
        if (!share) return usage(setting.origin, share.error().sentence);
        flow.limit_share = *share;
    } else {
        const auto bytes = parse_size(setting.value);
        if (!bytes) return usage(setting.origin, bytes.error().sentence);
        flow.limit_bytes = *bytes;
        flow.limit_share = 0;
    }
    if (flow.limit_bytes == 0 && flow.limit_share == 0)
        return usage(setting.origin, "nothing could flow there: name more, or no directory");
    return {};
}

Result<FlowOptions, Error<StartFailure>> judge_flow(const Settings& settings,
                                                    std::uint64_t direct_bytes) {
    FlowOptions flow;
    if (settings.flow_threshold) {
        auto bytes =
            share_in(*settings.flow_threshold, direct_bytes, page_unit, "the direct memory");
        if (!bytes) return fail(bytes.error());
        flow.threshold_bytes = *bytes;
    }
    if (settings.flow_resume) {
        auto bytes = share_in(*settings.flow_resume, direct_bytes, page_unit, "the direct memory");
        if (!bytes) return fail(bytes.error());
        flow.resume_bytes = *bytes;
        const std::uint64_t threshold = flow_threshold(flow, direct_bytes);
        if (*bytes > threshold)
            return usage(settings.flow_resume->origin,
                         "it is above the threshold, " + format_size(threshold) + " (" +
                             (settings.flow_threshold ? settings.flow_threshold->origin
                                                      : std::string("by default")) +
                             "): flow to disk would end before it began");
    }
    if (settings.flow_dwell) {
        const auto span_ns = parse_duration_ns(settings.flow_dwell->value);
        if (!span_ns) return usage(settings.flow_dwell->origin, span_ns.error().sentence);
        flow.dwell_ns = *span_ns;
    }
    flow.by_default = !settings.spill_dir;
    if (flow.by_default) {
        flow.directory = default_spill_dir();
    } else if (settings.spill_dir->value != "none") {
        auto directory = judge_spill_dir(*settings.spill_dir);
        if (!directory) return fail(directory.error());
        flow.directory = std::move(*directory);
    }
    if (settings.spill_limit)
        if (auto done = judge_spill_limit(*settings.spill_limit, flow); !done)
            return fail(done.error());
    return flow;
}

// A limit of a session that is over the one of its user could never be reached.
Result<void, Error<StartFailure>> judge_parent(const MaybeSetting& of_session,
                                               std::uint64_t session, const MaybeSetting& of_user,
                                               std::uint64_t user) {
    if (session == 0 || user == 0 || session <= user) return {};
    return usage(of_session->origin, "a session's limit is over that of its user (" +
                                         of_user->origin + "): lower it or raise the other");
}

Result<void, Error<StartFailure>> judge_holders(const Settings& settings, std::uint64_t direct,
                                                std::uint64_t heap, LimitOptions& limits) {
    SessionLimits& session = limits.session;
    UserLimits& user = limits.user;
    for (const auto& [setting, target] : {std::pair(&settings.session_lanes, &session.lanes),
                                          {&settings.session_subscriptions, &session.subscriptions},
                                          {&settings.user_sessions, &user.sessions},
                                          {&settings.user_lanes, &user.lanes},
                                          {&settings.user_subscriptions, &user.subscriptions}}) {
        auto number = count_in(*setting);
        if (!number) return fail(number.error());
        *target = *number;
    }
    constexpr std::uint64_t heap_least = 64 * 1024;  // a session and an exchange block
    for (const auto& [setting, target, of_heap] :
         {std::tuple(&settings.session_heap, &session.heap_bytes, true),
          {&settings.user_heap, &user.heap_bytes, true},
          {&settings.session_direct, &session.direct_bytes, false},
          {&settings.user_direct, &user.direct_bytes, false}}) {
        auto bytes = of_heap ? limit_in(*setting, heap, heap_least, "the heap-like memory")
                             : limit_in(*setting, direct, reserve_default, "the direct memory");
        if (!bytes) return fail(bytes.error());
        *target = *bytes;
    }
    if (settings.session_uncommitted) {
        auto bytes = share_in(*settings.session_uncommitted, direct, 1, "the direct memory");
        if (!bytes) return fail(bytes.error());
        session.max_uncommitted = *bytes;
    }
    session.max_uncommitted = std::min(session.max_uncommitted, direct);
    for (const auto& [of_session, mine, of_user, theirs] :
         {std::tuple(&settings.session_lanes, std::uint64_t{session.lanes}, &settings.user_lanes,
                     std::uint64_t{user.lanes}),
          {&settings.session_subscriptions, session.subscriptions, &settings.user_subscriptions,
           user.subscriptions},
          {&settings.session_heap, session.heap_bytes, &settings.user_heap, user.heap_bytes},
          {&settings.session_direct, session.direct_bytes, &settings.user_direct,
           user.direct_bytes}})
        if (auto fits = judge_parent(*of_session, mine, *of_user, theirs); !fits) return fits;
    return {};
}

}  // namespace

Result<LimitOptions, Error<StartFailure>> judge_limits(const Settings& settings,
                                                       std::uint64_t direct_bytes,
                                                       std::uint64_t heap_bytes) {
    LimitOptions limits;
    if (settings.producer_part) {
        // Some of it has to be left for consumers, or nothing could be read back.
        auto bytes =
            share_in(*settings.producer_part, direct_bytes, reserve_default, "the direct memory");
        if (!bytes) return fail(bytes.error());
        if (*bytes > direct_bytes - reserve_default)
            return usage(settings.producer_part->origin,
                         "nothing is left for the consumer part: name less, as in 60%");
        limits.producer_part_bytes = *bytes;
    }
    auto flow = judge_flow(settings, direct_bytes);
    if (!flow) return fail(flow.error());
    limits.flow = std::move(*flow);
    if (auto fits = judge_holders(settings, direct_bytes, heap_bytes, limits); !fits)
        return fail(fits.error());
    return limits;
}

}  // namespace weir::broker
