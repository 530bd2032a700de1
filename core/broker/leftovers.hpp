// SPDX-License-Identifier: Apache-2.0
//
// One broker per name, and what the one before left behind.
//
// The name belongs to who holds a lock on NAME.lock. The lock belongs to an open file description:
// the kernel drops it when the broker dies, however it dies, and no exec inherits it. So a lock
// that can be taken proves that no broker of that name lives in this directory, and everything that
// still stands there under the name is a leftover: the socket, and the named region `control`.
//
// A clean stop removes the lock file too. That opens a gap: somebody may have opened the file
// before it was removed and lock it afterwards, while a third one makes a new file. So a lock
// counts only if the file it is on is still the one that stands under the path.
//
// Invariants
//   L1  at most one process holds the name's lock on the file that stands under the path
//   L2  files of a name are removed only by who holds its lock, the lock file last
//   L3  a `control` whose broker still lives is never removed: the same user's broker with another
//       runtime directory has the same name for it
#ifndef WEIR_CORE_BROKER_LEFTOVERS_HPP
#define WEIR_CORE_BROKER_LEFTOVERS_HPP

#include <string>

#include "core/base/fd.hpp"
#include "core/broker/config.hpp"

namespace weir::broker {

enum class LockOutcome {
    taken,
    held,      // by a living broker
    replaced,  // the file no longer stands under the path: open it anew (L1)
    failed,    // errno says why
};

// Locks an open file if it is the one that stands under the path.
LockOutcome lock_standing(int file, const std::string& path) noexcept;

// The lock on a broker's name. Given up by release(); a destructor that runs without it (an error
// at start) does the same.
class NameLock {
public:
    // Makes the directory if needed.
    static Result<NameLock, Error<StartFailure>> take(const std::string& name,
                                                      const Places& places);

    NameLock(NameLock&&) noexcept = default;
    NameLock& operator=(NameLock&&) = delete;
    ~NameLock() { release(); }

    // Removes socket and lock file, gives up the lock, and removes the directory if it is empty.
    void release() noexcept;

private:
    NameLock(Fd file, Places places) noexcept
        : file_(std::move(file)), places_(std::move(places)) {}

    Fd file_;
    Places places_;
};

// What a killed broker left, counted from its published books.
struct Leftovers {
    bool found = false;  // a `control` stood there
    std::uint64_t epoch = 0;
    std::uint32_t pid = 0;
    std::uint32_t destinations = 0;
    std::uint64_t messages = 0;
    std::uint64_t bytes = 0;
    std::string why_unread;  // not empty: it could not be read, and why

    // What an administrator should know, empty if nothing was found.
    std::string sentence(const std::string& name) const;
};

// Counts and removes them; only under the lock. Refused where L3 demands it.
Result<Leftovers, Error<StartFailure>> clear_leftovers(const std::string& name,
                                                       const Places& places);

}  // namespace weir::broker

#endif
