// SPDX-License-Identifier: Apache-2.0
//
// Defaults and bounds; see config.hpp.
#include "core/broker/config.hpp"

#include <unistd.h>

#include <algorithm>

#include "core/base/bytes.hpp"
#include "core/protocol/names.hpp"
#include "shm/control_region.hpp"
#include "shm/exchange.hpp"

namespace weir::broker {
namespace {

constexpr std::uint64_t KiB = 1024;
constexpr std::uint64_t MiB = 1024 * KiB;

constexpr std::uint64_t direct_bytes_min = MiB;
constexpr std::uint64_t direct_default_max = 1536 * MiB;
constexpr std::uint64_t heap_default_min = 16 * MiB;
constexpr std::uint64_t largest_message_default_max = 64 * MiB;
// Beside its tables a broker needs room for a few sessions, or it could not be used at all.
constexpr std::uint64_t exchange_blocks_min = 4;

using StartFailed = Failure<Error<StartFailure>>;

StartFailed usage(const std::string& origin, const std::string& why) {
    return fail(StartFailure::usage, origin + ": " + why);
}

// The size that a setting names, or the default.
Result<std::uint64_t, Error<StartFailure>> size_of(const std::optional<Setting>& setting,
                                                   std::uint64_t otherwise) {
    if (!setting) return otherwise;
    auto size = parse_size(setting->value);
    if (!size) return usage(setting->origin, size.error().sentence);
    return *size;
}

std::string origin_of(const std::optional<Setting>& setting, const char* option,
                      std::uint64_t value) {
    return setting ? setting->origin
                   : std::string(option) + " (by default " + format_size(value) + ")";
}

// The message, its header, commit words and envelope must fit one run of pages, and while it is
// read the next one of its size should not have to wait for it: hence half, and the default is a
// quarter.
Result<void, Error<StartFailure>> judge_largest(const Settings& settings,
                                                const BrokerConfig& config) {
    const std::string origin =
        origin_of(settings.largest_message, "--largest-message", config.largest_message);
    if (config.largest_message == 0)
        return usage(origin, "a message has at least one byte: name a size, as in 1M");
    if (config.largest_message > config.direct_bytes / 2)
        return usage(origin, "at most half of the direct memory, " +
                                 format_size(config.direct_bytes / 2) +
                                 ": name a smaller size or raise --direct");
    return {};
}

Result<void, Error<StartFailure>> judge_memory(const Settings& settings, const BrokerConfig& config,
                                               const Machine& machine) {
    const std::string direct = origin_of(settings.direct, "--direct", config.direct_bytes);
    if (config.direct_bytes < direct_bytes_min)
        return usage(direct, "at least " + format_size(direct_bytes_min) + " is needed");
    // Two comparisons without a sum, so that no size, however large, can wrap.
    if (config.direct_bytes > machine.available_bytes ||
        config.heap_bytes > machine.available_bytes - config.direct_bytes)
        return fail(StartFailure::no_memory,
                    direct + ": the machine has " + format_size(machine.available_bytes) +
                        " available, and " + format_size(config.heap_bytes) +
                        " of heap-like memory is needed beside it: ask for less (--direct, "
                        "--heap) or free some");
    const Limits limits =
        limits_for(config.direct_bytes, config.heap_bytes, config.largest_message);
    const std::uint64_t needed =
        limits.control_bytes + limits.signals_bytes + exchange_blocks_min * exchange_block_bytes;
    if (config.heap_bytes < needed)
        return usage(origin_of(settings.heap, "--heap", config.heap_bytes),
                     "for " + format_size(config.direct_bytes) + " of direct memory at least " +
                         format_size(round_up(needed, 64 * KiB)) + " is needed");
    return {};
}

}  // namespace

void Settings::fill_from(const Settings& other) {
    const auto fill = [](std::optional<Setting>& mine, const std::optional<Setting>& theirs) {
        if (!mine) mine = theirs;
    };
    for (const auto member :
         {&Settings::name,          &Settings::largest_message, &Settings::direct,
          &Settings::heap,          &Settings::producer_part,   &Settings::flow_threshold,
          &Settings::flow_resume,   &Settings::flow_dwell,      &Settings::spill_dir,
          &Settings::spill_limit,   &Settings::session_lanes,   &Settings::session_subscriptions,
          &Settings::session_heap,  &Settings::session_direct,  &Settings::session_uncommitted,
          &Settings::user_sessions, &Settings::user_lanes,      &Settings::user_subscriptions,
          &Settings::user_heap,     &Settings::user_direct})
        fill(this->*member, other.*member);
    if (policies.empty()) policies = other.policies;
}

Machine Machine::here() {
    const long pages = ::sysconf(_SC_PHYS_PAGES);
    const long page_bytes = ::sysconf(_SC_PAGESIZE);
    Machine machine{};
    if (pages > 0 && page_bytes > 0)
        machine.memory_bytes =
            static_cast<std::uint64_t>(pages) * static_cast<std::uint64_t>(page_bytes);
    machine.available_bytes = memory_available();
    return machine;
}

// Half of what is available now bounds the default only: in a container the machine's memory says
// little, and a broker that nobody gave a size should start.
std::uint64_t default_direct_bytes(const Machine& machine) noexcept {
    const std::uint64_t wanted =
        std::min({machine.memory_bytes / 4, direct_default_max, machine.available_bytes / 2});
    return std::max(wanted / page_unit * page_unit, direct_bytes_min);
}

std::uint64_t default_heap_bytes(std::uint64_t direct_bytes) noexcept {
    return std::max(direct_bytes / 16 / page_unit * page_unit, heap_default_min);
}

std::uint64_t default_largest_message(std::uint64_t direct_bytes) noexcept {
    return std::min(direct_bytes / 4, largest_message_default_max);
}

Result<BrokerConfig, Error<StartFailure>> configure(const Settings& settings,
                                                    const Machine& machine) {
    BrokerConfig config;
    config.name = broker_name_or_default(settings.name ? settings.name->value : "");
    auto places = places_of(config.name);
    if (!places) {
        const bool bad_name = places.error().code == PlaceError::bad_broker_name;
        const std::string origin = settings.name ? settings.name->origin + ": " : "";
        return fail(bad_name ? StartFailure::usage : StartFailure::refused,
                    (bad_name ? origin : "") + places.error().sentence);
    }
    config.places = std::move(*places);

    auto direct = size_of(settings.direct, default_direct_bytes(machine));
    if (!direct) return fail(direct.error());
    config.direct_bytes = *direct / page_unit * page_unit;
    auto heap = size_of(settings.heap, default_heap_bytes(config.direct_bytes));
    if (!heap) return fail(heap.error());
    config.heap_bytes = *heap;
    auto largest = size_of(settings.largest_message, default_largest_message(config.direct_bytes));
    if (!largest) return fail(largest.error());
    config.largest_message = *largest;

    if (auto fits = judge_memory(settings, config, machine); !fits) return fail(fits.error());
    if (auto fits = judge_largest(settings, config); !fits) return fail(fits.error());
    auto limits = judge_limits(settings, config.direct_bytes, config.heap_bytes);
    if (!limits) return fail(limits.error());
    config.limits = std::move(*limits);
    auto policies =
        PolicySet({config.direct_bytes, config.largest_message}).with_file(settings.policies);
    if (!policies) return fail(StartFailure::usage, policies.error().sentence);
    config.policies = std::move(*policies);
    return config;
}

}  // namespace weir::broker
