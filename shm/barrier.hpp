// SPDX-License-Identifier: Apache-2.0
//
// The barrier that one side pays for both.
//
// Two parties that each store a word and then look at the other's need a full fence on both sides,
// or one may miss the other. Producers would pay that for each record. Instead the rare side (who
// goes to sleep, who takes a page back) calls membarrier, which makes every running thread of every
// registered process pass a full fence; the frequent side only keeps program order (a compiler
// barrier).
//
// Registration is per process image: it is lost at exec and repeated at each attach.
#ifndef WEIR_SHM_BARRIER_HPP
#define WEIR_SHM_BARRIER_HPP

namespace weir {

// Makes this process take part. False with errno set when the kernel or a seccomp profile refuses.
[[nodiscard]] bool register_barrier() noexcept;

// Every running thread of every registered process has passed a full fence when this returns. About
// 8 us when one runs on another core (DESIGN section 12). Thread safe.
void barrier_everywhere() noexcept;

}  // namespace weir

#endif
