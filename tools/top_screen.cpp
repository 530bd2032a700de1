// SPDX-License-Identifier: Apache-2.0
#include "tools/top_screen.hpp"

#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <string_view>

#include "core/base/clock.hpp"

namespace weir::tools {
namespace {

constexpr std::string_view enter_screen = "\x1b[?1049h\x1b[?25l\x1b[2J";
constexpr std::string_view leave_screen = "\x1b[?25h\x1b[?1049l";
// Ask it to end. The rest of the fatal ones are failures of this program.
constexpr int end_signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
constexpr int fatal_signals[] = {SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE};

termios found;  // as the terminal was found
volatile std::sig_atomic_t on_screen = 0;
volatile std::sig_atomic_t end_asked = 0;
volatile std::sig_atomic_t size_changed = 0;

bool put(std::string_view text) noexcept {
    while (!text.empty()) {
        const ssize_t written = ::write(STDOUT_FILENO, text.data(), text.size());
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return false;
        text.remove_prefix(static_cast<std::size_t>(written));
    }
    return true;
}

// Keys come one by one and are not shown; signals of the keyboard stay signals.
void enter() noexcept {
    termios keys = found;
    keys.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
    keys.c_cc[VMIN] = 0;
    keys.c_cc[VTIME] = 0;
    ::tcsetattr(STDIN_FILENO, TCSANOW, &keys);
    put(enter_screen);
    on_screen = 1;
}

void leave() noexcept {
    if (on_screen == 0) return;
    on_screen = 0;
    put(leave_screen);
    ::tcsetattr(STDIN_FILENO, TCSANOW, &found);
}

void on_end(int) { end_asked = 1; }
void on_size(int) { size_changed = 1; }

void on_fatal(int number) {
    leave();
    std::signal(number, SIG_DFL);
    std::raise(number);
}

void watch(int number, void (*handler)(int)) {
    struct sigaction action {};
    action.sa_handler = handler;
    sigemptyset(&action.sa_mask);
    ::sigaction(number, &action, nullptr);
}

// The screen is left, the process stops as the shell expects, and goes on here when continued.
void on_stop(int) {
    const int saved = errno;
    leave();
    watch(SIGTSTP, SIG_DFL);
    sigset_t only;
    sigemptyset(&only);
    sigaddset(&only, SIGTSTP);
    std::raise(SIGTSTP);
    ::sigprocmask(SIG_UNBLOCK, &only, nullptr);  // here it stops
    watch(SIGTSTP, on_stop);
    enter();
    size_changed = 1;
    errno = saved;
}

}  // namespace

bool Screen::possible() noexcept {
    return ::isatty(STDIN_FILENO) == 1 && ::isatty(STDOUT_FILENO) == 1;
}

Screen::Screen() {
    ::tcgetattr(STDIN_FILENO, &found);
    for (const int number : end_signals) watch(number, on_end);
    for (const int number : fatal_signals) watch(number, on_fatal);
    watch(SIGWINCH, on_size);
    watch(SIGTSTP, on_stop);
    watch(SIGPIPE, SIG_IGN);
    enter();
}

Screen::~Screen() { leave(); }

Screen::Size Screen::size() noexcept {
    winsize window{};
    if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) != 0 || window.ws_row == 0 ||
        window.ws_col == 0)
        return {};
    return {window.ws_row, window.ws_col};
}

bool Screen::draw(const std::vector<std::string>& lines) {
    std::string text = "\x1b[H";
    for (std::size_t line = 0; line < lines.size(); ++line) {
        if (line != 0) text += "\r\n";
        text += lines[line] + "\x1b[K";
    }
    return put(text + "\x1b[J");
}

// Signals are open only while it waits, so none can come between the look at its flag and the wait.
Screen::Event Screen::wait(std::uint64_t timeout_ns) {
    sigset_t blocked;
    sigset_t before;
    sigemptyset(&blocked);
    for (const int number : end_signals) sigaddset(&blocked, number);
    sigaddset(&blocked, SIGWINCH);
    ::sigprocmask(SIG_BLOCK, &blocked, &before);
    const std::uint64_t until_ns = monotonic_ns() + timeout_ns;
    Event event = Event::time_passed;
    for (;;) {
        if (end_asked != 0) event = Event::quit;
        if (event == Event::quit) break;
        if (size_changed != 0) {
            size_changed = 0;
            event = Event::resized;
            break;
        }
        const std::uint64_t now_ns = monotonic_ns();
        if (now_ns >= until_ns) break;
        const std::uint64_t left_ns = until_ns - now_ns;
        const timespec span{static_cast<time_t>(left_ns / ns_per_s),
                            static_cast<long>(left_ns % ns_per_s)};
        pollfd keyboard{STDIN_FILENO, POLLIN, 0};
        if (::ppoll(&keyboard, 1, &span, &before) <= 0) continue;
        char key = 0;
        const ssize_t length = ::read(STDIN_FILENO, &key, 1);
        const bool gone = length == 0 || (length < 0 && errno != EINTR && errno != EAGAIN);
        if (gone || key == 'q' || key == 'Q') event = Event::quit;
    }
    ::sigprocmask(SIG_SETMASK, &before, nullptr);
    return event;
}

}  // namespace weir::tools
