// SPDX-License-Identifier: Apache-2.0
//
// The front of log.hpp on spdlog, which is included here and nowhere else.
#include "core/base/log.hpp"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/sinks/syslog_sink.h>
#include <spdlog/spdlog.h>
#include <syslog.h>

#include <algorithm>
#include <memory>

#include "core/base/check.hpp"

namespace weir::log {
namespace {

spdlog::level::level_enum spdlog_level(Level level) noexcept {
    switch (level) {
        case Level::debug: return spdlog::level::debug;
        case Level::info: return spdlog::level::info;
        case Level::warning: return spdlog::level::warn;
        case Level::error: return spdlog::level::err;
    }
    return spdlog::level::err;
}

std::shared_ptr<spdlog::logger> make_logger(Target target, Level level,
                                            const std::string& program) {
    std::shared_ptr<spdlog::sinks::sink> sink;
    if (target == Target::syslog) {
        constexpr bool formatted = true;
        sink = std::make_shared<spdlog::sinks::syslog_sink_mt>(program, LOG_PID, LOG_DAEMON,
                                                               formatted);
        sink->set_pattern("%v");  // syslog adds time, program and level
    } else {
        sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
        sink->set_pattern("%Y-%m-%dT%H:%M:%S.%e %n %l: %v");
    }
    auto logger = std::make_shared<spdlog::logger>(program, std::move(sink));
    logger->set_level(spdlog_level(level));
    logger->flush_on(spdlog::level::debug);  // a killed process leaves its last line behind
    return logger;
}

std::shared_ptr<spdlog::logger>& current() {
    static auto logger = make_logger(Target::standard_error, Level::warning, "weir");
    return logger;
}

}  // namespace

void start(Target target, Level level, const std::string& program) {
    // The old sink goes first: a syslog sink that dies takes its successor's name away (closelog).
    current().reset();
    current() = make_logger(target, level, program);
}

bool enabled(Level level) noexcept { return current()->should_log(spdlog_level(level)); }

void write(Level level, std::string_view line) { current()->log(spdlog_level(level), line); }

std::optional<std::uint64_t> Every::due(std::string_view key, std::uint64_t now_ns) {
    auto found = entries_.find(key);
    if (found == entries_.end()) {
        if (entries_.size() >= keys_max_) make_room();
        entries_.emplace(key, Entry{now_ns, 0});
        return 0;
    }
    Entry& entry = found->second;
    if (now_ns - entry.spoke_ns < interval_ns_) {
        ++entry.silenced;
        return std::nullopt;
    }
    entry.spoke_ns = now_ns;
    return std::exchange(entry.silenced, 0);
}

void Every::make_room() {
    auto longest_ago = [](const auto& one, const auto& other) {
        return one.second.spoke_ns < other.second.spoke_ns;
    };
    WEIR_CHECK(!entries_.empty());  // keys_max of 0 would limit nothing
    entries_.erase(std::min_element(entries_.begin(), entries_.end(), longest_ago));
}

}  // namespace weir::log
