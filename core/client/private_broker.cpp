// SPDX-License-Identifier: Apache-2.0
#include "core/client/private_broker.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <ctime>
#include <vector>

#include "core/base/clock.hpp"
#include "core/base/errno.hpp"

extern char** environ;  // NOLINT: POSIX declares it nowhere

namespace weir::detail {
namespace {

constexpr std::uint64_t lock_step_ns = 5 * ns_per_ms;
constexpr std::size_t complaint_bytes_max = 512;

// `weir` beside the running program, if it can be executed; else its bare name, to be found in
// PATH.
std::string program_of(const ConnectOptions& options) {
    if (!options.program.empty()) return options.program;
    std::array<char, PATH_MAX> own{};
    const ssize_t length = ::readlink("/proc/self/exe", own.data(), own.size() - 1);
    if (length > 0) {
        std::string path(own.data(), static_cast<std::size_t>(length));
        path.resize(path.rfind('/') + 1);
        path += "weir";
        if (::access(path.c_str(), X_OK) == 0) return path;
    }
    return "weir";
}

// Starts it with standard error in `complaint` and standard output nowhere.
int spawn(const std::string& program, std::vector<std::string>& arguments, int complaint,
          pid_t& pid) {
    std::vector<char*> pointers;
    for (std::string& argument : arguments) pointers.push_back(argument.data());
    pointers.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, complaint, STDERR_FILENO);
    const int error =
        ::posix_spawnp(&pid, program.c_str(), &actions, nullptr, pointers.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

// What it wrote so far, on one line. The broker itself may hold the other end open: never wait for
// its end.
std::string read_complaint(int fd) {
    std::array<char, complaint_bytes_max> text{};
    const ssize_t length = ::read(fd, text.data(), text.size());
    std::string line(text.data(), length > 0 ? static_cast<std::size_t>(length) : 0);
    while (!line.empty() && (line.back() == '\n' || line.back() == ' ')) line.pop_back();
    for (char& byte : line)
        if (byte == '\n') byte = ' ';
    return line.empty() ? "it gave no reason" : line;
}

}  // namespace

Result<Fd, Error<ConnectError>> take_start_lock(const Places& places, std::uint64_t deadline_ns) {
    if (auto made = make_directory(places); !made)
        return fail(ConnectError::system, made.error().sentence);
    Fd lock(::open(places.start_lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!lock)
        return fail(ConnectError::system,
                    "cannot open " + places.start_lock + ": " + errno_text(errno));
    while (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return fail(ConnectError::system,
                        "cannot lock " + places.start_lock + ": " + errno_text(errno));
        if (monotonic_ns() >= deadline_ns)
            return fail(ConnectError::timed_out,
                        "another client has been starting the broker for too long: see who holds " +
                            places.start_lock);
        const timespec step{0, static_cast<long>(lock_step_ns)};
        ::nanosleep(&step, nullptr);
    }
    return lock;
}

bool name_is_held(const Places& places) noexcept {
    const Fd file(::open(places.lock.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    struct flock whole {};
    whole.l_type = F_WRLCK;
    whole.l_whence = SEEK_SET;
    return file && ::fcntl(file.get(), F_OFD_GETLK, &whole) == 0 && whole.l_type != F_UNLCK;
}

Result<void, Error<ConnectError>> start_private_broker(const std::string& name,
                                                       const ConnectOptions& options) {
    const std::string program = program_of(options);
    std::vector<std::string> arguments{program, "broker", "--private", "--name", name};
    if (options.direct_bytes != 0) {
        arguments.emplace_back("--direct");
        arguments.push_back(std::to_string(options.direct_bytes));
    }
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) != 0)
        return fail(ConnectError::system, "cannot start a broker: " + errno_text(errno));
    const Fd read_end(ends[0]);
    Fd write_end(ends[1]);
    pid_t pid = 0;
    if (const int error = spawn(program, arguments, write_end.get(), pid); error != 0)
        return fail(ConnectError::no_broker, "no broker named \"" + name + "\" runs here, and " +
                                                 program +
                                                 " cannot be started: " + errno_text(error));
    write_end.reset();
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0) {
        // ECHILD: this program lets the system collect its children. The socket will tell.
        if (errno != EINTR) return {};
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
    return fail(ConnectError::system,
                "the broker \"" + name + "\" did not start: " + read_complaint(read_end.get()));
}

}  // namespace weir::detail
