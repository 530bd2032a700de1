// SPDX-License-Identifier: Apache-2.0
//
// What a user reads whose machine refuses io_uring: from the error number, and for real in a child
// whose seccomp filter refuses the system call as a container's does.
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "io/ring.hpp"
#include "tests/support/refuse_system_call.hpp"

namespace weir::io {
namespace {

bool holds(const std::string& text, const char* part) {
    return text.find(part) != std::string::npos;
}

TEST(RingRefusal, NamesTheSettingThatAnAdministratorMade) {
    auto off = explain_refusal(EPERM, "2\n");
    EXPECT_EQ(off.code, RingFailure::refused);
    EXPECT_TRUE(holds(off.sentence, "sysctl kernel.io_uring_disabled=0")) << off.sentence;
    auto group = explain_refusal(EPERM, "1\n");
    EXPECT_TRUE(holds(group.sentence, "kernel.io_uring_group")) << group.sentence;
}

TEST(RingRefusal, SuspectsTheContainerWhenTheHostAllowsIt) {
    for (const char* disabled : {"0\n", ""}) {
        auto refusal = explain_refusal(EPERM, disabled);
        EXPECT_EQ(refusal.code, RingFailure::refused);
        EXPECT_TRUE(holds(refusal.sentence, "seccomp")) << refusal.sentence;
        EXPECT_TRUE(holds(refusal.sentence, "io_uring_setup")) << refusal.sentence;
    }
    EXPECT_TRUE(holds(explain_refusal(ENOSYS, "").sentence, "seccomp"));
}

TEST(RingRefusal, TellsOldKernelsFromShortages) {
    EXPECT_EQ(explain_refusal(EINVAL, "0").code, RingFailure::too_old);
    EXPECT_EQ(explain_refusal(ENOMEM, "0").code, RingFailure::exhausted);
    EXPECT_EQ(explain_refusal(EMFILE, "0").code, RingFailure::exhausted);
    EXPECT_TRUE(holds(explain_refusal(EMFILE, "0").sentence, "ulimit -n"));
    EXPECT_TRUE(holds(explain_refusal(EIO, "0").sentence, "EIO (Input/output error)"));
}

TEST(RingRefusal, IsAValueInAContainerThatForbidsIoUring) {
    for (unsigned error : {unsigned{EPERM}, unsigned{ENOSYS}}) {
        pid_t child = ::fork();
        if (child == 0) {
            if (!refuse_system_call(SYS_io_uring_setup, error)) ::_exit(3);
            auto ring = Ring::create(8);
            if (ring) ::_exit(1);
            ::_exit(ring.error().code == RingFailure::refused ? 0 : 2);
        }
        int status = 0;
        ASSERT_EQ(::waitpid(child, &status, 0), child);
        EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "status " << status;
    }
}

}  // namespace
}  // namespace weir::io
