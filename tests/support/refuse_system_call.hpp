// SPDX-License-Identifier: Apache-2.0
//
// Takes a system call away from the calling process, as a container's seccomp profile does. For a
// forked child: there is no way back.
#ifndef WEIR_TESTS_SUPPORT_REFUSE_SYSTEM_CALL_HPP
#define WEIR_TESTS_SUPPORT_REFUSE_SYSTEM_CALL_HPP

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <array>
#include <cstddef>

namespace weir {

// From now on system call `number` fails with `error`. False if the filter cannot be installed.
inline bool refuse_system_call(unsigned number, unsigned error) {
    std::array<sock_filter, 4> program{{
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    }};
    sock_fprog filter{static_cast<unsigned short>(program.size()), program.data()};
    return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

}  // namespace weir

#endif  // WEIR_TESTS_SUPPORT_REFUSE_SYSTEM_CALL_HPP
