// SPDX-License-Identifier: Apache-2.0
//
// Preparing the broker's process; see process.hpp.
#include "core/broker/process.hpp"

#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "core/base/check.hpp"
#include "core/base/clock.hpp"
#include "core/base/errno.hpp"
#include "shm/barrier.hpp"

namespace weir::broker {
namespace {

// Connections that wait to be accepted. The kernel cuts it to net.core.somaxconn.
constexpr int backlog = 1024;

// A session's socket and pidfd, and a few exchange blocks; beside them the broker's own.
constexpr rlim_t descriptors_per_session = 6;
constexpr rlim_t descriptors_own = 64;

// struct sched_attr of the kernel (its header clashes with the C library's).
struct SchedulingAttributes {
    std::uint32_t size;
    std::uint32_t policy;
    std::uint64_t flags;
    std::int32_t nice;
    std::uint32_t priority;
    std::uint64_t runtime;
    std::uint64_t deadline;
    std::uint64_t period;
};
static_assert(sizeof(SchedulingAttributes) == 48);

Failure<Error<StartFailure>> refused(const std::string& what, const std::string& cure) {
    return fail(StartFailure::refused, what + ": " + errno_text(errno) + cure);
}

}  // namespace

Result<StopSignals, Error<StartFailure>> StopSignals::catch_them() {
    sigset_t read_set;
    ::sigemptyset(&read_set);
    ::sigaddset(&read_set, SIGTERM);
    ::sigaddset(&read_set, SIGINT);
    ::sigaddset(&read_set, SIGHUP);
    Fd signals(::signalfd(-1, &read_set, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!signals) return refused("cannot watch for signals", "");
    StopSignals caught(std::move(signals));
    WEIR_CHECK(::pthread_sigmask(SIG_BLOCK, &read_set, &caught.mask_before_) == 0);
    struct sigaction ignored {};
    ignored.sa_handler = SIG_IGN;
    WEIR_CHECK(::sigaction(SIGPIPE, &ignored, &caught.pipe_before_) == 0);
    return caught;
}

// A stop that came twice would end the process when the mask is lifted: it is taken first.
StopSignals::~StopSignals() {
    if (!signals_) return;
    signalfd_siginfo late{};
    while (::read(signals_.get(), &late, sizeof(late)) == sizeof(late)) continue;
    ::sigaction(SIGPIPE, &pipe_before_, nullptr);
    ::pthread_sigmask(SIG_SETMASK, &mask_before_, nullptr);
}

Result<Fd, Error<StartFailure>> listen_at(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    WEIR_CHECK(path.size() < sizeof(address.sun_path));  // places_below() refuses longer ones
    std::memcpy(address.sun_path, path.data(), path.size());
    Fd listener(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    if (!listener) return refused("cannot make a socket", "");
    // The file that bind makes gets the mode of the socket it is made for: no moment with another
    // one.
    if (::fchmod(listener.get(), 0600) != 0) return refused("cannot protect " + path, "");
    if (::bind(listener.get(),
               reinterpret_cast<const sockaddr*>(&address),  // NOLINT: its interface
               sizeof(address)) != 0)
        return refused("cannot make the socket " + path, "");
    if (::listen(listener.get(), backlog) != 0) return refused("cannot listen at " + path, "");
    return listener;
}

Result<Fd, Error<StartFailure>> make_doorbell() {
    // Non-blocking for its writers: a doorbell that has been rung 2^64 times must not hold a
    // producer.
    Fd doorbell(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!doorbell) return refused("cannot make the doorbell", "");
    return doorbell;
}

bool raise_descriptor_limit(std::uint32_t sessions) noexcept {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return false;
    if (limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) return false;
    }
    return limit.rlim_cur >= sessions * descriptors_per_session + descriptors_own;
}

Result<void, Error<StartFailure>> join_barrier() {
    if (register_barrier()) return {};
    return refused("membarrier, which a broker needs, is refused",
                   "; most likely a container's seccomp profile forbids it: allow the system call "
                   "membarrier there (docker and podman: --security-opt seccomp=unconfined, or "
                   "such a profile), or use Linux 4.16 or later");
}

// A spinning client fills its core. When the broker is woken there, the scheduler compares virtual
// deadlines, and the one with the shorter slice has the earlier deadline: with 100 us, the least
// the kernel takes, the broker pre-empts at once instead of after the client's slice of some
// milliseconds. It costs nobody a share of the core: a slice says when, not how much. Linux 6.12
// and later read it, earlier ones refuse or ignore it, and then everything still works, only later.
void ask_for_short_slice() noexcept {
    constexpr pid_t this_thread = 0;
    constexpr unsigned no_flags = 0;
    SchedulingAttributes attributes{};
    attributes.size = sizeof(attributes);
    if (::syscall(SYS_sched_getattr, this_thread, &attributes, sizeof(attributes), no_flags) != 0)
        return;
    constexpr std::uint32_t policy_other = 0;
    if (attributes.policy != policy_other) return;  // an administrator chose another: it stays
    attributes.runtime = 100 * ns_per_us;
    ::syscall(SYS_sched_setattr, this_thread, &attributes, no_flags);
}

}  // namespace weir::broker
