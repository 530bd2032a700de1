// SPDX-License-Identifier: Apache-2.0
//
// A broker that outlives the command that started it.
//
// The command forks first, before anything is made: locks, regions and threads then belong to the
// child from the start. The child leaves its terminal (a new session) and reports through a pipe,
// once: that clients can connect, or why not. The parent prints that and ends, so that what a user
// does next finds a broker. A child that dies without a word closes the pipe, which is a report
// too.
#ifndef WEIR_CORE_BROKER_BACKGROUND_HPP
#define WEIR_CORE_BROKER_BACKGROUND_HPP

#include "core/broker/daemon.hpp"

namespace weir::broker {

// In the parent: what the child reported. The child never returns; it logs to syslog and ends with
// the process. Call it while the process has one thread.
Result<Ready, Error<StartFailure>> run_in_background(const BrokerConfig& config);

}  // namespace weir::broker

#endif
