// SPDX-License-Identifier: Apache-2.0
#include "core/inspect/broker_files.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <filesystem>
#include <set>

#include "core/base/fd.hpp"

namespace weir::inspect {
namespace {

// What the kernel makes of memfd_create("weir-direct", ...).
constexpr std::string_view link_begin = "/memfd:";
constexpr std::string_view link_end = " (deleted)";

}  // namespace

std::string BrokerFiles::path_of(int descriptor) const {
    return "/proc/" + std::to_string(pid_) + "/fd/" + std::to_string(descriptor);
}

std::string BrokerFiles::name_of(int descriptor) const {
    std::array<char, 256> link{};
    const ssize_t length = ::readlink(path_of(descriptor).c_str(), link.data(), link.size());
    if (length <= 0) return {};
    std::string_view text(link.data(), static_cast<std::size_t>(length));
    if (!text.starts_with(link_begin) || !text.ends_with(link_end)) return {};
    text.remove_prefix(link_begin.size());
    text.remove_suffix(link_end.size());
    return text.starts_with("weir-") ? std::string(text) : std::string();
}

std::vector<MemoryFile> BrokerFiles::list() const {
    std::vector<MemoryFile> files;
    std::error_code refused;
    const std::filesystem::directory_iterator all("/proc/" + std::to_string(pid_) + "/fd", refused);
    if (refused) return files;
    std::set<ino_t> seen;  // a file may be open twice, on its way to a client
    for (const auto& entry : all) {
        const std::string number = entry.path().filename();
        MemoryFile file;
        std::from_chars(number.data(), number.data() + number.size(), file.descriptor);
        file.name = name_of(file.descriptor);
        struct stat status {};
        if (file.name.empty() || ::stat(entry.path().c_str(), &status) != 0) continue;
        if (!seen.insert(status.st_ino).second) continue;
        file.bytes = static_cast<std::uint64_t>(status.st_size);
        files.push_back(std::move(file));
    }
    return files;
}

const Mapping* BrokerFiles::map(int descriptor, std::string_view name) {
    if (descriptor < 0) return nullptr;
    const Fd file(::open(path_of(descriptor).c_str(), O_RDONLY | O_CLOEXEC));
    struct stat status {};
    if (!file || ::fstat(file.get(), &status) != 0) return nullptr;
    // The name is looked at behind the opening, and the file's own number tells it from one that
    // took its place meanwhile.
    if (!name_of(descriptor).starts_with(name)) return nullptr;
    struct stat again {};
    if (::stat(path_of(descriptor).c_str(), &again) != 0 || again.st_ino != status.st_ino)
        return nullptr;
    const auto found = mapped_.find(status.st_ino);
    if (found != mapped_.end()) return &found->second;
    auto mapping =
        Mapping::map(file.get(), static_cast<std::uint64_t>(status.st_size), Access::read_only);
    if (!mapping) return nullptr;
    return &mapped_.emplace(status.st_ino, std::move(*mapping)).first->second;
}

}  // namespace weir::inspect
