// SPDX-License-Identifier: Apache-2.0
#include "io/spill_trouble.hpp"

#include <fmt/format.h>

#include <cerrno>

#include "core/base/errno.hpp"

namespace weir::io {

Trouble trouble_of(int error) noexcept {
    switch (error) {
        case 0: return Trouble::none;
        case ENOSPC:
        case EDQUOT:
        case EFBIG: return Trouble::disk_full;
        case ENOENT:
        case ENOTDIR:
        case ESTALE: return Trouble::gone;
        case EACCES:
        case EPERM:
        case EROFS: return Trouble::denied;
        case EOPNOTSUPP:
        case EINVAL:
        case ENOSYS: return Trouble::unsupported;
        case ENOMEM:
        case EMFILE:
        case ENFILE:
        case EAGAIN: return Trouble::exhausted;
        default: return Trouble::disk_error;  // EIO, and what drivers and networks add to it
    }
}

std::string explain_trouble(Trouble trouble, int error, std::string_view directory) {
    switch (trouble) {
        case Trouble::none: break;
        case Trouble::limit:
            return fmt::format(
                "as much is on disk in {} as its limit allows: raise the limit, or let consumers "
                "catch up",
                directory);
        case Trouble::disk_full:
            return fmt::format("the file system of {} has no room left ({}): free some", directory,
                               errno_name(error));
        case Trouble::disk_error:
            return fmt::format("the disk of {} fails ({}): look at the kernel's log", directory,
                               errno_text(error));
        case Trouble::gone:
            return fmt::format("the spill directory {} is gone ({}): make it again", directory,
                               errno_name(error));
        case Trouble::denied:
            return fmt::format(
                "the spill directory {} cannot be written ({}): give the broker's user write "
                "permission",
                directory, errno_text(error));
        case Trouble::unsupported:
            return fmt::format(
                "the file system of {} cannot reserve space ({}): name a directory on another one",
                directory, errno_name(error));
        case Trouble::exhausted:
            return fmt::format("there is no memory or descriptor for a file in {} ({})", directory,
                               errno_text(error));
    }
    return {};
}

}  // namespace weir::io
