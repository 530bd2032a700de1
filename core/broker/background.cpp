// SPDX-License-Identifier: Apache-2.0
//
// Fork, report, detach; see background.hpp.
//
// The report is lines: "ready", then the socket and one notice per line; or "failed", the number of
// the StartFailure and the sentence. Neither sentences nor paths that Weir makes have line breaks;
// one in a path of the user would only cut a sentence.
#include "core/broker/background.hpp"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <sstream>

#include "core/base/errno.hpp"
#include "core/base/fd.hpp"
#include "core/base/log.hpp"

namespace weir::broker {
namespace {

void write_all(int fd, std::string_view text) {
    while (!text.empty()) {
        const ssize_t written = ::write(fd, text.data(), text.size());
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return;  // the parent is gone: nobody wants to know
        text.remove_prefix(static_cast<std::size_t>(written));
    }
}

std::string read_all(int fd) {
    std::string text;
    std::array<char, 4096> part{};
    for (;;) {
        const ssize_t length = ::read(fd, part.data(), part.size());
        if (length < 0 && errno == EINTR) continue;
        if (length <= 0) return text;
        text.append(part.data(), static_cast<std::size_t>(length));
    }
}

// Nothing of the terminal stays open, or a pipeline that waits for its end would wait for the
// broker's.
void leave_terminal() {
    if (::chdir("/") != 0) return;  // the root always exists; a busy directory would do no harm
    Fd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    if (!null) return;
    for (const int standard : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
        ::dup2(null.get(), standard);
}

[[noreturn]] void run_child(const BrokerConfig& config, Fd report) {
    ::setsid();
    log::start(log::Target::syslog, log::Level::info, "weir");
    const auto ready = [&report](const Ready& news) {
        std::string text = "ready\n" + news.socket + "\n";
        for (const std::string& notice : news.notices) text += notice + "\n";
        write_all(report.get(), text);
        report.reset();
        leave_terminal();
    };
    auto ended = run_broker(config, ready);
    if (!ended) {
        log::error("{}", ended.error().sentence);
        if (report)
            write_all(report.get(), "failed\n" +
                                        std::to_string(static_cast<int>(ended.error().code)) +
                                        "\n" + ended.error().sentence + "\n");
    }
    // Not exit(): what the parent had registered and buffered is the parent's to flush.
    ::_exit(ended ? EXIT_SUCCESS : EXIT_FAILURE);
}

Failure<Error<StartFailure>> ended_silently(pid_t child) {
    int status = 0;
    std::string how = "ended";
    if (::waitpid(child, &status, 0) == child && WIFSIGNALED(status))
        how = "was killed by signal " + std::to_string(WTERMSIG(status));
    return fail(StartFailure::refused,
                "the broker " + how +
                    " before it was ready: start it with --foreground to see what it does");
}

}  // namespace

Result<Ready, Error<StartFailure>> run_in_background(const BrokerConfig& config) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0)
        return fail(StartFailure::refused, "cannot make a pipe: " + errno_text(errno));
    Fd reader(ends[0]);
    Fd writer(ends[1]);
    const pid_t child = ::fork();
    if (child < 0)
        return fail(StartFailure::refused, "cannot start a process: " + errno_text(errno));
    if (child == 0) {
        reader.reset();
        run_child(config, std::move(writer));
    }
    writer.reset();
    std::istringstream report(read_all(reader.get()));
    std::string verdict;
    std::string line;
    std::getline(report, verdict);
    if (verdict == "ready") {
        Ready news;
        news.name = config.name;
        news.pid = child;
        std::getline(report, news.socket);
        while (std::getline(report, line)) news.notices.push_back(line);
        return news;
    }
    if (verdict == "failed") {
        ::waitpid(child, nullptr, 0);
        int code = 0;
        report >> code >> std::ws;
        std::getline(report, line);
        return fail(static_cast<StartFailure>(code), line);
    }
    return ended_silently(child);
}

}  // namespace weir::broker
