// SPDX-License-Identifier: Apache-2.0
#include "core/broker/refusal.hpp"

#include <fmt/format.h>

#include "core/base/bytes.hpp"

namespace weir::broker {

using protocol::Refusal;

Refused heap_is_full(const Ledger& heap, std::string_view what, Bytes asked) {
    return {
        Refusal::heap_full,
        fmt::format("heap-like memory is short: {} of {} are used and {} needs {}; close what is "
                    "not needed or start the broker with a larger --heap",
                    format_size(heap.used), format_size(heap.capacity), what, format_size(asked))};
}

Refused direct_is_full(const Ledger& direct, std::string_view destination) {
    return {
        Refusal::direct_full,
        fmt::format("direct memory is full: {} of {} are used or reserved, and {} needs at least "
                    "{}; let consumers read or start the broker with a larger --direct",
                    format_size(direct.used + direct.reserves), format_size(direct.capacity),
                    destination, format_size(2 * page_unit))};
}

Refused table_is_full(std::string_view what, std::uint64_t count) {
    return {
        Refusal::limit_reached,
        fmt::format("all {} {} of this broker are in use; close some or start the broker with a "
                    "larger --heap",
                    count, what)};
}

}  // namespace weir::broker
