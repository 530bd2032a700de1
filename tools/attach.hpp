// SPDX-License-Identifier: Apache-2.0
//
// How a client command reaches its broker: --name, --start, and what the errors on the way mean for
// the exit code.
#ifndef WEIR_TOOLS_ATTACH_HPP
#define WEIR_TOOLS_ATTACH_HPP

#include <string>
#include <string_view>
#include <weir/weir.hpp>

#include "core/base/result.hpp"

namespace CLI {
class App;
}

namespace weir::tools {

struct Attachment {
    std::string broker;  // empty: WEIR_NAME, else "default"
    bool start = false;
};

void add_attachment_options(CLI::App& app, Attachment& attachment);

// Connects; on failure the error is printed and its exit code given.
Result<Session, int> attach(std::string_view command, const Attachment& attachment);

// Prints why a producer or consumer was refused; the exit code.
int give_up(std::string_view command, const Error<OpenError>& error);

}  // namespace weir::tools

#endif  // WEIR_TOOLS_ATTACH_HPP
