// SPDX-License-Identifier: Apache-2.0
#include "tools/send_lines.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "tools/end_request.hpp"

namespace weir::tools {
namespace {

constexpr std::size_t first_bytes = 64 * 1024;

}  // namespace

LineReader::Found LineReader::next() {
    for (;;) {
        const std::byte* const from = buffer_.data() + scanned_;
        const std::size_t fresh = filled_ - scanned_;
        const void* const newline = fresh == 0 ? nullptr : std::memchr(from, '\n', fresh);
        if (newline != nullptr) {
            const auto end =
                static_cast<std::size_t>(static_cast<const std::byte*>(newline) - buffer_.data());
            line_ = std::span(buffer_).subspan(begin_, end - begin_);
            begin_ = scanned_ = end + 1;
            return line_.size() > longest_ ? Found::too_long : Found::line;
        }
        scanned_ = filled_;
        if (filled_ - begin_ > longest_) return Found::too_long;
        if (ended_) {
            line_ = std::span(buffer_).subspan(begin_, filled_ - begin_);
            begin_ = filled_;
            return line_.empty() ? Found::end : Found::line;
        }
        make_room();
        const Found found = read_more();
        if (found != Found::line) return found;
    }
}

// Moves what is left of the buffer to its front, and doubles it when a line fills it.
void LineReader::make_room() {
    if (filled_ < buffer_.size() && begin_ < buffer_.size() / 2) return;
    const std::size_t left = filled_ - begin_;
    if (left != 0) std::memmove(buffer_.data(), buffer_.data() + begin_, left);
    begin_ = 0;
    scanned_ = filled_ = left;
    if (left >= buffer_.size() / 2) buffer_.resize(std::max(first_bytes, 2 * buffer_.size()));
}

LineReader::Found LineReader::read_more() {
    for (;;) {
        const auto waited = end_request::wait_for(fd_, POLLIN, end_request::without_end);
        if (waited == end_request::Waited::stop_asked) return Found::stop_asked;
        const ssize_t got = ::read(fd_, buffer_.data() + filled_, buffer_.size() - filled_);
        if (got > 0) {
            filled_ += static_cast<std::size_t>(got);
            return Found::line;
        }
        if (got == 0) {
            ended_ = true;
            return Found::line;
        }
        if (errno != EINTR && errno != EAGAIN) return Found::read_failed;
    }
}

}  // namespace weir::tools
