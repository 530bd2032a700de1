// SPDX-License-Identifier: Apache-2.0
//
// What the broker shows about a wait: the limit, how full it is, who holds it (shm/usage.hpp), as a
// WaitInfo and as a sentence.
//
// The broker publishes it per destination before it tells a producer that it has to wait, and
// changes it while others wait; so it is copied between two looks at its generation, a bounded
// number of times, and says nothing if it moved at each of them.
#ifndef WEIR_CORE_CLIENT_WAIT_FACTS_HPP
#define WEIR_CORE_CLIENT_WAIT_FACTS_HPP

#include "shm/control.hpp"
#include "weir/detail/producer_core.hpp"

namespace weir::detail {

// Fills level, use, capacity, holders and since when, if they belong to `info.reason`.
void look_up_wait(const ControlView& control, std::uint32_t destination, WaitInfo& info);

// A sentence about it: `destination` by name, and whether this process consumes it.
std::string wait_sentence(const WaitInfo& info, const std::string& destination, bool consumes);

}  // namespace weir::detail

#endif
