// SPDX-License-Identifier: Apache-2.0
//
// Where a broker's files stand, for client and broker alike.
//
//   root          /run/weir/NAME.sock
//   others        $XDG_RUNTIME_DIR/weir/NAME.sock
//
// Beside the socket stands NAME.lock, held by the living broker (an open file description lock).
#ifndef WEIR_CORE_PROTOCOL_PLACES_HPP
#define WEIR_CORE_PROTOCOL_PLACES_HPP

#include <string>
#include <string_view>

#include "core/base/result.hpp"

namespace weir {

enum class PlaceError { no_runtime_dir, bad_broker_name, unusable_dir };

struct Places {
    std::string directory;  // .../weir, mode 0700, made by the broker
    std::string socket;
    std::string lock;
    std::string start_lock;  // held by the one client that starts a private broker
};

// An empty name means the environment's WEIR_NAME, else "default".
Result<Places, Error<PlaceError>> places_of(const std::string& broker);
// The same below a directory of the caller's choice instead of the user's own.
Result<Places, Error<PlaceError>> places_below(const std::string& base, const std::string& name);
std::string broker_name_or_default(std::string_view given);

// Makes the directory if it is missing; refuses one that others could have prepared.
Result<void, Error<PlaceError>> make_directory(const Places& places);

}  // namespace weir

#endif
