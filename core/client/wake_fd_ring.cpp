// SPDX-License-Identifier: Apache-2.0
//
// Waiting on a word through io_uring; see wake_fd.hpp. liburing 2.3 does not know the operation, so
// its submission entry is filled by hand.
//
// What is offered for epoll is an eventfd that the ring signals, and completions are run only when
// this side asks for them (DEFER_TASKRUN). Otherwise the kernel would interrupt the waiting thread
// to run them, and its epoll_wait would return EINTR at each message (tried). Such a ring belongs
// to the thread that made it. A consumer that has moved to another thread gets a new ring behind
// the same eventfd; the kernel ends the old one's wait a moment later, which is the one exception
// from F1.
#include <liburing.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>

#include "core/base/fd.hpp"
#include "core/client/wake_fd.hpp"

namespace weir::detail {
namespace {

constexpr std::uint8_t wait_on_several = 53;  // IORING_OP_FUTEX_WAITV
constexpr unsigned entries = 4;
constexpr unsigned flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;

enum class Tag : std::uint64_t { wait = 1, period, hang_up, cancel };

std::uint64_t number(Tag tag) noexcept { return static_cast<std::uint64_t>(tag); }

class RingWakeFd final : public WakeFd {
public:
    RingWakeFd() : event_(::eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK)) {}
    ~RingWakeFd() override {
        disarm();
        end();
    }

    // False where io_uring is refused or does not know how to wait on a word.
    bool start() noexcept {
        if (!event_ || !begin()) return false;
        // A wait that ends at once, because the word differs, shows whether the operation is known.
        const std::atomic<std::uint32_t> probe{1};
        arm(waited(probe, 0), {});
        disarm();
        return result_ == -EAGAIN;
    }

    int fd() const noexcept override { return event_.get(); }

    void arm(const WaitedWord& word, const BrokerSigns& broker) noexcept override {
        std::uint64_t count = 0;
        static_cast<void>(
            !::read(event_.get(), &count, sizeof count));  // EAGAIN: it was unreadable
        if (submit_wait(word, broker) == -EEXIST) {
            end();
            if (begin()) submit_wait(word, broker);
        }
        io_uring_cqe* done = nullptr;
        // It may have ended in its submission; and where it could not begin, nobody will signal.
        if (outstanding_ == 0 || io_uring_peek_cqe(&ring_, &done) == 0) make_readable();
    }

    void disarm() noexcept override {
        if (outstanding_ == 0) return;
        unsigned cancels = 0;
        for (const Tag tag : {Tag::wait, Tag::hang_up}) {
            if (tag == Tag::hang_up && !watches_socket_) continue;
            io_uring_sqe* const cancel = io_uring_get_sqe(&ring_);
            io_uring_prep_cancel64(cancel, number(tag), 0);
            cancel->user_data = number(Tag::cancel);
            ++cancels;
        }
        if (io_uring_submit(&ring_) < 0) {  // EEXIST: made by another thread
            end();
            static_cast<void>(begin());
        } else {
            for (outstanding_ += cancels; outstanding_ != 0;) {
                io_uring_cqe* done = nullptr;
                if (io_uring_wait_cqe(&ring_, &done) != 0) continue;  // EINTR
                if (done->user_data == number(Tag::wait)) result_ = done->res;
                io_uring_cqe_seen(&ring_, done);
                --outstanding_;
            }
        }
        make_readable();  // F2
    }

private:
    bool begin() noexcept {
        if (io_uring_queue_init(entries, &ring_, flags) != 0) return false;
        ready_ = true;
        return io_uring_register_eventfd(&ring_, event_.get()) == 0;
    }
    void end() noexcept {
        if (ready_) io_uring_queue_exit(&ring_);
        ready_ = false;
        outstanding_ = 0;
    }

    int submit_wait(const WaitedWord& word, const BrokerSigns& broker) noexcept {
        if (!ready_) return -EBADF;
        io_uring_sqe* const wait = io_uring_get_sqe(&ring_);
        io_uring_prep_nop(wait);
        wait->opcode = wait_on_several;
        wait->fd = 0;                                         // unused; a nop's is -1
        wait->addr = reinterpret_cast<std::uint64_t>(&word);  // NOLINT: as it takes it
        wait->len = 1;
        wait->flags |= IOSQE_IO_LINK;
        wait->user_data = number(Tag::wait);
        io_uring_sqe* const period = io_uring_get_sqe(&ring_);
        period_.tv_sec = static_cast<std::int64_t>(broker.period_ns() / 1'000'000'000);
        io_uring_prep_link_timeout(period, &period_, 0);
        period->user_data = number(Tag::period);
        watches_socket_ = broker.socket >= 0;
        if (watches_socket_) {
            io_uring_sqe* const hang_up = io_uring_get_sqe(&ring_);
            io_uring_prep_poll_add(hang_up, broker.socket, POLLRDHUP);
            hang_up->user_data = number(Tag::hang_up);
        }
        const int submitted = io_uring_submit(&ring_);
        if (submitted > 0) outstanding_ = watches_socket_ ? 3 : 2;
        return submitted;
    }

    void make_readable() noexcept {
        const std::uint64_t one = 1;
        static_cast<void>(!::write(event_.get(), &one, sizeof one));  // EAGAIN: it is readable
    }

    Fd event_;
    io_uring ring_{};
    bool ready_ = false;
    bool watches_socket_ = false;
    unsigned outstanding_ = 0;  // completions still to come
    std::int32_t result_ = 0;   // of the last wait
    __kernel_timespec period_{};
};

}  // namespace

std::unique_ptr<WakeFd> make_wake_fd_ring() {
    auto ring = std::make_unique<RingWakeFd>();
    if (!ring->start()) return nullptr;
    return ring;
}

}  // namespace weir::detail
