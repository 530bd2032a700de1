// SPDX-License-Identifier: Apache-2.0
//
// SIGINT and SIGTERM as a question that a loop asks: has somebody asked this command to end?
//
// The handler notes it in a word, for loops that have no time for a system call, and makes a
// descriptor readable, for those that wait in poll(). A second signal of either kind ends the
// process at once: who asks twice does not want to wait for a clean end.
#ifndef WEIR_TOOLS_END_REQUEST_HPP
#define WEIR_TOOLS_END_REQUEST_HPP

#include <cstdint>

namespace weir::tools::end_request {

// Takes over both signals for the rest of the process. SIGPIPE is ignored too: a reader that left
// is an error of the write, which the command handles.
void watch();

bool asked() noexcept;

// Waits until `fd` is ready for `events` (of poll), `other` has an error (a pipe whose reader left;
// -1: none), a stop was asked for, or the time is over.
enum class Waited { ready, stop_asked, timed_out };
Waited wait_for(int fd, short events, std::uint64_t timeout_ns, int other = -1);
inline constexpr std::uint64_t without_end = UINT64_MAX;

// Sleeps until CLOCK_MONOTONIC `due_ns`, or until a stop is asked for.
void sleep_until(std::uint64_t due_ns);

}  // namespace weir::tools::end_request

#endif  // WEIR_TOOLS_END_REQUEST_HPP
