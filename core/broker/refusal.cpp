// SPDX-License-Identifier: Apache-2.0
#include "core/broker/refusal.hpp"

#include <fmt/format.h>

#include "core/base/bytes.hpp"

namespace weir::broker {

using protocol::Refusal;

namespace {

std::string_view name_of(LimitLevel level) {
    return level == LimitLevel::session ? "session" : "user";
}

}  // namespace

Refused heap_is_full(const Obstacle& at, std::string_view what, Bytes asked) {
    const bool of_holder = at.level == LimitLevel::session || at.level == LimitLevel::user;
    if (of_holder)
        return {Refusal::limit_reached,
                fmt::format("this {} holds {} of the {} of heap-like memory that one may, and {} "
                            "needs {}: close what is not needed or raise [{}] heap",
                            name_of(at.level), format_size(at.used), format_size(at.limit), what,
                            format_size(asked), name_of(at.level))};
    return {
        Refusal::heap_full,
        fmt::format("heap-like memory is short: {} of {} are used and {} needs {}; close what is "
                    "not needed or start the broker with a larger --heap",
                    format_size(at.used), format_size(at.limit), what, format_size(asked))};
}

Refused direct_is_full(const LimitedAccount& broker, std::string_view destination, Bytes reserve) {
    return {
        Refusal::direct_full,
        fmt::format("direct memory is full: {} of {} are used or reserved, and {} needs a reserve "
                    "of {}; let consumers read or start the broker with a larger --direct",
                    format_size(broker.below()), format_size(broker.limit()), destination,
                    format_size(reserve))};
}

Refused holder_is_full(LimitLevel level, std::string_view what, std::uint64_t count) {
    return {Refusal::limit_reached,
            fmt::format("this {} has {} {}, and one may not have more: close what is not needed "
                        "or raise [{}] {}",
                        name_of(level), count, what, name_of(level), what)};
}

Refused destination_is_full(std::string_view destination, std::string_view what,
                            std::string_view setting, std::uint64_t count) {
    return {Refusal::limit_reached,
            fmt::format("{} has {} {}, and its policy allows no more: close one or raise its {}",
                        destination, count, what, setting)};
}

Refused table_is_full(std::string_view what, std::uint64_t count) {
    return {
        Refusal::limit_reached,
        fmt::format("all {} {} of this broker are in use; close some or start the broker with a "
                    "larger --heap",
                    count, what)};
}

}  // namespace weir::broker
