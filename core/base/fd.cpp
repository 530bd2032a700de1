// SPDX-License-Identifier: Apache-2.0
//
// Closing and taking over descriptors; see fd.hpp.
#include "core/base/fd.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "core/base/check.hpp"

namespace weir {

Fd::Fd(int fd) noexcept : fd_(fd < 0 ? none : fd) {
    if (fd_ == none) return;
    int flags = ::fcntl(fd_, F_GETFD);
    WEIR_CHECK(flags != -1);  // EBADF: the caller does not own an open descriptor
    if ((flags & FD_CLOEXEC) == 0) WEIR_CHECK(::fcntl(fd_, F_SETFD, flags | FD_CLOEXEC) == 0);
}

Fd Fd::duplicate() const noexcept {
    return fd_ == none ? Fd() : Fd(::fcntl(fd_, F_DUPFD_CLOEXEC, 0));
}

void Fd::replace(int fd) noexcept {
    if (fd_ != none) {
        int saved = errno;
        int closed = ::close(fd_);
        // EINTR and EIO leave the descriptor closed on Linux. EBADF means that somebody else closed
        // it, and might as well have closed one that was opened under its number since.
        WEIR_CHECK(closed == 0 || errno != EBADF);
        errno = saved;
    }
    fd_ = fd;
}

}  // namespace weir
