// SPDX-License-Identifier: Apache-2.0
//
// Finding a broker's files; see places.hpp.
//
// The directory is what keeps others out: whoever may write into it could put a socket of their own
// where clients look for the broker. So it belongs to one user, and nobody else may enter it.
#include "core/protocol/places.hpp"

#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "core/base/errno.hpp"
#include "core/protocol/names.hpp"

namespace weir {
namespace {

// A socket's path must fit a fixed field of the system's address, with its zero.
constexpr std::size_t socket_path_max = sizeof(sockaddr_un::sun_path) - 1;

std::string environment(const char* name) {
    const char* const value = std::getenv(name);
    return value != nullptr ? value : "";
}

}  // namespace

std::string broker_name_or_default(std::string_view given) {
    if (!given.empty()) return std::string(given);
    const std::string from_environment = environment("WEIR_NAME");
    return from_environment.empty() ? "default" : from_environment;
}

Result<Places, Error<PlaceError>> places_of(const std::string& broker) {
    const std::string name = broker_name_or_default(broker);
    if (!valid_broker_name(name))
        return fail(PlaceError::bad_broker_name,
                    "\"" + name.substr(0, 60) +
                        "\" is not a broker's name: use 1 to 32 small letters, digits and '-'");
    std::string base = "/run";
    if (getuid() != 0) {
        base = environment("XDG_RUNTIME_DIR");
        if (base.empty() || base.front() != '/')
            return fail(PlaceError::no_runtime_dir,
                        "XDG_RUNTIME_DIR is not set to an absolute path, and the broker's socket "
                        "stands there: set it to a directory of yours, usually /run/user/" +
                            std::to_string(getuid()));
    }
    return places_below(base, name);
}

Result<Places, Error<PlaceError>> places_below(const std::string& base, const std::string& name) {
    Places places;
    places.directory = base + "/weir";
    places.socket = places.directory + "/" + name + ".sock";
    places.lock = places.directory + "/" + name + ".lock";
    places.start_lock = places.directory + "/" + name + ".start";
    if (places.socket.size() > socket_path_max)
        return fail(PlaceError::no_runtime_dir,
                    places.socket + " is too long for a socket (" +
                        std::to_string(socket_path_max) +
                        " bytes): set XDG_RUNTIME_DIR to a shorter path or take a shorter --name");
    return places;
}

Result<void, Error<PlaceError>> make_directory(const Places& places) {
    const std::string& path = places.directory;
    if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST)
        return fail(PlaceError::unusable_dir,
                    "cannot make the directory " + path + ": " + errno_text(errno) +
                        "; make sure that the one above it exists and is yours");
    struct stat status {};
    if (lstat(path.c_str(), &status) != 0)
        return fail(PlaceError::unusable_dir, "cannot look at " + path + ": " + errno_text(errno));
    if (!S_ISDIR(status.st_mode))
        return fail(PlaceError::unusable_dir,
                    path + " is not a directory: remove it, the broker's socket stands there");
    if (status.st_uid != getuid())
        return fail(PlaceError::unusable_dir,
                    path + " belongs to user " + std::to_string(status.st_uid) +
                        ", who could replace the broker's socket: remove it or set "
                        "XDG_RUNTIME_DIR to a directory of yours");
    if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return fail(PlaceError::unusable_dir,
                    path +
                        " may be written by others, who could replace the broker's socket: "
                        "run 'chmod 700 " +
                        path + "'");
    return {};
}

}  // namespace weir
