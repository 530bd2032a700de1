// SPDX-License-Identifier: Apache-2.0
//
// The broker's life word: who sleeps on his own word and on this one learns of its death at once,
// also of a kill, and need not get up every second to look.
//
//   0                    nobody looks after it: who waits has to look for himself
//   thread id | waiters  the broker lives
//   owner died           it has ended
//
// The kernel does the last step: the word stands in the broker's robust list, which is gone through
// when its thread ends in whatever way (get_robust_list(2)). It then wakes one who waits, and that
// one wakes the others. If he is killed before he does, they wake when their time is over. So only
// threads wait on it that run as soon as they are woken; a ring would take the wake and leave it
// lying for as long as its process is busy or stopped.
//
// Clients map the word read-only, so none of them can make the others believe in a death.
#ifndef WEIR_SHM_LIFE_HPP
#define WEIR_SHM_LIFE_HPP

#include <linux/futex.h>

#include <atomic>
#include <cstdint>

namespace weir {

using LifeWord = std::atomic<std::uint32_t>;

constexpr bool is_looked_after(std::uint32_t life) noexcept { return (life & FUTEX_TID_MASK) != 0; }
constexpr bool has_ended(std::uint32_t life) noexcept { return (life & FUTEX_OWNER_DIED) != 0; }

// Wakes all who sleep on it: for who finds that it has ended. Thread safe.
void pass_on_the_end(const LifeWord& word) noexcept;

// The life of the thread that makes it, until it is destroyed, by the same thread, or the thread
// ends. At most one at a time in a thread, which has no locked robust mutex meanwhile.
class Life {
public:
    explicit Life(LifeWord& word) noexcept;
    ~Life();
    Life(const Life&) = delete;
    Life& operator=(const Life&) = delete;

private:
    LifeWord& word_;
    robust_list place_;      // the only one in the list
    robust_list_head list_;  // read by the kernel
    robust_list_head* before_ = nullptr;
    std::size_t before_bytes_ = 0;
};

}  // namespace weir

#endif
