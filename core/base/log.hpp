// SPDX-License-Identifier: Apache-2.0
//
// What the broker and the tools tell whoever runs them.
//
// A line of log is a sentence for an administrator: what happened, to whom, and what to do. It goes
// to standard error (--foreground, tools) or to syslog (a broker in the background). The library
// behind it stays in log.cpp; format strings are checked when compiled.
//
//   log::start(log::Target::syslog, log::Level::info, "weir");
//   log::warning("{} waits for memory since {} s", destination, seconds);
//
// Before start() warnings and errors go to standard error. Client code does not log: a library has
// no voice in its host's process.
#ifndef WEIR_CORE_BASE_LOG_HPP
#define WEIR_CORE_BASE_LOG_HPP

#include <fmt/format.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace weir::log {

enum class Level { debug, info, warning, error };
enum class Target { standard_error, syslog };

// May be called again, for instance after a broker went into the background.
void start(Target target, Level level, const std::string& program);

bool enabled(Level level) noexcept;
void write(Level level, std::string_view line);

template <class... Values>
void debug(fmt::format_string<Values...> format, Values&&... values) {
    if (!enabled(Level::debug)) return;
    write(Level::debug, fmt::format(format, std::forward<Values>(values)...));
}

template <class... Values>
void info(fmt::format_string<Values...> format, Values&&... values) {
    if (!enabled(Level::info)) return;
    write(Level::info, fmt::format(format, std::forward<Values>(values)...));
}

template <class... Values>
void warning(fmt::format_string<Values...> format, Values&&... values) {
    if (!enabled(Level::warning)) return;
    write(Level::warning, fmt::format(format, std::forward<Values>(values)...));
}

template <class... Values>
void error(fmt::format_string<Values...> format, Values&&... values) {
    if (!enabled(Level::error)) return;
    write(Level::error, fmt::format(format, std::forward<Values>(values)...));
}

// Keeps a recurring event from filling the log: at most one line per key and interval.
//
//   if (auto silent = blocked_.due(name, clock.now_ns()))
//       log::warning("{} is at its limit ({} more times since the last line)", name, *silent);
//
// The table of keys is bounded. When it is full, the key that spoke longest ago makes room; it may
// then speak early, which costs a line and loses nothing.
class Every {
public:
    explicit Every(std::uint64_t interval_ns, std::size_t keys_max = 1024) noexcept
        : interval_ns_(interval_ns), keys_max_(keys_max) {}

    // How often the key was silenced since its last line, if it may speak now; else nothing.
    std::optional<std::uint64_t> due(std::string_view key, std::uint64_t now_ns);

private:
    struct Entry {
        std::uint64_t spoke_ns = 0;
        std::uint64_t silenced = 0;
    };

    void make_room();

    std::uint64_t interval_ns_;
    std::size_t keys_max_;
    std::map<std::string, Entry, std::less<>> entries_;
};

}  // namespace weir::log

#endif  // WEIR_CORE_BASE_LOG_HPP
