// SPDX-License-Identifier: Apache-2.0
#include "shm/mapping.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <limits>

#include "core/base/bytes.hpp"
#include "core/base/errno.hpp"
#include "shm/units.hpp"

namespace weir {
namespace {

namespace bip = boost::interprocess;

// What Boost's mapped_region asks of something that can be mapped.
class Descriptor {
public:
    Descriptor(int fd, bip::mode_t mode) noexcept : fd_(fd), mode_(mode) {}
    bip::mapping_handle_t get_mapping_handle() const noexcept { return {fd_, false}; }
    bip::mode_t get_mode() const noexcept { return mode_; }

private:
    int fd_;
    bip::mode_t mode_;
};

Error<MemoryError> allocation_failed(int error, std::uint64_t bytes) {
    if (error == ENOSPC || error == ENOMEM)
        return {MemoryError::out_of_memory, "no memory for " + format_size(bytes) +
                                                ": ask for less (--direct, --heap) or free some"};
    return {MemoryError::refused,
            "cannot allocate " + format_size(bytes) + " of shared memory: " + errno_text(error)};
}

// Address space of so many bytes at a multiple of a huge page, to be mapped over; null: none is
// left. A mapping over it takes its place in one step.
std::byte* reserve_aligned(std::uint64_t bytes) noexcept {
    const std::uint64_t room = bytes + huge_page_bytes;
    void* const reserved =
        mmap(nullptr, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (reserved == MAP_FAILED) return nullptr;
    auto* const first = static_cast<std::byte*>(reserved);
    // NOLINTNEXTLINE: its value as a number.
    const std::uint64_t over = reinterpret_cast<std::uintptr_t>(first) % huge_page_bytes;
    const std::uint64_t before = over == 0 ? 0 : huge_page_bytes - over;
    const std::uint64_t kept = round_up(bytes, page_unit);
    if (before != 0) munmap(first, before);
    if (before + kept < room) munmap(first + before + kept, room - before - kept);
    return first + before;
}

// Makes one huge page of the memory there, which has no page yet. Linux 6.1: MADV_COLLAPSE, which
// unlike transparent huge pages asks no setting of the machine.
bool make_huge_page(int fd, const Mapping& mapping, std::uint64_t offset) noexcept {
    constexpr int madv_collapse = 25;
    // A page is there to begin with: the kernel does not collapse nothing.
    if (posix_fallocate(fd, static_cast<off_t>(offset), page_unit) != 0) return false;
    return madvise(mapping.data() + offset, huge_page_bytes, madv_collapse) == 0;
}

// Fills what has no page yet with pages.
Result<void, Error<MemoryError>> fill_holes(int fd, std::uint64_t offset, std::uint64_t bytes) {
    const int error = posix_fallocate(fd, static_cast<off_t>(offset), static_cast<off_t>(bytes));
    if (error == EINTR) return fill_holes(fd, offset, bytes);
    if (error != 0) return fail(allocation_failed(error, bytes));
    return {};
}

// Limit minus use of one control group of the unified hierarchy, or no limit.
std::uint64_t group_room(const std::string& group) {
    std::uint64_t limit = 0;
    std::uint64_t used = 0;
    std::ifstream max(group + "/memory.max");
    std::ifstream current(group + "/memory.current");
    if (!(max >> limit) || !(current >> used))  // "max" is not a number: no limit
        return std::numeric_limits<std::uint64_t>::max();
    return limit > used ? limit - used : 0;
}

}  // namespace

Result<Mapping, Error<MemoryError>> Mapping::map(int fd, std::uint64_t bytes, Access access) {
    struct stat status {};
    if (fstat(fd, &status) != 0)
        return fail(Error<MemoryError>{MemoryError::refused, "cannot map: " + errno_text(errno)});
    // Mapping behind the end would be a SIGBUS at first touch.
    if (static_cast<std::uint64_t>(status.st_size) < bytes)
        return fail(Error<MemoryError>{MemoryError::too_small,
                                       "a shared region is shorter than its owner says"});
    const bip::mode_t mode = access == Access::read_only ? bip::read_only : bip::read_write;
    std::byte* const at = bytes >= huge_page_bytes ? reserve_aligned(bytes) : nullptr;
    try {
        Mapping mapping;
        mapping.region_ = bip::mapped_region(Descriptor(fd, mode), mode, 0, bytes, at,
                                             at != nullptr ? MAP_FIXED : 0);
        return mapping;
    } catch (const bip::interprocess_exception& error) {
        if (at != nullptr) munmap(at, round_up(bytes, page_unit));
        return fail(Error<MemoryError>{MemoryError::refused,
                                       "cannot map " + format_size(bytes) + ": " + error.what()});
    }
}

Result<Fd, Error<MemoryError>> make_memory_file(const char* name, std::uint64_t bytes,
                                                bool allocate) {
    Fd fd(memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!fd)
        return fail(Error<MemoryError>{MemoryError::refused,
                                       "cannot create a memory file: " + errno_text(errno)});
    if (ftruncate(fd.get(), static_cast<off_t>(bytes)) != 0)
        return fail(allocation_failed(errno, bytes));
    if (allocate) {
        if (auto done = allocate_memory(fd.get(), 0, bytes); !done) return fail(done.error());
    }
    if (fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
        return fail(Error<MemoryError>{MemoryError::refused,
                                       "cannot seal a memory file: " + errno_text(errno)});
    return fd;
}

Result<void, Error<MemoryError>> allocate_memory(int fd, std::uint64_t offset,
                                                 std::uint64_t bytes) {
    // The kernel would hand out page after page and let the OOM killer decide: ask first.
    if (bytes > memory_available()) return fail(allocation_failed(ENOMEM, bytes));
    return fill_holes(fd, offset, bytes);
}

Result<std::uint64_t, Error<MemoryError>> allocate_memory(int fd, const Mapping& mapping,
                                                          std::uint64_t offset,
                                                          std::uint64_t bytes) {
    if (bytes > memory_available()) return fail(allocation_failed(ENOMEM, bytes));
    std::uint64_t huge = 0;
    const std::uint64_t end = offset + bytes;
    for (std::uint64_t at = round_up(offset, huge_page_bytes); at + huge_page_bytes <= end;
         at += huge_page_bytes, huge += huge_page_bytes)
        if (!make_huge_page(fd, mapping, at)) break;
    if (auto done = fill_holes(fd, offset, bytes); !done) return fail(done.error());
    return huge;
}

Result<Fd, Error<MemoryError>> reopen_read_only(int fd) {
    const std::string path = "/proc/self/fd/" + std::to_string(fd);
    Fd reopened(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!reopened)
        return fail(Error<MemoryError>{MemoryError::refused,
                                       "cannot reopen " + path + ": " + errno_text(errno)});
    return reopened;
}

std::uint64_t memory_available() {
    std::uint64_t available = std::numeric_limits<std::uint64_t>::max();
    std::ifstream meminfo("/proc/meminfo");
    for (std::string key; meminfo >> key;) {
        std::uint64_t kibibytes = 0;
        if (key == "MemAvailable:" && meminfo >> kibibytes) available = kibibytes * 1024;
        meminfo.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
    }
    std::ifstream groups("/proc/self/cgroup");
    for (std::string line; std::getline(groups, line);) {
        if (line.rfind("0::", 0) != 0) continue;  // the unified hierarchy
        for (std::string group = line.substr(3); group.size() > 1;
             group.resize(std::min(group.rfind('/'), group.size() - 1)))
            available = std::min(available, group_room("/sys/fs/cgroup" + group));
    }
    return available;
}

}  // namespace weir
