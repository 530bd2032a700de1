// SPDX-License-Identifier: Apache-2.0
//
// Messages as lines: into a file or terminal in batches, into a pipe one by one (recv_output.hpp).
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <span>
#include <vector>

#include "core/base/clock.hpp"
#include "core/base/errno.hpp"
#include "tools/end_request.hpp"
#include "tools/recv_output.hpp"

namespace weir::tools {
namespace {

// Also the unit of a pipe: what poll() calls writable takes this much without blocking.
constexpr std::size_t pipe_bytes = 4096;

Failure<Error<OutputEnd>> write_error(int number) {
    if (number == EPIPE) return fail(OutputEnd::reader_left, "");
    return fail(OutputEnd::failed, "cannot write to standard output: " + errno_text(number));
}

void append_line(std::vector<std::byte>& to, const Message& message) {
    const auto bytes = message.bytes();
    to.insert(to.end(), bytes.begin(), bytes.end());
    to.push_back(std::byte{'\n'});
}

class FileLines final : public Output {
public:
    explicit FileLines(int fd) : fd_(fd) {}

    Written put(const Message& message) override {
        append_line(lines_, message);
        pending_.push_back({lines_.size(), message});
        constexpr std::size_t batch_bytes = 64 * 1024;
        return lines_.size() >= batch_bytes ? flush() : Written{};
    }

    Written flush() override {
        std::size_t out = 0;
        int error = 0;
        while (out < lines_.size() && error == 0) {
            const ssize_t wrote = ::write(fd_, lines_.data() + out, lines_.size() - out);
            if (wrote >= 0) {
                out += static_cast<std::size_t>(wrote);
            } else if (errno != EINTR) {
                error = errno;
            }
        }
        acknowledge_up_to(out);
        if (error != 0) return write_error(error);
        return {};
    }

    std::uint32_t prefetch() const override { return 1000; }

private:
    struct Pending {
        std::size_t end;  // of its line in lines_
        Message message;
    };

    // O1: all whose line is out as a whole.
    void acknowledge_up_to(std::size_t out) {
        const auto first_kept = std::find_if(pending_.begin(), pending_.end(),
                                             [out](const Pending& each) { return each.end > out; });
        if (first_kept != pending_.begin()) std::prev(first_kept)->message.acknowledge();
        pending_.clear();
        lines_.clear();
    }

    int fd_;
    std::vector<std::byte> lines_;
    std::vector<Pending> pending_;
};

class PipeLines final : public Output {
public:
    explicit PipeLines(int fd) : fd_(fd) {
        // Refused while more than a page is in it; then is_empty() below does without.
        ::fcntl(fd_, F_SETPIPE_SZ, static_cast<int>(pipe_bytes));
    }

    Written put(const Message& message) override {
        line_.clear();
        append_line(line_, message);
        for (std::span<const std::byte> left(line_); !left.empty();) {
            const auto waited = end_request::wait_for(fd_, POLLOUT, end_request::without_end);
            if (waited == end_request::Waited::stop_asked) return fail(OutputEnd::stop_asked, "");
            const ssize_t wrote = ::write(fd_, left.data(), std::min(left.size(), pipe_bytes));
            if (wrote >= 0) {
                left = left.subspan(static_cast<std::size_t>(wrote));
            } else if (errno != EINTR && errno != EAGAIN) {
                return write_error(errno);
            }
        }
        if (auto taken = wait_until_taken(); !taken) return taken;
        message.acknowledge();
        return {};
    }

    int left_fd() const override { return fd_; }
    bool reader_left() const override {
        pollfd look{fd_, 0, 0};
        return ::poll(&look, 1, 0) > 0 && (look.revents & POLLERR) != 0;
    }

    std::uint32_t prefetch() const override { return 1; }

private:
    // A reader that took everything and left did take it: emptiness is asked first.
    Written wait_until_taken() const {
        while (!is_empty()) {
            if (reader_left()) {
                if (is_empty()) return {};
                return fail(OutputEnd::reader_left, "");
            }
            // A pipe of one page is writable exactly when it is empty. In a larger one it is
            // writable before, so a pause keeps this from spinning.
            const auto waited = end_request::wait_for(fd_, POLLOUT, end_request::without_end);
            if (waited == end_request::Waited::stop_asked && !is_empty())
                return fail(OutputEnd::stop_asked, "");
            if (!is_empty()) end_request::sleep_until(monotonic_ns() + ns_per_ms);
        }
        return {};
    }

    bool is_empty() const {
        int left = 0;
        return ::ioctl(fd_, FIONREAD, &left) == 0 && left == 0;
    }

    int fd_;
    std::vector<std::byte> line_;
};

}  // namespace

std::unique_ptr<Output> make_line_output(int fd) {
    struct stat status {};
    if (::fstat(fd, &status) == 0 && S_ISFIFO(status.st_mode))
        return std::make_unique<PipeLines>(fd);
    return std::make_unique<FileLines>(fd);
}

}  // namespace weir::tools
