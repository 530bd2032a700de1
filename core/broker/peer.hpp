// SPDX-License-Identifier: Apache-2.0
//
// Who is at the other end of a control socket, by the kernel's word.
//
// A process that says hello could say anything. The kernel knows who connected: its user, and a
// *pidfd*, a descriptor that stands for this one process for ever and becomes readable when it has
// died. A number like a pid is given to somebody else after a death, a pidfd is not; so a pidfd
// alone proves a death. Kernels before 6.5 give only the pid with the socket; then a pidfd is
// opened by number, and the start time that the process itself stated must agree, or the number has
// changed hands in between.
//
// Invariants
//   I1  Evidence.uid and Evidence.pid are the kernel's, never the client's
//   I2  the pidfd is that of the process that stated `start_time`: one that got its socket from
//       another process (a fork, a passed descriptor) is not taken for that other one
#ifndef WEIR_CORE_BROKER_PEER_HPP
#define WEIR_CORE_BROKER_PEER_HPP

#include <sys/types.h>

#include <cstdint>
#include <optional>

#include "core/base/fd.hpp"
#include "core/base/result.hpp"
#include "core/protocol/messages.hpp"

namespace weir::broker {

struct Peer {
    std::uint32_t pid;
    std::uint32_t uid;
    std::uint64_t start_time;
    Fd process;  // pidfd
};

// The user who connected, for the check that comes before everything else.
std::optional<std::uint32_t> peer_uid(int socket) noexcept;

// The process that connected, if it is the one that stated `start_time` (0 is never right).
Result<Peer, Error<protocol::Refusal>> identify_peer(int socket, std::uint64_t start_time);

// True if the process of this pidfd has died; a zombie has.
bool has_died(int process) noexcept;

// True if this very process lives: the number has not changed hands, and it is not a zombie.
bool lives(pid_t pid, std::uint64_t start_time);

// Field 22 of /proc/PID/stat: when the process started, in ticks since boot. Nothing if it is gone;
// a zombie still has one.
std::optional<std::uint64_t> start_time_of(pid_t pid);

}  // namespace weir::broker

#endif
