// SPDX-License-Identifier: Apache-2.0
//
// A terminal as a full screen: entered, drawn, and left as it was found, however the program ends.
//
// Plain ANSI sequences are enough for lines of text: the alternate screen keeps what stood there,
// so leaving brings it back. Leaving is two calls that a signal handler may make (tcsetattr and
// write), so it also happens when the program is ended by a signal or by a failed check; only
// SIGKILL leaves a terminal to `reset`. SIGTSTP leaves the screen, and SIGCONT enters it again.
#ifndef WEIR_TOOLS_TOP_SCREEN_HPP
#define WEIR_TOOLS_TOP_SCREEN_HPP

#include <cstdint>
#include <string>
#include <vector>

namespace weir::tools {

class Screen {
public:
    // Standard input and output are a terminal.
    static bool possible() noexcept;

    // One at a time.
    Screen();
    ~Screen();
    Screen(const Screen&) = delete;
    Screen& operator=(const Screen&) = delete;

    struct Size {
        std::size_t lines = 24;
        std::size_t columns = 80;
    };
    static Size size() noexcept;

    // Draws over what stands there. False: the terminal is gone.
    static bool draw(const std::vector<std::string>& lines);

    enum class Event { time_passed, resized, quit };
    // Waits for a key, a new size or the time.
    static Event wait(std::uint64_t timeout_ns);
};

}  // namespace weir::tools

#endif  // WEIR_TOOLS_TOP_SCREEN_HPP
