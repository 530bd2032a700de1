// SPDX-License-Identifier: Apache-2.0
//
// The memory files of a broker, seen without asking it: read-only, through /proc/PID/fd of its
// process.
//
// Only `control` has a name. The other regions are memory files that a broker hands to its clients;
// who may look into its process (its own user, root) can open them there too, also while it is
// stopped. `control` says under which number each is open (shm/census.hpp). A number may have been
// given to another file since it was read, so a file is taken only if it bears the region's name.
// When the broker is dead there is nothing to open: its memory files live on in its clients only.
#ifndef WEIR_CORE_INSPECT_BROKER_FILES_HPP
#define WEIR_CORE_INSPECT_BROKER_FILES_HPP

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "shm/mapping.hpp"

namespace weir::inspect {

struct MemoryFile {
    std::string name;  // as it was made: weir-direct, weir-exchange-7
    int descriptor = -1;
    std::uint64_t bytes = 0;
};

class BrokerFiles {
public:
    explicit BrokerFiles(std::uint32_t pid) : pid_(pid) {}

    // All that it has open under a name of Weir's; empty if its process may not be looked into.
    std::vector<MemoryFile> list() const;

    // The bytes of a file whose name begins with `name`, or null. Stays mapped; each is mapped
    // once.
    const Mapping* map(int descriptor, std::string_view name);

private:
    std::string path_of(int descriptor) const;
    std::string name_of(int descriptor) const;  // empty: it is no memory file of Weir's

    std::uint32_t pid_;
    std::map<std::uint64_t, Mapping> mapped_;  // by the file's number in its file system
};

}  // namespace weir::inspect

#endif  // WEIR_CORE_INSPECT_BROKER_FILES_HPP
