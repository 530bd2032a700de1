// SPDX-License-Identifier: Apache-2.0
//
// The spill directory at a broker's start: made if it is not there, asked how much room it has, and
// cleared of what an earlier life of the same broker left.
//
// A spill file is named OWNER.SERIAL.spill. The owner is the broker's name and its user, so several
// brokers can share a directory. All of this blocks, and is done before the loop runs.
#ifndef WEIR_IO_SPILL_DIRECTORY_HPP
#define WEIR_IO_SPILL_DIRECTORY_HPP

#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/result.hpp"
#include "io/spill_trouble.hpp"

namespace weir::io {

struct LeftFiles {
    std::uint64_t files = 0;
    std::uint64_t bytes = 0;  // of disk space
};

std::string spill_file_name(std::string_view owner, std::uint64_t serial);

// Makes the directory, and those above it, for its owner only. What is free there, in bytes.
Result<std::uint64_t, Error<Trouble>> open_spill_directory(const std::string& directory);

// The same for a directory that nobody named, in a place where others may have been first: it has
// to be this user's alone, and no memory in disguise.
Result<std::uint64_t, Error<Trouble>> open_default_spill_directory(const std::string& directory);

// What is written there stays in memory (tmpfs): it makes none free.
bool is_in_memory(const std::string& directory) noexcept;

// Removes the spill files of `owner`. A broker that still had them open keeps what is in them.
LeftFiles remove_spill_files(const std::string& directory, std::string_view owner);

}  // namespace weir::io

#endif  // WEIR_IO_SPILL_DIRECTORY_HPP
