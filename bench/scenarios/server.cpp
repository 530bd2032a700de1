// SPDX-License-Identifier: Apache-2.0
//
// See server.hpp.
#include "bench/scenarios/server.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <utility>

#include "core/base/clock.hpp"
#include "core/base/fd.hpp"

namespace weir::bench {
namespace {

[[noreturn]] void become(const std::vector<std::string>& command, const std::string& folder,
                         pid_t parent) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(0);
    const std::string log = folder + "/log";
    const int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    const int in = ::open("/dev/null", O_RDONLY);
    if (out >= 0) {
        ::dup2(out, STDOUT_FILENO);
        ::dup2(out, STDERR_FILENO);
    }
    if (in >= 0) ::dup2(in, STDIN_FILENO);
    if (::chdir(folder.c_str()) != 0) ::_exit(126);
    const char* const path = std::getenv("PATH");
    ::setenv("PATH", (std::string(path ? path : "/usr/bin") + ":/usr/sbin").c_str(), 1);
    std::vector<char*> words;
    for (const std::string& word : command) words.push_back(const_cast<char*>(word.c_str()));
    words.push_back(nullptr);
    ::execvp(words[0], words.data());
    ::_exit(127);
}

std::string end_of_log(const std::string& folder) {
    std::ifstream file(folder + "/log");
    std::stringstream all;
    all << file.rdbuf();
    constexpr std::size_t shown = 300;
    std::string text = all.str();
    return text.size() > shown ? text.substr(text.size() - shown) : text;
}

bool connects(int family, const sockaddr* address, socklen_t length) {
    const Fd fd(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    return fd && ::connect(fd.get(), address, length) == 0;
}

sockaddr_in loopback(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

}  // namespace

Probed<Server> Server::start(const std::vector<std::string>& command, const std::string& folder,
                             const std::function<bool()>& ready) {
    ::unlink((folder + "/log").c_str());  // of the one before: `ready` may look into it
    const pid_t parent = ::getpid();
    const pid_t pid = ::fork();
    if (pid == 0) become(command, folder, parent);
    if (pid == -1) return fail_with_errno(ProbeFault::no_process, command[0] + ": fork");
    Server server(pid);
    constexpr std::uint64_t patience_ns = 10 * ns_per_s;
    constexpr unsigned look_every_us = 2'000;
    const std::uint64_t deadline_ns = monotonic_ns() + patience_ns;
    while (!ready()) {
        int status = 0;
        const bool ended = ::waitpid(pid, &status, WNOHANG) == pid;
        if (ended) server.pid_ = 0;
        if (ended || monotonic_ns() > deadline_ns) {
            const std::string how = ended && WIFEXITED(status) && WEXITSTATUS(status) == 127
                                        ? " is not installed"
                                        : " did not come up: " + end_of_log(folder);
            return fail(ProbeFault::not_possible, command[0] + how);
        }
        ::usleep(look_every_us);
    }
    return server;
}

Server::Server(Server&& other) noexcept : pid_(std::exchange(other.pid_, 0)) {}

Server& Server::operator=(Server&& other) noexcept {
    if (this != &other) {
        stop();
        pid_ = std::exchange(other.pid_, 0);
    }
    return *this;
}

void Server::stop() noexcept {
    if (pid_ == 0) return;
    ::kill(pid_, SIGTERM);  // not reaped yet, so the number is still this child's
    constexpr std::uint64_t patience_ns = 2 * ns_per_s;
    const std::uint64_t deadline_ns = monotonic_ns() + patience_ns;
    while (::waitpid(pid_, nullptr, WNOHANG) == 0) {
        if (monotonic_ns() > deadline_ns) ::kill(pid_, SIGKILL);
        ::usleep(1000);
    }
    pid_ = 0;
}

std::uint16_t free_port() {
    const Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address = loopback(0);
    socklen_t length = sizeof address;
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    if (!fd || ::bind(fd.get(), generic, length) != 0) return 0;
    if (::getsockname(fd.get(), generic, &length) != 0) return 0;
    return ntohs(address.sin_port);
}

bool port_answers(std::uint16_t port) {
    const sockaddr_in address = loopback(port);
    return connects(AF_INET, reinterpret_cast<const sockaddr*>(&address), sizeof address);
}

bool log_says(const std::string& folder, const std::string& words) {
    return end_of_log(folder).find(words) != std::string::npos;
}

bool socket_answers(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) return false;
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    const auto* const generic = reinterpret_cast<const sockaddr*>(&address);
    // Weir's own control socket carries packets, the others' streams.
    const Fd packets(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    if (packets && ::connect(packets.get(), generic, sizeof address) == 0) return true;
    return connects(AF_UNIX, generic, sizeof address);
}

}  // namespace weir::bench
