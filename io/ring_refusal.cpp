// SPDX-License-Identifier: Apache-2.0
//
// What to tell somebody whose machine refuses io_uring.
//
// Three parties can refuse it, and their error numbers overlap: the administrator by a sysctl
// (EPERM), a container's seccomp profile (EPERM, with older runtimes ENOSYS), and a kernel that has
// none (ENOSYS) or an old one (EINVAL). The sysctl can be read, so it is told apart first.
#include <cerrno>
#include <string>

#include "core/base/errno.hpp"
#include "io/ring.hpp"

namespace weir::io {
namespace {

constexpr const char* seccomp_cure =
    "run it with a profile that allows io_uring_setup, io_uring_enter and io_uring_register "
    "(docker and podman: --security-opt seccomp=unconfined, or such a profile)";

Error<RingFailure> refused_by_permission(std::string_view disabled) {
    if (disabled.starts_with("2"))
        return {RingFailure::refused,
                "io_uring is switched off on this host (kernel.io_uring_disabled is 2): "
                "run 'sysctl kernel.io_uring_disabled=0' as root"};
    if (disabled.starts_with("1"))
        return {RingFailure::refused,
                "io_uring is reserved for one group on this host (kernel.io_uring_disabled is 1): "
                "join the group that kernel.io_uring_group names, or run "
                "'sysctl kernel.io_uring_disabled=0' as root"};
    return {RingFailure::refused, std::string("io_uring is refused with EPERM, most likely by a "
                                              "container's seccomp profile: ") +
                                      seccomp_cure};
}

}  // namespace

Error<RingFailure> explain_refusal(int error, std::string_view disabled) {
    switch (error) {
        case EPERM:
        case EACCES: return refused_by_permission(disabled);
        case ENOSYS:
            return {RingFailure::refused,
                    std::string("io_uring does not exist here (ENOSYS): the kernel was built "
                                "without it, or a container's seccomp profile hides it; ") +
                        seccomp_cure};
        case EINVAL:
            return {RingFailure::too_old,
                    "this kernel's io_uring is too old: Linux 5.19 or later is needed"};
        case ENOMEM:
            return {RingFailure::exhausted,
                    "there is no memory for io_uring (ENOMEM): free some, or raise the limit of "
                    "locked memory ('ulimit -l', LimitMEMLOCK= of a systemd unit)"};
        case EMFILE:
        case ENFILE:
            return {RingFailure::exhausted,
                    "there is no descriptor left for io_uring (" + errno_name(error) +
                        "): raise the limit ('ulimit -n', LimitNOFILE= of a systemd unit)"};
        default: return {RingFailure::refused, "io_uring cannot be set up: " + errno_text(error)};
    }
}

}  // namespace weir::io
