// SPDX-License-Identifier: Apache-2.0
//
// See errno.hpp. Both calls are safe in threads, which strerror() is not.
#include "core/base/errno.hpp"

#include <cstring>

namespace weir {

std::string errno_name(int number) {
    const char* name = ::strerrorname_np(number);
    return name != nullptr ? name : "error " + std::to_string(number);
}

std::string errno_text(int number) {
    const char* text = ::strerrordesc_np(number);
    return errno_name(number) + (text != nullptr ? " (" + std::string(text) + ")" : "");
}

}  // namespace weir
