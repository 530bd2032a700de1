// SPDX-License-Identifier: Apache-2.0
//
// Errno values by name, known and unknown ones.
#include "core/base/errno.hpp"

#include <gtest/gtest.h>

#include <cerrno>

namespace weir {
namespace {

TEST(Errno, HasANameAndAText) {
    EXPECT_EQ(errno_name(ENOSPC), "ENOSPC");
    EXPECT_EQ(errno_text(ENOSPC), "ENOSPC (No space left on device)");
}

TEST(Errno, IsShownAsANumberWhenItHasNoName) {
    EXPECT_EQ(errno_name(4711), "error 4711");
    EXPECT_EQ(errno_text(4711), "error 4711");
    EXPECT_EQ(errno_text(-1), "error -1");
}

}  // namespace
}  // namespace weir
