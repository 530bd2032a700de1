// SPDX-License-Identifier: Apache-2.0
//
// Messages as files below one folder.
//
// A message's property `name` is its path below the folder. Whoever may send may choose it, so it
// is input: absolute paths and any `..` are refused, and no symbolic link below the folder is
// followed; each part is opened from the one before it, never by a path that somebody can change in
// between. A message without a name becomes 000001.msg, 000002.msg, ...: the next number that is
// free.
//
// A file is written under a name of its own beside its place and then renamed, so a reader of the
// folder never sees half a message. A file that has the name already is replaced.
#ifndef WEIR_TOOLS_RECV_FOLDER_HPP
#define WEIR_TOOLS_RECV_FOLDER_HPP

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"
#include "tools/recv_output.hpp"

namespace weir::tools {

// The folder is made if it is missing.
Result<std::unique_ptr<Output>, Error<OutputEnd>> make_folder_output(const std::string& folder);

// The parts of a name, the file's own last; refused is what could lead out of the folder or names
// no file.
Result<std::vector<std::string>, Error<OutputEnd>> parts_of(std::string_view name);

}  // namespace weir::tools

#endif  // WEIR_TOOLS_RECV_FOLDER_HPP
