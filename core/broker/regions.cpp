// SPDX-License-Identifier: Apache-2.0
#include "core/broker/regions.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "core/base/bytes.hpp"
#include "core/base/log.hpp"
#include "core/broker/holders.hpp"
#include "core/broker/peer.hpp"
#include "core/broker/stated_sizes.hpp"
#include "core/broker/window.hpp"
#include "core/protocol/channel.hpp"
#include "shm/barrier.hpp"

namespace weir::broker {
namespace {

using protocol::Refusal;

constexpr Bytes direct_min = 256 * 1024;
constexpr std::uint64_t heap_margin_part = 64;  // left for what exists when newcomers are refused
constexpr std::uint64_t newcomers = 16;  // destinations that can still come when direct is full

Refused of_memory(const Error<MemoryError>& error, Refusal short_of) {
    return {error.code == MemoryError::out_of_memory ? short_of : Refusal::system, error.sentence};
}

Result<Limits, Refused> checked_limits(const SegmentOptions& options) {
    const Bytes direct = options.direct_bytes / page_unit * page_unit;
    if (direct < direct_min)
        return fail(
            Refused{Refusal::direct_full,
                    fmt::format("--direct {} is too small: it takes at least {}",
                                format_size(options.direct_bytes), format_size(direct_min))});
    const Bytes largest =
        options.largest_message != 0 ? options.largest_message : std::min(window_max, direct / 4);
    if (page_bytes_for(record_bytes(0, largest)) > direct / 2)
        return fail(
            Refused{Refusal::direct_full,
                    fmt::format("a largest message of {} needs --direct of at least {}",
                                format_size(largest), format_size(2 * largest + page_unit))});
    const Bytes heap = options.heap_bytes != 0 ? options.heap_bytes
                                               : std::max<Bytes>(direct / 16, 16 * 1024 * 1024);
    const Limits limits = limits_for(direct, heap, largest);
    const Bytes fixed = fixed_bytes(limits);
    if (!tables_fit(fixed, limits))
        return fail(Refused{Refusal::heap_full,
                            fmt::format("--heap {} is too small for --direct {}: the tables alone "
                                        "take {}; start with --heap {} or more",
                                        format_size(heap), format_size(direct), format_size(fixed),
                                        format_size(round_up(fixed * 2, 1024 * 1024)))});
    if (const Bytes there = memory_available(); there < direct + fixed)
        return fail(Refused{Refusal::direct_full,
                            fmt::format("{} of memory are available and {} are needed: start with "
                                        "a smaller --direct or free some",
                                        format_size(there), format_size(direct + fixed))});
    return limits;
}

void show_accounts(Tables& tables) {
    Superblock& super = tables.control.superblock();
    tables.direct.root.publish_to(super.direct);
    tables.direct.producers.publish_to(super.direct_parts.producer);
    tables.direct.consumers.publish_to(super.direct_parts.consumer);
    tables.heap.root.publish_to(super.heap);
    tables.heap.producers.publish_to(super.heap_parts.producer);
    tables.heap.consumers.publish_to(super.heap_parts.consumer);
    tables.heap_tables.publish_to(super.heap_tables);
    tables.heap_sessions.publish_to(super.heap_sessions);
}

void fill_superblock(Superblock& super, const SegmentOptions& options) {
    super.epoch = options.epoch;
    super.started_ns = realtime_ns();
    super.broker_pid = static_cast<std::uint32_t>(getpid());
    super.broker_uid = getuid();
    super.broker_start_time = start_time_of(getpid()).value_or(0);
    protocol::copy_text(super.name, options.name);
    std::ifstream boot("/proc/sys/kernel/random/boot_id");
    std::string boot_id;
    boot >> boot_id;
    protocol::copy_text(super.boot_id, boot_id);
}

// For those who recount (shm/census.hpp).
void fill_census(Tables& tables, const Limits& limits) {
    Superblock& super = tables.control.superblock();
    super.heap_sizes = {
        fixed_bytes(limits) - limits.control_bytes - limits.signals_bytes - limits.claims_bytes,
        session_object_bytes,
        destination_object_bytes,
        lane_object_bytes,
        subscription_object_bytes,
        attachment_bytes,
        range_bytes,
        run_charge_bytes};
    super.descriptors = {static_cast<std::uint32_t>(tables.signals_fd.get()),
                         static_cast<std::uint32_t>(tables.direct_read_only.get()),
                         static_cast<std::uint32_t>(tables.claims_fd.get()), 0};
}

Result<void, Refused> make_files(Tables& tables, const Limits& limits) {
    auto signals = make_memory_file("weir-signals", limits.signals_bytes);
    if (!signals) return fail(of_memory(signals.error(), Refusal::heap_full));
    auto signals_mapping = Mapping::map(signals->get(), limits.signals_bytes, Access::read_write);
    if (!signals_mapping) return fail(of_memory(signals_mapping.error(), Refusal::heap_full));
    auto claims = make_memory_file("weir-claims", limits.claims_bytes);
    if (!claims) return fail(of_memory(claims.error(), Refusal::heap_full));
    auto claims_mapping = Mapping::map(claims->get(), limits.claims_bytes, Access::read_write);
    if (!claims_mapping) return fail(of_memory(claims_mapping.error(), Refusal::heap_full));
    auto direct = make_memory_file("weir-direct", limits.direct_bytes, false);
    if (!direct) return fail(of_memory(direct.error(), Refusal::direct_full));
    auto read_only = reopen_read_only(direct->get());
    if (!read_only) return fail(of_memory(read_only.error(), Refusal::direct_full));
    auto direct_mapping = Mapping::map(direct->get(), limits.direct_bytes, Access::read_write);
    if (!direct_mapping) return fail(of_memory(direct_mapping.error(), Refusal::direct_full));
    tables.signals_fd = std::move(*signals);
    tables.signals_mapping = std::move(*signals_mapping);
    tables.signals = {tables.signals_mapping.data()};
    tables.claims_fd = std::move(*claims);
    tables.claims_mapping = std::move(*claims_mapping);
    tables.claims = {tables.claims_mapping.data(), limits.lanes, limits.subscriptions};
    tables.direct_fd = std::move(*direct);
    tables.direct_read_only = std::move(*read_only);
    tables.direct_mapping = std::move(*direct_mapping);
    tables.pages = {tables.direct_mapping.data(), tables.control.view().pages(), limits.pages};
    return {};
}

// Parts grow with what is allocated; at last they are what was asked for.
void set_direct_capacity(Tables& tables, Bytes capacity) {
    const Bytes whole = tables.control.view().limits.direct_bytes;
    const Bytes producers =
        std::min(whole, producer_part(tables.limits.producer_part_bytes, whole));
    const Bytes share = scaled_part(producers, whole, capacity);
    tables.direct.root.set_limit(capacity);
    tables.direct.root.set_margin(
        std::min(newcomers * reserve_default, capacity / 64 / page_unit * page_unit));
    tables.direct.producers.set_share(share);
    tables.direct.consumers.set_share(capacity - share);
}

Result<void, Error<MemoryError>> allocate_slice(Tables& tables, Bytes bytes) {
    const Bytes from = tables.units.capacity() * page_unit;
    const Bytes count = std::min(bytes, tables.control.view().limits.direct_bytes - from);
    auto huge = allocate_memory(tables.direct_fd.get(), tables.direct_mapping, from, count);
    if (!huge) return fail(huge.error());
    tables.direct_huge += *huge;
    tables.units.add_units(from / page_unit, count / page_unit);
    set_direct_capacity(tables, from + count);
    return {};
}

}  // namespace

Bytes fixed_bytes(const Limits& limits) noexcept {
    return process_bytes + limits.control_bytes + limits.signals_bytes + limits.claims_bytes +
           limits.pages * page_table_bytes + limits.users * sizeof(User) +
           Slots<User>::bytes_for(limits.users) + limits.lanes * sizeof(LaneHistory) +
           Slots<Lane>::bytes_for(limits.lanes) +
           Slots<Destination>::bytes_for(limits.destinations) +
           Slots<Subscription>::bytes_for(limits.subscriptions) +
           Slots<Session>::bytes_for(limits.sessions) +
           limits.destinations * sizeof(std::uint32_t);  // in order of their names
}

Result<void, Refused> make_regions(Tables& tables, const SegmentOptions& options) {
    if (!register_barrier())
        return fail(Refused{Refusal::system,
                            "the kernel refuses membarrier: allow it in the seccomp profile"});
    const auto limits = checked_limits(options);
    if (!limits) return fail(limits.error());
    auto control = ControlRegion::create(options.name, *limits);
    if (!control) return fail(of_memory(control.error(), Refusal::heap_full));
    tables.control = std::move(*control);
    fill_superblock(tables.control.superblock(), options);
    if (auto done = make_files(tables, *limits); !done) return done;
    fill_census(tables, *limits);

    tables.limits = options.limits;
    tables.heap.root.set_limit(limits->heap_bytes);
    tables.heap.root.set_margin(limits->heap_bytes / heap_margin_part);
    show_accounts(tables);
    auto charge = tables.heap_tables.charge(fixed_bytes(*limits));
    if (!charge) return fail(heap_is_full(charge.error(), "the broker", fixed_bytes(*limits)));
    tables.fixed_charge = std::move(*charge);
    tables.users = Slots<User>(limits->users);
    show_holder_counts(tables);
    tables.histories.resize(limits->lanes);
    tables.lanes = Slots<Lane>(limits->lanes);
    tables.destinations = Slots<Destination>(limits->destinations);
    tables.by_name.reserve(limits->destinations);
    tables.subscriptions = Slots<Subscription>(limits->subscriptions);
    tables.sessions = Slots<Session>(limits->sessions);
    if (auto done = allocate_slice(tables, first_slice_bytes); !done)
        return fail(of_memory(done.error(), Refusal::direct_full));
    return {};
}

bool direct_is_whole(const Tables& tables) noexcept {
    const Bytes whole = tables.control.view().limits.direct_bytes;
    return tables.direct_failed || tables.units.capacity() * page_unit >= whole;
}

bool extend_direct(Tables& tables) {
    if (direct_is_whole(tables)) return false;
    const Bytes whole = tables.control.view().limits.direct_bytes;
    if (auto done = allocate_slice(tables, slice_bytes); !done) {
        tables.direct_failed = true;
        log::warning("the direct region stays at {} of {}: {}",
                     format_size(tables.units.capacity() * page_unit), format_size(whole),
                     done.error().sentence);
        return false;
    }
    if (direct_is_whole(tables))
        log::info("direct memory is reserved: {}, of which {} in huge pages", format_size(whole),
                  format_size(tables.direct_huge));
    return true;
}

}  // namespace weir::broker
