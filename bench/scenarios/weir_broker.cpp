// SPDX-License-Identifier: Apache-2.0
//
// See weir_broker.hpp.
#include "bench/scenarios/weir_broker.hpp"

#include <sys/stat.h>

namespace weir::bench {

Probed<Server> start_weir_broker(const Scene& scene, const std::string& name,
                                 const std::vector<std::string>& options) {
    const std::string folder = scene.folder + "/" + name;
    ::mkdir(folder.c_str(), 0700);  // there already: of the round before
    std::vector<std::string> command{scene.program, "broker", "--foreground", "--name", name};
    command.insert(command.end(), options.begin(), options.end());
    return Server::start(command, folder, [&] { return log_says(folder, "is ready"); });
}

}  // namespace weir::bench
