// SPDX-License-Identifier: Apache-2.0
//
// Why pages cannot be written to disk now: the closed list of reasons, each with its cure.
//
// Trouble is a state and not an answer: it begins with an operation that failed and ends by itself
// when one of its kind succeeds. Nothing is lost by it; what was to be written stays where it is.
#ifndef WEIR_IO_SPILL_TROUBLE_HPP
#define WEIR_IO_SPILL_TROUBLE_HPP

#include <cstdint>
#include <string>
#include <string_view>

namespace weir::io {

enum class Trouble : std::uint32_t {
    none = 0,
    limit = 1,        // as much is on disk as may be
    disk_full = 2,    // the file system, or a quota, has no room
    disk_error = 3,   // the disk fails
    gone = 4,         // the directory is not there
    denied = 5,       // no permission, or mounted read-only
    unsupported = 6,  // the file system cannot reserve space
    exhausted = 7,    // no memory or descriptors for another file
};

Trouble trouble_of(int error) noexcept;

// One sentence for an administrator; `error` is an errno, 0 if there was none.
std::string explain_trouble(Trouble trouble, int error, std::string_view directory);

}  // namespace weir::io

#endif  // WEIR_IO_SPILL_TROUBLE_HPP
