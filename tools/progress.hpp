// SPDX-License-Identifier: Apache-2.0
//
// What a person at a terminal sees while messages pass: how many, how much, how fast. It is drawn
// on standard error, and only if that is a terminal: a script's log stays free of it.
#ifndef WEIR_TOOLS_PROGRESS_HPP
#define WEIR_TOOLS_PROGRESS_HPP

#include <cstdint>

namespace weir::tools {

class Progress {
public:
    Progress();

    void count(std::uint64_t bytes) {
        ++messages_;
        bytes_ += bytes;
        if (on_terminal_ && messages_ % looks_every == 0) draw_if_due();
    }
    // Where a loop pauses anyway.
    void idle() {
        if (on_terminal_) draw_if_due();
    }
    // The last figures, and the line is ended.
    void end();

    std::uint64_t messages() const noexcept { return messages_; }
    std::uint64_t bytes() const noexcept { return bytes_; }

private:
    static constexpr std::uint64_t looks_every = 64;  // so that the clock costs nothing per message

    void draw_if_due();
    void draw(std::uint64_t now_ns) const;

    bool on_terminal_;
    std::uint64_t messages_ = 0;
    std::uint64_t bytes_ = 0;
    std::uint64_t began_ns_;
    std::uint64_t drawn_ns_ = 0;
};

}  // namespace weir::tools

#endif  // WEIR_TOOLS_PROGRESS_HPP
