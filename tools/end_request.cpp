// SPDX-License-Identifier: Apache-2.0
#include "tools/end_request.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <limits>

#include "core/base/clock.hpp"

namespace weir::tools::end_request {
namespace {

// What a handler may touch, written before it is installed or by itself.
volatile std::sig_atomic_t asked_word = 0;
int asked_fd = -1;

void note(int) {
    const int kept = errno;
    asked_word = 1;
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto wrote = ::write(asked_fd, &one, sizeof one);
    errno = kept;
}

// poll() counts in milliseconds; rounding up never wakes a moment too early in a loop.
int poll_timeout(std::uint64_t timeout_ns) {
    if (timeout_ns == without_end) return -1;
    const std::uint64_t ms = timeout_ns / ns_per_ms + (timeout_ns % ns_per_ms != 0);
    return static_cast<int>(std::min<std::uint64_t>(ms, std::numeric_limits<int>::max()));
}

}  // namespace

void watch() {
    if (asked_fd < 0) asked_fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct sigaction action {};
    action.sa_handler = note;
    action.sa_flags = static_cast<int>(SA_RESETHAND);  // the second one ends the process
    ::sigaction(SIGINT, &action, nullptr);
    ::sigaction(SIGTERM, &action, nullptr);
    std::signal(SIGPIPE, SIG_IGN);
}

bool asked() noexcept { return asked_word != 0; }

Waited wait_for(int fd, short events, std::uint64_t timeout_ns, int other) {
    const bool bounded = timeout_ns != without_end;
    const std::uint64_t deadline_ns = bounded ? monotonic_ns() + timeout_ns : 0;
    while (!asked()) {
        const std::uint64_t now_ns = bounded ? monotonic_ns() : 0;
        const std::uint64_t left_ns =
            bounded ? deadline_ns - std::min(now_ns, deadline_ns) : without_end;
        std::array<pollfd, 3> looks{{{fd, events, 0}, {other, 0, 0}, {asked_fd, POLLIN, 0}}};
        const int ready = ::poll(looks.data(), looks.size(), poll_timeout(left_ns));
        if (ready > 0 && (looks[0].revents != 0 || (looks[1].revents & POLLERR) != 0))
            return Waited::ready;
        if (looks[1].revents != 0) other = -1;  // anything else would end each poll at once
        if (ready == 0 && bounded && monotonic_ns() >= deadline_ns) return Waited::timed_out;
    }
    return Waited::stop_asked;
}

void sleep_until(std::uint64_t due_ns) {
    const timespec due{static_cast<time_t>(due_ns / ns_per_s),
                       static_cast<long>(due_ns % ns_per_s)};
    while (!asked() && ::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, nullptr) == EINTR) {
    }
}

}  // namespace weir::tools::end_request
