// SPDX-License-Identifier: Apache-2.0
//
// The arithmetic of accounts: what may be charged, as pure functions.
//
// An account has a limit, and perhaps a reserve: bytes that are always there for it. What lies
// below an account is the sum of its own charges and of what the accounts under it are committed
// to; what it is committed to is what lies below it, and at least its reserve. So a reserve that
// nobody uses counts above like use, and whoever fits has left all reserves alone.
//
//      broker        |<------------- below ------------->|               limit
//                    | A: 30 used     | B: reserve 20    | free    | margin |
//      destinations  | 12 | 18        | 5 | 15 unused    |
//      lanes           a1   a2          b1
//
//   Q1  below(n) = own charges(n) + sum of committed(children of n)
//   Q2  committed(n) = max(below(n), reserve(n))
//   Q3  nothing is charged that would bring below(n) over limit(n), for any n on the way up, and no
//       reserve is set that would. So below <= limit always, unless a limit was lowered below its
//       use: then nothing more is charged until it is below again
#ifndef WEIR_CORE_BROKER_QUOTA_HPP
#define WEIR_CORE_BROKER_QUOTA_HPP

#include <algorithm>
#include <cstdint>

#include "shm/units.hpp"

namespace weir::broker {

using Bytes = std::uint64_t;

inline constexpr Bytes no_limit = ~Bytes{0};

constexpr Bytes committed(Bytes below, Bytes reserve) noexcept { return std::max(below, reserve); }

// By how much an account's commitment grows when `asked` comes in below it:
//   max(below + asked, reserve) - max(below, reserve)
// Rearranged without a sum that can overflow: `asked`, less what the reserve still covers.
constexpr Bytes growth(Bytes below, Bytes reserve, Bytes asked) noexcept {
    const Bytes covered = reserve > below ? reserve - below : 0;
    return asked > covered ? asked - covered : 0;
}

// And by how much it shrinks when `returned` <= below goes: the growth that would undo it.
constexpr Bytes shrinkage(Bytes below, Bytes reserve, Bytes returned) noexcept {
    return growth(below - returned, reserve, returned);
}

// May `grown` more lie below an account, while `held_back` of its room is left alone?
//   below + grown + held_back <= limit
// Rearranged: grown <= limit - below - held_back, where each difference exists. Growth of nothing
// always fits: it was committed before, at this level, so its bytes are there.
constexpr bool fits(Bytes limit, Bytes below, Bytes grown, Bytes held_back) noexcept {
    if (grown == 0) return true;
    if (below > limit) return false;  // the limit was lowered
    const Bytes room = limit - below;
    return held_back <= room && grown <= room - held_back;
}

// One of the two parts of direct-like memory: producers' pages, and pages that are read back.
struct PartState {
    Bytes used = 0;
    Bytes share = 0;
    bool asks = false;  // somebody of this part waits for memory
};

// May a part take `asked` more, as far as the other one is concerned? Its own share always. Beyond
// it, it borrows what the other does not use, until the owner asks for what is its own.
constexpr bool part_allows(const PartState& own, const PartState& other, Bytes asked) noexcept {
    const bool in_share = own.used <= own.share && asked <= own.share - own.used;
    const bool owner_asks = other.asks && other.used < other.share;
    return in_share || !owner_asks;
}

// What of `kept` bytes for reading back is not in use for it: that much the producers leave alone.
constexpr Bytes kept_left(Bytes kept, Bytes read_back) noexcept {
    return kept > read_back ? kept - read_back : 0;
}

// What `part` of `whole` is of a `capacity` that is not all of it yet, in whole pages:
//   part * capacity / whole
// Pages instead of bytes, so that the product of two sizes below 2^44 cannot overflow.
constexpr Bytes scaled_part(Bytes part, Bytes whole, Bytes capacity) noexcept {
    if (whole < page_unit) return 0;
    return part / page_unit * (capacity / page_unit) / (whole / page_unit) * page_unit;
}

}  // namespace weir::broker

#endif
