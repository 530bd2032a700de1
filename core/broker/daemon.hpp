// SPDX-License-Identifier: Apache-2.0
//
// A whole broker, from its configuration to its end, in the calling thread.
//
// It is a library so that a test can run one in its own process. What a broker makes, it makes in
// this order, and unmakes in the opposite one, also when a step in between fails:
//
//   name lock -> leftovers cleared -> regions -> control published -> socket -> ready -> loop
//
// Invariants
//   D1  `ready` is called once, when a client that connects will be served, or never
//   D2  after a clean stop nothing stands that was not there before: no file, no socket, no object
//       in /dev/shm, no directory that was made for it and is empty
#ifndef WEIR_CORE_BROKER_DAEMON_HPP
#define WEIR_CORE_BROKER_DAEMON_HPP

#include <functional>
#include <vector>

#include "core/broker/config.hpp"

namespace weir::broker {

struct Ready {
    std::string name;
    std::string socket;
    int pid = 0;
    std::vector<std::string> notices;  // what an administrator should know, one sentence each
};

// Runs until it is told to stop (SIGTERM, SIGINT, a stop request, the last session of a private
// one). Logs to wherever log::start() was told.
Result<void, Error<StartFailure>> run_broker(const BrokerConfig& config,
                                             const std::function<void(const Ready&)>& ready);

}  // namespace weir::broker

#endif
