// SPDX-License-Identifier: Apache-2.0
//
// Assertions that stay on.
//
// WEIR_CHECK states what only a programmer's error can break, one condition each, in every build.
// A broker that goes on with broken books loses other people's messages; one that stops is
// restarted and adopts what it had. What another process may write is input, never asserted.
//
// The condition is evaluated exactly once. The failing side is out of line, so that a check costs
// a compare and a branch that is never taken.
#ifndef WEIR_CORE_BASE_CHECK_HPP
#define WEIR_CORE_BASE_CHECK_HPP

namespace weir {

// Prints `file:line: check failed: condition` to standard error and aborts.
[[noreturn, gnu::cold, gnu::noinline]] void check_failed(const char* condition, const char* file,
                                                         int line) noexcept;

}  // namespace weir

// Variadic, because a condition may hold commas: WEIR_CHECK(fits<Lane, 64>()).
#define WEIR_CHECK(...)                                  \
    (__builtin_expect(static_cast<bool>(__VA_ARGS__), 1) \
         ? static_cast<void>(0)                          \
         : ::weir::check_failed(#__VA_ARGS__, __FILE__, __LINE__))

#endif  // WEIR_CORE_BASE_CHECK_HPP
