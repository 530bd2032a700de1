// SPDX-License-Identifier: Apache-2.0
//
// What a broker needs from its own process: limits, scheduling, descriptors to wait on.
//
// Each is asked for once, at start, and each failure is told with its likely cause and its cure,
// while somebody is still looking.
#ifndef WEIR_CORE_BROKER_PROCESS_HPP
#define WEIR_CORE_BROKER_PROCESS_HPP

#include <signal.h>

#include "core/base/fd.hpp"
#include "core/broker/config.hpp"

namespace weir::broker {

// As long as it lives, the signals that stop a broker and the one that lets it read its file again
// are blocked in this thread and can be read, and the one that a closed pipe sends is ignored. A
// terminal that closes sends SIGHUP too: then the file is read once more, which does no harm.
class StopSignals {
public:
    static Result<StopSignals, Error<StartFailure>> catch_them();

    StopSignals(StopSignals&&) noexcept = default;
    StopSignals& operator=(StopSignals&&) = delete;
    ~StopSignals();

    int fd() const noexcept { return signals_.get(); }

private:
    explicit StopSignals(Fd signals) noexcept : signals_(std::move(signals)) {}

    Fd signals_;
    sigset_t mask_before_{};
    struct sigaction pipe_before_ {};
};

// The socket that clients connect to: blocking, only its owner may connect.
Result<Fd, Error<StartFailure>> listen_at(const std::string& path);

Result<Fd, Error<StartFailure>> make_doorbell();

// Raises the limit of open descriptors as far as it goes; false: it is below what `sessions` need.
bool raise_descriptor_limit(std::uint32_t sessions) noexcept;

// Registers for membarrier; the sentence of a refusal names the cure.
Result<void, Error<StartFailure>> join_barrier();

// Asks for a short time slice, so that the scheduler lets this thread run soon after it was woken.
void ask_for_short_slice() noexcept;

}  // namespace weir::broker

#endif
