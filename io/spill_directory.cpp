// SPDX-License-Identifier: Apache-2.0
#include "io/spill_directory.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <vector>

namespace weir::io {
namespace {

constexpr std::string_view suffix = ".spill";
constexpr std::uint64_t stat_block_bytes = 512;  // the unit of st_blocks, whatever the file system

Failure<Error<Trouble>> failed(const std::string& directory, int error) {
    const Trouble trouble = trouble_of(error);
    return fail(trouble, explain_trouble(trouble, error, directory));
}

int make_directories(const std::string& directory) {
    for (std::size_t end = directory.find('/', 1); end != std::string::npos;
         end = directory.find('/', end + 1))
        ::mkdir(directory.substr(0, end).c_str(), S_IRWXU);  // exists: fine; else the last one says
    return ::mkdir(directory.c_str(), S_IRWXU) == 0 || errno == EEXIST ? 0 : errno;
}

bool is_spill_file(std::string_view name, std::string_view owner) {
    if (!name.starts_with(owner) || !name.ends_with(suffix)) return false;
    name.remove_prefix(owner.size());
    if (name.size() <= 1 + suffix.size() || name.front() != '.') return false;
    name.remove_prefix(1);
    name.remove_suffix(suffix.size());
    return std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; });
}

struct CloseDirectory {
    void operator()(DIR* directory) const noexcept { ::closedir(directory); }
};

}  // namespace

std::string spill_file_name(std::string_view owner, std::uint64_t serial) {
    return fmt::format("{}.{}{}", owner, serial, suffix);
}

Result<std::uint64_t, Error<Trouble>> open_spill_directory(const std::string& directory) {
    if (const int error = make_directories(directory); error != 0) return failed(directory, error);
    if (::access(directory.c_str(), R_OK | W_OK | X_OK) != 0) return failed(directory, errno);
    struct statvfs room {};
    if (::statvfs(directory.c_str(), &room) != 0) return failed(directory, errno);
    return std::uint64_t{room.f_bavail} * room.f_frsize;
}

bool is_in_memory(const std::string& directory) noexcept {
    struct statfs what {};
    if (::statfs(directory.c_str(), &what) != 0) return false;
    return what.f_type == TMPFS_MAGIC || what.f_type == RAMFS_MAGIC;
}

Result<std::uint64_t, Error<Trouble>> open_default_spill_directory(const std::string& directory) {
    if (const int error = make_directories(directory); error != 0) return failed(directory, error);
    struct stat found {};
    if (::lstat(directory.c_str(), &found) != 0) return failed(directory, errno);
    if (!S_ISDIR(found.st_mode))
        return fail(Trouble::denied, fmt::format("{} is not a directory", directory));
    if (found.st_uid != ::geteuid())
        return fail(Trouble::denied, fmt::format("{} belongs to user {}", directory, found.st_uid));
    if ((found.st_mode & (S_IRWXG | S_IRWXO)) != 0)
        return fail(Trouble::denied, fmt::format("{} is open to other users", directory));
    if (is_in_memory(directory))
        return fail(Trouble::unsupported, fmt::format("{} is in memory itself (tmpfs)", directory));
    return open_spill_directory(directory);
}

LeftFiles remove_spill_files(const std::string& directory, std::string_view owner) {
    LeftFiles left;
    const std::unique_ptr<DIR, CloseDirectory> entries(::opendir(directory.c_str()));
    if (!entries) return left;
    std::vector<std::string> names;
    while (const dirent* const entry = ::readdir(entries.get()))
        if (is_spill_file(entry->d_name, owner)) names.emplace_back(entry->d_name);
    const int fd = ::dirfd(entries.get());
    for (const std::string& name : names) {
        struct stat file {};
        if (::fstatat(fd, name.c_str(), &file, AT_SYMLINK_NOFOLLOW) != 0) continue;
        if (::unlinkat(fd, name.c_str(), 0) != 0) continue;
        ++left.files;
        left.bytes += static_cast<std::uint64_t>(file.st_blocks) * stat_block_bytes;
    }
    return left;
}

}  // namespace weir::io
