// SPDX-License-Identifier: Apache-2.0
//
// Places where a test lets a process die.
//
// A promise about SIGKILL is tested by real processes that die at named instructions:
//
//   KILL_POINT("lane.committed");        // between commit and wake
//
// In a build with the option kill_points, WEIR_KILL_POINT=lane.committed kills the process by
// SIGKILL when it passes there for the first time, WEIR_KILL_POINT=lane.committed:7 the seventh
// time. In every other build the macro is empty: it costs nothing and leaves no name behind.
#ifndef WEIR_CORE_BASE_KILL_POINT_HPP
#define WEIR_CORE_BASE_KILL_POINT_HPP

namespace weir {

// Counts this pass and does not return if the environment named it. For KILL_POINT only.
void kill_point_reached(const char* name) noexcept;

}  // namespace weir

#if defined(WEIR_KILL_POINTS)
#define KILL_POINT(name) ::weir::kill_point_reached(name)
#else
#define KILL_POINT(name) static_cast<void>(0)
#endif

#endif  // WEIR_CORE_BASE_KILL_POINT_HPP
