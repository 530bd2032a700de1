// SPDX-License-Identifier: Apache-2.0
#include "core/inspect/region.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <charconv>

#include "core/base/fd.hpp"

namespace weir::inspect {

Result<Region, Error<InspectError>> Region::open(const std::string& broker) {
    auto control = ControlRegion::open(broker);
    if (control) return Region(std::move(*control));
    if (control.error().code == MemoryError::not_found) {
        return fail(InspectError::no_broker,
                    fmt::format("no broker runs under the name \"{0}\": start one with "
                                "`weir broker --name {0}`",
                                broker));
    }
    return fail(InspectError::unreadable, std::move(control.error().sentence));
}

BrokerState Region::broker_state() const {
    const Superblock& super = control_.view().superblock();
    const std::string path = fmt::format("/proc/{}/stat", super.broker_pid);
    const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file) return BrokerState::dead;
    std::array<char, 1024> line{};
    const ssize_t got = ::read(file.get(), line.data(), line.size());
    if (got <= 0) return BrokerState::dead;
    const std::string_view text(line.data(), static_cast<std::size_t>(got));
    if (start_time_of(text) != super.broker_start_time) return BrokerState::dead;
    const char state = text[text.rfind(')') + 2];  // there is one: it has a start time
    return state == 'T' || state == 't' ? BrokerState::stopped : BrokerState::running;
}

// The second field is the program's name in parentheses and may hold blanks and parentheses itself,
// so fields are counted from the last `)`: behind it stand the state, which is field 3, and the
// others.
std::optional<std::uint64_t> start_time_of(std::string_view stat_line) {
    const std::size_t name_end = stat_line.rfind(')');
    if (name_end == std::string_view::npos || name_end + 2 >= stat_line.size()) return std::nullopt;
    std::string_view rest = stat_line.substr(name_end + 2);
    if (rest.front() == 'Z' || rest.front() == 'X') return std::nullopt;
    for (int field = 3; field < 22; ++field) {
        const std::size_t blank = rest.find(' ');
        if (blank == std::string_view::npos) return std::nullopt;
        rest.remove_prefix(blank + 1);
    }
    std::uint64_t ticks = 0;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), ticks);
    if (error != std::errc() || end == rest.data()) return std::nullopt;
    return ticks;
}

}  // namespace weir::inspect
