// SPDX-License-Identifier: Apache-2.0
//
// Finding a broker's `control` region by the broker's name, and saying whether that broker still
// lives.
//
// The region outlives its broker: a tool can read the books of one that was killed, until the next
// broker of that name removes them. So "found" and "alive" are two answers. A pid alone proves
// nothing, it may have been given to another process; with the start time the kernel noted for it,
// it does.
#ifndef WEIR_CORE_INSPECT_REGION_HPP
#define WEIR_CORE_INSPECT_REGION_HPP

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/result.hpp"
#include "core/inspect/snapshot.hpp"
#include "shm/control_region.hpp"

namespace weir::inspect {

enum class InspectError {
    no_broker,   // no region of that name
    unreadable,  // there is one, but it is of another build, unfinished, or not ours to read
};

enum class BrokerState { running, stopped, dead };  // stopped: SIGSTOP, a debugger

class Region {
public:
    // `broker` is a valid broker name.
    static Result<Region, Error<InspectError>> open(const std::string& broker);

    Snapshot snapshot() const { return take_snapshot(control_.view()); }
    const ControlView& view() const noexcept { return control_.view(); }
    std::uint64_t bytes() const noexcept { return control_.bytes(); }
    std::uint32_t broker_pid() const noexcept { return control_.view().superblock().broker_pid; }
    bool broker_alive() const { return broker_state() != BrokerState::dead; }
    BrokerState broker_state() const;

private:
    explicit Region(ControlRegion control) : control_(std::move(control)) {}

    ControlRegion control_;
};

// Field 22 of a /proc/PID/stat line: when the process started, in clock ticks since boot. Nothing
// if the line is not of that form, or its process has ended and is only not yet reaped.
std::optional<std::uint64_t> start_time_of(std::string_view stat_line);

}  // namespace weir::inspect

#endif  // WEIR_CORE_INSPECT_REGION_HPP
