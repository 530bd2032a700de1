// SPDX-License-Identifier: Apache-2.0
//
// Whether a message is past its expiry. Only one that has an expiry costs a clock reading.
#ifndef WEIR_CORE_CLIENT_EXPIRY_HPP
#define WEIR_CORE_CLIENT_EXPIRY_HPP

#include "core/base/clock.hpp"
#include "shm/envelope.hpp"
#include "shm/lane_reader.hpp"

namespace weir::detail {

inline bool has_expired(const RecordView& record) noexcept {
    if (record.envelope_bytes() == 0) return false;
    const auto expiry_ns = expiry_of(record.envelope(), record.envelope_bytes());
    return expiry_ns && *expiry_ns <= realtime_ns();
}

}  // namespace weir::detail

#endif
