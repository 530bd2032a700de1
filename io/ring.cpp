// SPDX-License-Identifier: Apache-2.0
//
// The ring of ring.hpp over liburing 2.3, which is included here only.
//
// The kernel's completion queue is bounded, what it has completed is not: the rest it keeps aside
// and moves up when wait() finds room, for which EBUSY asks. So none is lost, and `noted` holds
// only those of operations that the kernel would not even take.
#include "io/ring.hpp"

#include <fcntl.h>
#include <liburing.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/base/check.hpp"
#include "core/base/clock.hpp"
#include "core/base/errno.hpp"
#include "core/base/fd.hpp"

namespace weir::io {
namespace {

// What a loop can have in flight is not bounded by this. It is room for a few completions of each
// operation of a batch, so that in normal running the kernel need not keep any aside.
constexpr unsigned completions_per_entry = 4;

// The library's own mark for the timeouts it queues (LIBURING_UDATA_TIMEOUT).
constexpr Token token_reserved = UINT64_MAX;

__kernel_timespec timespec_of(std::uint64_t ns) noexcept {
    __kernel_timespec spec{};
    spec.tv_sec = static_cast<std::int64_t>(ns / ns_per_s);
    spec.tv_nsec = static_cast<long long>(ns % ns_per_s);
    return spec;
}

std::string setting_of_this_host() {
    Fd file(::open("/proc/sys/kernel/io_uring_disabled", O_RDONLY | O_CLOEXEC));
    std::array<char, 16> text{};
    ssize_t length = file ? ::read(file.get(), text.data(), text.size()) : 0;
    return length > 0 ? std::string(text.data(), static_cast<std::size_t>(length)) : "";
}

Completion completion_of(const io_uring_cqe& entry) noexcept {
    return {entry.user_data, entry.res, entry.flags};
}

}  // namespace

bool Completion::more() const noexcept { return (flags & IORING_CQE_F_MORE) != 0; }

struct Ring::Inside {
    explicit Inside(unsigned entries, io_uring_params& params)
        : setup_error(-::io_uring_queue_init_params(entries, &ring, &params)) {
        if (setup_error != 0) return;
        handed_out.reserve(params.cq_entries);
        ::io_uring_ring_dontfork(&ring);  // a forked child must not share the queues
    }

    ~Inside() {
        if (setup_error != 0) return;
        // What was queued but never handed over must not start now: the kernel does not look at it.
        io_uring_sync_cancel_reg everything{};
        everything.flags = IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL;
        everything.timeout = timespec_of(ns_per_s);
        // Nothing to cancel (ENOENT) is fine; before Linux 6.0 (EINVAL) the kernel cancels behind
        // the exit below, which R3's owners of sockets do not notice: their data is discarded.
        static_cast<void>(::io_uring_register_sync_cancel(&ring, &everything));
        ::io_uring_queue_exit(&ring);
    }

    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;

    // An entry of the queue, or null: then the operation has already completed with the reason.
    io_uring_sqe* entry_for(Token token) {
        WEIR_CHECK(token != token_reserved);
        if (io_uring_sqe* entry = ::io_uring_get_sqe(&ring)) return entry;
        int submitted = ::io_uring_submit(&ring);
        if (io_uring_sqe* entry = ::io_uring_get_sqe(&ring)) return entry;
        noted.push_back({token, submitted < 0 ? submitted : -EAGAIN, 0});
        return nullptr;
    }

    io_uring_cqe* next_completion() {
        io_uring_cqe* entry = nullptr;
        return ::io_uring_peek_cqe(&ring, &entry) == 0 ? entry : nullptr;
    }

    // The place of the registered buffer that holds all of `piece`, or none.
    std::optional<int> place_of(const iovec& piece) const noexcept {
        const auto* const first = static_cast<const std::byte*>(piece.iov_base);
        for (std::size_t place = 0; place < buffers.size(); ++place) {
            const std::span<std::byte> buffer = buffers[place];
            const bool inside = std::greater_equal<>{}(first, buffer.data()) &&
                                std::less_equal<>{}(first, buffer.data() + buffer.size());
            if (!buffer.empty() && inside &&
                piece.iov_len <= static_cast<std::size_t>(buffer.data() + buffer.size() - first))
                return static_cast<int>(place);
        }
        return std::nullopt;
    }

    io_uring ring{};
    std::vector<std::span<std::byte>> buffers;  // by place; empty: not registered
    std::deque<Completion> noted;
    std::vector<Completion> handed_out;
    int setup_error;
};

Result<Ring, Error<RingFailure>> Ring::create(unsigned entries) {
    WEIR_CHECK(entries > 0);
    io_uring_params params{};
    // SUBMIT_ALL: one bad operation must not keep the others back (5.18). COOP_TASKRUN: completions
    // do not interrupt a loop that is working, it meets them at its next call (5.19).
    params.flags = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | IORING_SETUP_SUBMIT_ALL |
                   IORING_SETUP_COOP_TASKRUN;
    params.cq_entries = entries * completions_per_entry;
    auto inside = std::make_unique<Inside>(entries, params);
    if (inside->setup_error != 0)
        return fail(explain_refusal(inside->setup_error, setting_of_this_host()));
    return Ring(std::move(inside));
}

Ring::Ring(std::unique_ptr<Inside> inside) noexcept : inside_(std::move(inside)) {}
Ring::Ring(Ring&&) noexcept = default;
Ring& Ring::operator=(Ring&&) noexcept = default;
Ring::~Ring() = default;

void Ring::accept(int listener, Token token) {
    io_uring_sqe* entry = inside_->entry_for(token);
    if (entry == nullptr) return;
    ::io_uring_prep_multishot_accept(entry, listener, nullptr, nullptr,
                                     SOCK_CLOEXEC | SOCK_NONBLOCK);
    ::io_uring_sqe_set_data64(entry, token);
}

void Ring::receive(int socket, msghdr& message, int flags, Token token) {
    io_uring_sqe* entry = inside_->entry_for(token);
    if (entry == nullptr) return;
    ::io_uring_prep_recvmsg(entry, socket, &message,
                            static_cast<unsigned>(flags | MSG_CMSG_CLOEXEC));
    ::io_uring_sqe_set_data64(entry, token);
}

void Ring::read(int fd, std::span<std::byte> buffer, Token token) {
    WEIR_CHECK(buffer.size() <= INT32_MAX);  // the completion's result is 32 bits wide
    io_uring_sqe* entry = inside_->entry_for(token);
    if (entry == nullptr) return;
    constexpr std::uint64_t own_position = UINT64_MAX;
    ::io_uring_prep_read(entry, fd, buffer.data(), static_cast<unsigned>(buffer.size()),
                         own_position);
    ::io_uring_sqe_set_data64(entry, token);
}

void Ring::poll(int fd, short events, Token token) {
    io_uring_sqe* entry = inside_->entry_for(token);
    if (entry == nullptr) return;
    ::io_uring_prep_poll_add(entry, fd, static_cast<unsigned short>(events));
    ::io_uring_sqe_set_data64(entry, token);
}

void Ring::cancel(Token target, Token token) {
    io_uring_sqe* entry = inside_->entry_for(token);
    if (entry == nullptr) return;
    ::io_uring_prep_cancel64(entry, target, 0);
    ::io_uring_sqe_set_data64(entry, token);
}

void Ring::open(const char* path, int flags, unsigned mode, Token token) {
    io_uring_sqe* entry = inside_->entry_for(token);
    if (entry == nullptr) return;
    ::io_uring_prep_openat(entry, AT_FDCWD, path, flags | O_CLOEXEC, mode);
    ::io_uring_sqe_set_data64(entry, token);
}

void Ring::close(int fd, Token token) {
    io_uring_sqe* entry = inside_->entry_for(token);
    if (entry == nullptr) return;
    ::io_uring_prep_close(entry, fd);
    ::io_uring_sqe_set_data64(entry, token);
}

void Ring::unlink(const char* path, Token token) {
    io_uring_sqe* entry = inside_->entry_for(token);
    if (entry == nullptr) return;
    ::io_uring_prep_unlink(entry, path, 0);
    ::io_uring_sqe_set_data64(entry, token);
}

void Ring::make_directory(const char* path, unsigned mode, Token token) {
    io_uring_sqe* entry = inside_->entry_for(token);
    if (entry == nullptr) return;
    ::io_uring_prep_mkdir(entry, path, mode);
    ::io_uring_sqe_set_data64(entry, token);
}

void Ring::allocate(int fd, int mode, std::uint64_t offset, std::uint64_t bytes, Token token) {
    io_uring_sqe* entry = inside_->entry_for(token);
    if (entry == nullptr) return;
    ::io_uring_prep_fallocate(entry, fd, mode, static_cast<off_t>(offset),
                              static_cast<off_t>(bytes));
    ::io_uring_sqe_set_data64(entry, token);
}

void Ring::sync_data(int fd, Token token) {
    io_uring_sqe* entry = inside_->entry_for(token);
    if (entry == nullptr) return;
    ::io_uring_prep_fsync(entry, fd, IORING_FSYNC_DATASYNC);
    ::io_uring_sqe_set_data64(entry, token);
}

void Ring::write_at(int fd, std::span<const iovec> pieces, std::uint64_t offset, Token token) {
    WEIR_CHECK(!pieces.empty() && pieces.size() <= IOV_MAX);
    io_uring_sqe* entry = inside_->entry_for(token);
    if (entry == nullptr) return;
    const auto place = pieces.size() == 1 ? inside_->place_of(pieces[0]) : std::nullopt;
    if (place) {
        ::io_uring_prep_write_fixed(entry, fd, pieces[0].iov_base,
                                    static_cast<unsigned>(pieces[0].iov_len), offset, *place);
    } else {
        ::io_uring_prep_writev(entry, fd, pieces.data(), static_cast<unsigned>(pieces.size()),
                               offset);
    }
    ::io_uring_sqe_set_data64(entry, token);
}

void Ring::read_at(int fd, std::span<const iovec> pieces, std::uint64_t offset, Token token) {
    WEIR_CHECK(!pieces.empty() && pieces.size() <= IOV_MAX);
    io_uring_sqe* entry = inside_->entry_for(token);
    if (entry == nullptr) return;
    const auto place = pieces.size() == 1 ? inside_->place_of(pieces[0]) : std::nullopt;
    if (place) {
        ::io_uring_prep_read_fixed(entry, fd, pieces[0].iov_base,
                                   static_cast<unsigned>(pieces[0].iov_len), offset, *place);
    } else {
        ::io_uring_prep_readv(entry, fd, pieces.data(), static_cast<unsigned>(pieces.size()),
                              offset);
    }
    ::io_uring_sqe_set_data64(entry, token);
}

int Ring::make_buffer_places(unsigned places) {
    const int made = ::io_uring_register_buffers_sparse(&inside_->ring, places);
    if (made == 0) inside_->buffers.resize(places);
    return made;
}

int Ring::register_buffer(unsigned place, std::span<std::byte> buffer) {
    WEIR_CHECK(place < inside_->buffers.size());
    const iovec piece{buffer.data(), buffer.size()};
    const __u64 no_tag = 0;
    const int taken =
        ::io_uring_register_buffers_update_tag(&inside_->ring, place, &piece, &no_tag, 1);
    if (taken < 0) return taken;
    inside_->buffers[place] = buffer;
    return 0;
}

Result<Wake, Error<RingFailure>> Ring::wait(std::uint64_t timeout_ns) {
    if (!inside_->noted.empty()) {
        // A failure shows again when there is nothing noted any more.
        static_cast<void>(::io_uring_submit(&inside_->ring));
        return Wake::ready;
    }
    std::uint64_t start_ns = monotonic_ns();
    __kernel_timespec span = timespec_of(timeout_ns);
    io_uring_cqe* first = nullptr;
    constexpr unsigned completions_awaited = 1;
    int outcome =
        ::io_uring_submit_and_wait_timeout(&inside_->ring, &first, completions_awaited,
                                           timeout_ns == no_timeout ? nullptr : &span, nullptr);
    if (outcome >= 0) {
        if (inside_->next_completion() != nullptr) return Wake::ready;
        // A call that has handed something over says how much, and not why it stopped waiting.
        return monotonic_ns() - start_ns >= timeout_ns ? Wake::timeout : Wake::interrupted;
    }
    switch (-outcome) {
        case ETIME: return Wake::timeout;
        case EINTR:
        case EAGAIN: return Wake::interrupted;
        case EBUSY:  // completions stand aside: draining makes room for them
            return Wake::ready;
        case EBADR:
            return fail(RingFailure::lost,
                        "the kernel ran out of memory and dropped a completion: restart");
        case ENOMEM:
            return fail(RingFailure::exhausted, "the kernel has no memory for io_uring (ENOMEM)");
        default: return fail(RingFailure::refused, "io_uring fails with " + errno_text(-outcome));
    }
}

std::span<const Completion> Ring::drain(std::size_t count) {
    auto& [ring, buffers, noted, handed_out, setup_error] = *inside_;
    handed_out.clear();
    count = std::min(count, handed_out.capacity());
    while (handed_out.size() < count && !noted.empty()) {
        handed_out.push_back(noted.front());
        noted.pop_front();
    }
    while (handed_out.size() < count) {
        io_uring_cqe* entry = inside_->next_completion();
        if (entry == nullptr) break;
        handed_out.push_back(completion_of(*entry));
        ::io_uring_cqe_seen(&ring, entry);
    }
    return handed_out;
}

}  // namespace weir::io
