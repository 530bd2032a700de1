// SPDX-License-Identifier: Apache-2.0
//
// Memory that two processes share: sealed memory files, and mappings of them.
//
// All regions but `control` are memory files (memfd): no name, no limit by a container's 64 MiB
// /dev/shm, and sealed, so that no client can shrink one under the broker (a SIGBUS). They are
// allocated before anything in them is handed out, so that too little memory is an error here and
// not a death later.
#ifndef WEIR_SHM_MAPPING_HPP
#define WEIR_SHM_MAPPING_HPP

#include <boost/interprocess/mapped_region.hpp>
#include <cstddef>
#include <cstdint>
#include <string>

#include "core/base/fd.hpp"
#include "core/base/result.hpp"

namespace weir {

enum class MemoryError {
    out_of_memory,  // the kernel has no memory or no room in /dev/shm for it
    refused,        // a permission, a limit of descriptors, a seccomp profile
    exists,         // a named object of that name is there
    not_found,      // there is none
    too_small,      // the object is shorter than what should be mapped
};

enum class Access { read_only, read_write };

// The larger pages of x86-64, and of arm64 with 4 KiB pages. What is walked round and round, such
// as a region of some hundred MiB, needs more entries of the processor's page tables than it keeps
// at hand: in pages of 2 MiB a 512th (in turn, without / with them: 1 KiB one to one 15.9 / 19.6
// million a second, 1 MiB in place 11.0 / 13.1 GB/s, fan-in 48 / 55, fan-out 76 / 86).
inline constexpr std::uint64_t huge_page_bytes = 2 * 1024 * 1024;

// A mapping; unmapped when it ends. Movable.
class Mapping {
public:
    Mapping() = default;

    // Maps `bytes` of the descriptor from its start. The descriptor may be closed afterwards. A
    // huge page or more begins at a multiple of it: else the file's huge pages would be mapped in
    // pieces.
    static Result<Mapping, Error<MemoryError>> map(int fd, std::uint64_t bytes, Access access);

    std::byte* data() const noexcept { return static_cast<std::byte*>(region_.get_address()); }
    std::uint64_t bytes() const noexcept { return region_.get_size(); }
    explicit operator bool() const noexcept { return region_.get_size() != 0; }

private:
    boost::interprocess::mapped_region region_;
};

// A sealed memory file of exactly `bytes`, all of it allocated if `allocate`. The name is for /proc
// only.
Result<Fd, Error<MemoryError>> make_memory_file(const char* name, std::uint64_t bytes,
                                                bool allocate = true);

// Allocates a part of a memory file that was made without. Idempotent.
Result<void, Error<MemoryError>> allocate_memory(int fd, std::uint64_t offset, std::uint64_t bytes);

// The same for a part that nobody uses yet, in huge pages as far as the kernel gives them;
// `mapping` is the file's, from its start. Returns how many bytes lie in huge pages. None is no
// error: before Linux 6.1, with memory in small pieces, or where a policy forbids them.
Result<std::uint64_t, Error<MemoryError>> allocate_memory(int fd, const Mapping& mapping,
                                                          std::uint64_t offset,
                                                          std::uint64_t bytes);

// A second descriptor of the same file that cannot be mapped for writing.
Result<Fd, Error<MemoryError>> reopen_read_only(int fd);

// Bytes of memory that could be allocated now: free and reclaimable memory of the machine, cut by
// the limits of the control groups this process is in. Sources: /proc/meminfo MemAvailable,
// memory.max.
std::uint64_t memory_available();

}  // namespace weir

#endif
