// SPDX-License-Identifier: Apache-2.0
//
// Lines of a stream, one after another, each in one piece.
//
// A line is what stands before a newline, whatever bytes it has; the last one needs no newline. The
// buffer begins small and grows to the longest line met, never beyond the largest message: a stream
// without newlines is an error with a number in it, not all of the memory.
#ifndef WEIR_TOOLS_SEND_LINES_HPP
#define WEIR_TOOLS_SEND_LINES_HPP

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace weir::tools {

class LineReader {
public:
    enum class Found {
        line,
        end,          // of the stream
        too_long,     // more than `longest` bytes without a newline
        stop_asked,   // by a signal, while waiting for input
        read_failed,  // errno says why
    };

    LineReader(int fd, std::uint64_t longest) : fd_(fd), longest_(longest) {}

    // The next line is line() until the next call.
    Found next();
    std::span<const std::byte> line() const noexcept { return line_; }

private:
    void make_room();
    Found read_more();

    int fd_;
    std::uint64_t longest_;
    std::vector<std::byte> buffer_;
    std::size_t begin_ = 0;    // of the line that comes next
    std::size_t scanned_ = 0;  // no newline between begin_ and here
    std::size_t filled_ = 0;
    bool ended_ = false;
    std::span<const std::byte> line_;
};

}  // namespace weir::tools

#endif  // WEIR_TOOLS_SEND_LINES_HPP
