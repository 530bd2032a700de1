// SPDX-License-Identifier: Apache-2.0
#include "tools/recv_folder.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include "core/base/errno.hpp"
#include "core/base/fd.hpp"

namespace weir::tools {
namespace {

// Names come from others: what would move a terminal's cursor is shown as a question mark.
std::string shown(std::string_view name) {
    constexpr std::size_t shown_max = 200;
    std::string text(name.substr(0, shown_max));
    for (char& sign : text)
        if (static_cast<unsigned char>(sign) < 0x20 || sign == 0x7f) sign = '?';
    return name.size() > shown_max ? text + "..." : text;
}

Failure<Error<OutputEnd>> refuse(std::string_view name, const char* why) {
    return fail(
        OutputEnd::refused,
        fmt::format("a message's name is \"{}\": {}; it is not acknowledged", shown(name), why));
}

class Folder final : public Output {
public:
    Folder(std::string path, Fd root) : path_(std::move(path)), root_(std::move(root)) {}

    Written put(const Message& message) override {
        std::optional<std::string> name;
        if (message.has_envelope()) name = message.envelope().property("name");
        auto written = name ? put_named(*name, message) : put_numbered(message);
        if (written) message.acknowledge();
        return written;
    }

private:
    Written put_named(const std::string& name, const Message& message) {
        auto parts = parts_of(name);
        if (!parts) return fail(parts.error());
        const std::string file = parts->back();
        parts->pop_back();
        if (auto entered = enter(*parts, name); !entered) return entered;
        const int parent = parent_ ? parent_.get() : root_.get();
        auto temporary = write_aside(parent, message);
        if (!temporary) return fail(temporary.error());
        if (::renameat(parent, temporary->c_str(), parent, file.c_str()) == 0) return {};
        const int error = errno;
        ::unlinkat(parent, temporary->c_str(), 0);
        return failed(name, error);
    }

    Written put_numbered(const Message& message) {
        auto temporary = write_aside(root_.get(), message);
        if (!temporary) return fail(temporary.error());
        for (;;) {
            const std::string file = fmt::format("{:06}.msg", ++number_);
            if (::renameat2(root_.get(), temporary->c_str(), root_.get(), file.c_str(),
                            RENAME_NOREPLACE) == 0)
                return {};
            if (errno == EEXIST) continue;
            const int error = errno;
            ::unlinkat(root_.get(), temporary->c_str(), 0);
            return failed(file, error);
        }
    }

    // Makes parent_ the folder of these parts; the one of the last message is kept open.
    Written enter(const std::vector<std::string>& parts, const std::string& name) {
        if (parts == parent_parts_) return {};
        parent_.reset();
        parent_parts_.clear();
        Fd at;
        for (const std::string& part : parts) {
            const int from = at ? at.get() : root_.get();
            constexpr int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
            Fd next(::openat(from, part.c_str(), flags));
            if (!next && errno == ENOENT) {
                if (::mkdirat(from, part.c_str(), 0777) != 0 && errno != EEXIST)
                    return failed(name, errno);
                next = Fd(::openat(from, part.c_str(), flags));
            }
            if (!next && (errno == ELOOP || errno == ENOTDIR))
                return refuse(name, "a part of it is a symbolic link or a file, not a folder");
            if (!next) return failed(name, errno);
            at = std::move(next);
        }
        parent_ = std::move(at);
        parent_parts_ = parts;
        return {};
    }

    Result<std::string, Error<OutputEnd>> write_aside(int parent, const Message& message) {
        const std::string name = fmt::format(".weir-{}-{}.part", ::getpid(), ++temporaries_);
        const Fd file(::openat(parent, name.c_str(),
                               O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666));
        if (!file) return failed(name, errno);
        for (std::span<const std::byte> left = message.bytes(); !left.empty();) {
            const ssize_t wrote = ::write(file.get(), left.data(), left.size());
            if (wrote < 0 && errno == EINTR) continue;
            if (wrote < 0) {
                const int error = errno;
                ::unlinkat(parent, name.c_str(), 0);
                return failed(name, error);
            }
            left = left.subspan(static_cast<std::size_t>(wrote));
        }
        return name;
    }

    Failure<Error<OutputEnd>> failed(std::string_view name, int error) const {
        return fail(OutputEnd::failed,
                    fmt::format("cannot write {}/{}: {}", path_, shown(name), errno_text(error)));
    }

    std::string path_;  // for people
    Fd root_;
    Fd parent_;  // of parent_parts_, empty: root_
    std::vector<std::string> parent_parts_;
    std::uint64_t number_ = 0;
    std::uint64_t temporaries_ = 0;
};

}  // namespace

Result<std::unique_ptr<Output>, Error<OutputEnd>> make_folder_output(const std::string& folder) {
    std::error_code error;
    std::filesystem::create_directories(folder, error);
    Fd root(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!root)
        return fail(OutputEnd::failed,
                    fmt::format("cannot use the folder {}: {}", folder, errno_text(errno)));
    return std::unique_ptr<Output>(std::make_unique<Folder>(folder, std::move(root)));
}

Result<std::vector<std::string>, Error<OutputEnd>> parts_of(std::string_view name) {
    if (name.empty()) return refuse(name, "it is empty");
    if (name.front() == '/') return refuse(name, "absolute paths are refused");
    if (name.find('\0') != std::string_view::npos) return refuse(name, "it holds a zero byte");
    std::vector<std::string> parts;
    bool ends_in_folder = false;
    for (std::size_t begin = 0; begin <= name.size();) {
        const std::size_t end = std::min(name.find('/', begin), name.size());
        const std::string_view part = name.substr(begin, end - begin);
        if (part == "..") return refuse(name, "\"..\" is refused");
        ends_in_folder = part.empty() || part == ".";
        if (!ends_in_folder) parts.emplace_back(part);
        begin = end + 1;
    }
    if (parts.empty() || ends_in_folder) return refuse(name, "it names a folder, not a file");
    return parts;
}

}  // namespace weir::tools
