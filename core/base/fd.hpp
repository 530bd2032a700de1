// SPDX-License-Identifier: Apache-2.0
//
// A file descriptor with one owner.
//
// Weir's descriptors carry rights: a region, a control session, the lock on a broker's name. A copy
// that an exec'd child inherits would keep those rights alive after their owner is gone, so an Fd
// is never inherited. Open with O_CLOEXEC (MSG_CMSG_CLOEXEC, ...): only that closes the gap in
// which another thread may fork. The flag set here is the second line of defence.
//
// Invariants
//   F1  a descriptor held is open and close-on-exec
//   F2  it is closed exactly once; closing keeps errno, so that an error path can still report it
#ifndef WEIR_CORE_BASE_FD_HPP
#define WEIR_CORE_BASE_FD_HPP

#include <utility>

namespace weir {

class [[nodiscard]] Fd {
public:
    constexpr Fd() noexcept = default;

    // Takes over `fd`. A negative number, what a failed system call returns, makes an empty Fd.
    explicit Fd(int fd) noexcept;

    Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, none)) {}
    Fd& operator=(Fd&& other) noexcept {
        if (this != &other) replace(std::exchange(other.fd_, none));
        return *this;
    }
    ~Fd() { replace(none); }

    Fd(const Fd&) = delete;
    Fd& operator=(const Fd&) = delete;

    explicit operator bool() const noexcept { return fd_ != none; }
    int get() const noexcept { return fd_; }

    // Another descriptor of the same open file; empty if the process may have no more.
    Fd duplicate() const noexcept;

    // Gives the descriptor away; the caller closes it.
    [[nodiscard]] int release() noexcept { return std::exchange(fd_, none); }

    // Closes what is held and takes over `fd`, as the constructor does.
    void reset(int fd = none) noexcept { *this = Fd(fd); }

private:
    static constexpr int none = -1;

    void replace(int fd) noexcept;

    int fd_ = none;
};

}  // namespace weir

#endif  // WEIR_CORE_BASE_FD_HPP
