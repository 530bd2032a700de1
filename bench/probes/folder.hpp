// SPDX-License-Identifier: Apache-2.0
//
// A directory of our own, gone with us.
#ifndef WEIR_BENCH_PROBES_FOLDER_HPP
#define WEIR_BENCH_PROBES_FOLDER_HPP

#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>

namespace weir::bench {

class Folder {
public:
    // In `parent`, with a name that begins so; an empty path if it could not be made.
    Folder(const std::filesystem::path& parent, std::string_view name) {
        std::string pattern = parent / (std::string(name) + "-XXXXXX");
        if (::mkdtemp(pattern.data()) != nullptr) path_ = pattern;
    }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    ~Folder() {
        std::error_code ignored;
        if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
    }
    const std::string& path() const { return path_; }

private:
    std::string path_;
};

}  // namespace weir::bench

#endif  // WEIR_BENCH_PROBES_FOLDER_HPP
