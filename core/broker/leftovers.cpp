// SPDX-License-Identifier: Apache-2.0
//
// Taking a broker's name; see leftovers.hpp.
#include "core/broker/leftovers.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "core/base/bytes.hpp"
#include "core/base/errno.hpp"
#include "core/broker/peer.hpp"
#include "shm/control_region.hpp"

namespace weir::broker {
namespace {

// Each turn of taking loses against somebody who made and removed a file in between; that many in a
// row do not happen to an honest user.
constexpr int attempts_max = 100;

std::string pid_in(int file) {
    std::array<char, 16> text{};
    const ssize_t length = ::pread(file, text.data(), text.size(), 0);
    std::string pid(text.data(), length > 0 ? static_cast<std::size_t>(length) : 0);
    while (!pid.empty() && pid.back() == '\n') pid.pop_back();
    return pid.empty() ? "unknown" : pid;
}

void write_pid(int file) {
    const std::string pid = std::to_string(::getpid()) + "\n";
    // For people only: a lock file without a number locks as well, so failures change nothing.
    if (::ftruncate(file, 0) != 0 || ::pwrite(file, pid.data(), pid.size(), 0) < 0) return;
}

bool stands_under(const std::string& path, int file) noexcept {
    struct stat held {};
    struct stat standing {};
    return ::fstat(file, &held) == 0 && ::lstat(path.c_str(), &standing) == 0 &&
           held.st_dev == standing.st_dev && held.st_ino == standing.st_ino;
}

std::string count(std::uint64_t number, const char* what) {
    return std::to_string(number) + " " + what + (number == 1 ? "" : "s");
}

// The file that clients lock while one of them starts a private broker. One that holds it now goes
// on to start the next broker, and keeps its file.
void remove_start_lock(const std::string& path) noexcept {
    const Fd file(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
    if (file && ::flock(file.get(), LOCK_EX | LOCK_NB) == 0) ::unlink(path.c_str());
}

void count_books(const ControlView& view, Leftovers& left) {
    for (std::uint32_t slot = 0; slot < view.limits.destinations; ++slot) {
        const DestinationSlot& destination = view.destination(slot);
        // SYNC(slot_live) acquire: the slot's books belong to this destination.
        if (destination.state.load(std::memory_order_acquire) != SlotState::live) continue;
        ++left.destinations;
        // relaxed: their writer is dead, nothing changes any more.
        left.messages += destination.books.depth_messages.load(std::memory_order_relaxed);
        // relaxed: as above.
        left.bytes += destination.books.depth_bytes.load(std::memory_order_relaxed);
    }
}

}  // namespace

// The look follows the lock: a file that is replaced afterwards is replaced by who broke L2.
LockOutcome lock_standing(int file, const std::string& path) noexcept {
    struct flock whole {};
    whole.l_type = F_WRLCK;
    whole.l_whence = SEEK_SET;
    const bool locked = ::fcntl(file, F_OFD_SETLK, &whole) == 0;
    if (!locked && errno != EAGAIN && errno != EACCES) return LockOutcome::failed;
    if (!stands_under(path, file)) return LockOutcome::replaced;
    return locked ? LockOutcome::taken : LockOutcome::held;
}

Result<NameLock, Error<StartFailure>> NameLock::take(const std::string& name,
                                                     const Places& places) {
    for (int attempt = 0; attempt < attempts_max; ++attempt) {
        if (auto made = make_directory(places); !made)
            return fail(StartFailure::refused, made.error().sentence);
        constexpr int flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW;
        Fd file(::open(places.lock.c_str(), flags, 0600));
        if (!file && errno == ENOENT) continue;  // somebody has just removed the directory
        if (!file)
            return fail(StartFailure::refused,
                        "cannot open " + places.lock + ": " + errno_text(errno));
        switch (lock_standing(file.get(), places.lock)) {
            case LockOutcome::taken: break;
            case LockOutcome::replaced: continue;
            case LockOutcome::held:
                return fail(StartFailure::already_runs,
                            "a broker named \"" + name + "\" already runs (pid " +
                                pid_in(file.get()) + "): stop it with 'weir stop --name " + name +
                                "' or choose another --name");
            case LockOutcome::failed:
                return fail(StartFailure::refused,
                            "cannot lock " + places.lock + ": " + errno_text(errno));
        }
        write_pid(file.get());
        return NameLock(std::move(file), places);
    }
    return fail(StartFailure::refused,
                places.lock +
                    " is made and removed all the time by somebody else: find out who "
                    "starts and stops brokers of this name");
}

void NameLock::release() noexcept {
    if (!file_) return;
    ::unlink(places_.socket.c_str());
    remove_start_lock(places_.start_lock);
    ::unlink(places_.lock.c_str());
    file_.reset();
    ::rmdir(places_.directory.c_str());  // ENOTEMPTY: others live there
}

std::string Leftovers::sentence(const std::string& name) const {
    if (!found) return "";
    const std::string who = "a broker named \"" + name + "\" had ended without stopping";
    if (!why_unread.empty())
        return who + "; its books cannot be read (" + why_unread + "), what it held is discarded";
    return who + " (pid " + std::to_string(pid) + "); discarded: " + count(messages, "message") +
           " (" + format_size(bytes) + ") of " + count(destinations, "destination");
}

Result<Leftovers, Error<StartFailure>> clear_leftovers(const std::string& name,
                                                       const Places& places) {
    Leftovers left;
    ::unlink(places.socket.c_str());
    auto old = ControlRegion::open(name);
    if (!old && old.error().code == MemoryError::not_found) return left;
    left.found = true;
    if (old) {
        const Superblock& super = old->superblock();
        left.pid = super.broker_pid;
        left.epoch = super.epoch;
        // L3. In a container nobody may collect the dead: a zombie still has its number.
        if (lives(static_cast<pid_t>(super.broker_pid), super.broker_start_time))
            return fail(StartFailure::already_runs,
                        "a broker named \"" + name + "\" already runs (pid " +
                            std::to_string(left.pid) +
                            ") with another runtime directory: choose another --name");
        count_books(old->view(), left);
    } else {
        left.why_unread = old.error().sentence;
    }
    if (!ControlRegion::remove(name))
        return fail(StartFailure::refused,
                    "/dev/shm/" + ControlRegion::object_name(name) +
                        " is left from an earlier broker and cannot be removed: remove it");
    return left;
}

}  // namespace weir::broker
