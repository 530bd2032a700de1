// SPDX-License-Identifier: Apache-2.0
//
// Errno values as people look them up: by name, with the system's text behind it.
#ifndef WEIR_CORE_BASE_ERRNO_HPP
#define WEIR_CORE_BASE_ERRNO_HPP

#include <string>

namespace weir {

// "ENOSPC", or "error 4711" for a number that has no name.
std::string errno_name(int number);

// "ENOSPC (No space left on device)". For a number from io_uring, which is negative, pass its
// positive value.
std::string errno_text(int number);

}  // namespace weir

#endif  // WEIR_CORE_BASE_ERRNO_HPP
