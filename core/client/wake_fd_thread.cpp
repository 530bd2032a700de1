// SPDX-License-Identifier: Apache-2.0
//
// Waiting on a word by a thread; see wake_fd.hpp. The thread waits on several words at once
// (futex_waitv): the one it was armed for, its own, by which it is called back, and the broker's
// life.
//
//   own word   even: at rest; odd: armed. Stepped by `arm` and `disarm` only.
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <climits>
#include <span>
#include <thread>

#include "core/base/clock.hpp"
#include "core/base/fd.hpp"
#include "core/client/wake_fd.hpp"
#include "shm/futex.hpp"

namespace weir::detail {
namespace {

class ThreadWakeFd final : public WakeFd {
public:
    ThreadWakeFd() : event_(::eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK)) {}
    ~ThreadWakeFd() override {
        if (!thread_.joinable()) return;
        disarm();
        // relaxed: nothing is handed over with it; the word below is stepped behind it.
        ending_.store(true, std::memory_order_relaxed);
        step();
        thread_.join();
    }

    bool start() {
        if (!event_ || !futex_waits_on_several()) return false;
        thread_ = std::thread([this] { run(); });
        return true;
    }

    int fd() const noexcept override { return event_.get(); }

    void arm(const WaitedWord& word, const BrokerSigns& broker) noexcept override {
        std::uint64_t count = 0;
        static_cast<void>(
            !::read(event_.get(), &count, sizeof count));  // EAGAIN: it was unreadable
        word_ = word;
        broker_ = broker;
        armed_ = true;
        step();
    }

    void disarm() noexcept override {
        if (!armed_) return;
        armed_ = false;
        const std::uint32_t called = step();
        for (;;) {
            // SYNC(called) acquire: the thread is done with the word it waited on.
            const std::uint32_t answered = answers_.load(std::memory_order_acquire);
            if (answered == called) break;
            futex_wait(answers_, answered, no_deadline);
        }
        make_readable();  // F2, also when the thread was called back before it began
    }

private:
    void make_readable() noexcept {
        const std::uint64_t one = 1;
        static_cast<void>(!::write(event_.get(), &one, sizeof one));  // EAGAIN: it is readable
    }
    // Calls the thread; the new value of its word.
    std::uint32_t step() noexcept {
        // SYNC(called) release: what the thread is to wait on is set.
        const std::uint32_t now = calls_.fetch_add(1, std::memory_order_acq_rel) + 1;
        futex_wake(calls_, 1);
        return now;
    }

    void answer(std::uint32_t call) noexcept {
        // SYNC(called) release: the wait is over and the descriptor readable.
        answers_.store(call, std::memory_order_release);
        futex_wake(answers_, INT_MAX);
    }

    // Until the word, the broker's life, or `call` is over, or the period.
    void wait(std::uint32_t call) noexcept {
        const std::uint64_t until_ns = monotonic_ns() + broker_.period_ns();
        std::array words{word_, waited(calls_, call), waited(calls_, call)};
        // relaxed: nothing was published with it.
        const auto life = [&] { return broker_.life->load(std::memory_order_relaxed); };
        const std::uint32_t lived = broker_.life != nullptr ? life() : 0;
        if (is_looked_after(lived)) {
            words[2] = waited(*broker_.life, lived);
            futex_wait_any(words, until_ns);
        } else if (!has_ended(lived)) {
            futex_wait_any(std::span(words).first(2), until_ns);
        }
        if (broker_.life != nullptr && has_ended(life())) pass_on_the_end(*broker_.life);
    }

    void run() noexcept {
        std::uint32_t done = 0;  // the last call that was dealt with
        for (;;) {
            // SYNC(called) acquire: what to wait on is set.
            const std::uint32_t call = calls_.load(std::memory_order_acquire);
            if (call == done) {
                futex_wait(calls_, done, no_deadline);
                continue;
            }
            done = call;
            // relaxed: stored before the step that was just seen.
            if (ending_.load(std::memory_order_relaxed)) return;
            if (call % 2 == 1) {  // armed
                wait(call);
                make_readable();
            }
            answer(call);
        }
    }

    Fd event_;
    std::thread thread_;
    WaitedWord word_{};
    BrokerSigns broker_;
    bool armed_ = false;
    std::atomic<bool> ending_{false};
    std::atomic<std::uint32_t> calls_{0};
    std::atomic<std::uint32_t> answers_{0};
};

}  // namespace

std::unique_ptr<WakeFd> make_wake_fd_thread() {
    auto thread = std::make_unique<ThreadWakeFd>();
    if (!thread->start()) return nullptr;
    return thread;
}

std::unique_ptr<WakeFd> WakeFd::make() {
    if (auto ring = make_wake_fd_ring()) return ring;
    return make_wake_fd_thread();
}

}  // namespace weir::detail
