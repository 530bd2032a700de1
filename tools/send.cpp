// SPDX-License-Identifier: Apache-2.0
//
// `weir send`: messages from standard input, from files, or generated.
//
//   standard input      one message per line, without the newline
//   --file, --files-from  one message per file; the path as given becomes the property `name`
//   --count, --size     generated: text that begins with the message's number, without newlines
//
// A signal ends it between two messages; what was sent stays sent. Lines then end with exit code 0,
// since a stream has no other end; an unfinished list of files or count is a failure.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/base/bytes.hpp"
#include "core/base/errno.hpp"
#include "core/base/fd.hpp"
#include "tools/attach.hpp"
#include "tools/command.hpp"
#include "tools/end_request.hpp"
#include "tools/send_delivery.hpp"
#include "tools/send_lines.hpp"

namespace weir::tools {
namespace {

constexpr std::uint64_t path_bytes_max = 64 * 1024;  // of a line in --files-from

struct SendPlan {
    Attachment attachment;
    DeliveryPlan delivery;
    std::vector<std::string> properties;
    std::vector<std::string> files;
    std::string files_from;  // "-": standard input
    std::optional<std::uint64_t> count;
    std::uint64_t size = 64;
};

int failed(Delivery& delivery, const std::string& sentence) {
    delivery.progress().end();
    return give_up("send", exit_failed, sentence);
}

int unfinished(Delivery& delivery, const char* of_what) {
    return failed(delivery, fmt::format("a signal ended it after {} messages, before the last {}",
                                        delivery.progress().messages(), of_what));
}

int send_lines(Delivery& delivery, std::uint64_t largest) {
    LineReader lines(STDIN_FILENO, largest);
    for (;;) {
        switch (lines.next()) {
            case LineReader::Found::line: break;
            case LineReader::Found::end: return exit_ok;
            case LineReader::Found::stop_asked: return exit_ok;
            case LineReader::Found::read_failed:
                return failed(delivery, "cannot read standard input: " + errno_text(errno));
            case LineReader::Found::too_long:
                return failed(
                    delivery,
                    fmt::format("line {} is longer than this broker's largest message, {}: start "
                                "the broker with more --direct, or split the line",
                                delivery.progress().messages() + 1, format_size(largest)));
        }
        const Delivery::Step step = delivery.send(lines.line());
        if (step == Delivery::Step::refused) return delivery.exit_code();
        if (step == Delivery::Step::stop_asked) return exit_ok;
    }
}

int send_generated(Delivery& delivery, std::uint64_t count, std::uint64_t size) {
    std::string payload(size, ' ');
    for (std::size_t at = 0; at < payload.size(); ++at)
        payload[at] = static_cast<char>('a' + at % 26);
    for (std::uint64_t number = 0; number < count; ++number) {
        const std::string head = fmt::format("{:010} ", number);
        head.copy(payload.data(), payload.size());
        const Delivery::Step step = delivery.send(std::as_bytes(std::span(payload)));
        if (step == Delivery::Step::refused) return delivery.exit_code();
        if (step == Delivery::Step::stop_asked) return unfinished(delivery, "message");
    }
    return exit_ok;
}

// Reads until `room` is full or the file ends; the bytes read, or nothing on an error.
std::optional<std::size_t> read_whole(int fd, std::span<std::byte> room) {
    std::size_t filled = 0;
    while (filled < room.size()) {
        const ssize_t got = ::read(fd, room.data() + filled, room.size() - filled);
        if (got == 0) break;
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return std::nullopt;
        filled += static_cast<std::size_t>(got);
    }
    return filled;
}

// One file is one message, read straight into its place in shared memory. A file that shrinks
// meanwhile is sent as far as it goes; one that grows is cut where it ended when it was opened.
int send_file(Delivery& delivery, const std::string& path, Envelope envelope) {
    const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    struct stat status {};
    if (!file || ::fstat(file.get(), &status) != 0)
        return failed(delivery, fmt::format("cannot open {}: {}", path, errno_text(errno)));
    if (!S_ISREG(status.st_mode))
        return failed(delivery, fmt::format("{} is not a regular file", path));
    envelope.properties.emplace_back("name", path);
    const auto size = static_cast<std::size_t>(status.st_size);
    OpenMessage open;
    const Delivery::Step step = delivery.claim(size, envelope, path, open);
    if (step == Delivery::Step::refused) return delivery.exit_code();
    if (step == Delivery::Step::stop_asked) return unfinished(delivery, "file");
    const auto got = read_whole(file.get(), open.bytes());
    if (!got) {
        const int error = errno;
        open.abandon();
        return failed(delivery, fmt::format("cannot read {}: {}", path, errno_text(error)));
    }
    open.commit(*got);
    delivery.count(*got);
    return exit_ok;
}

int send_files(Delivery& delivery, const SendPlan& plan) {
    for (const std::string& path : plan.files) {
        const int code = send_file(delivery, path, plan.delivery.envelope);
        if (code != exit_ok) return code;
    }
    if (plan.files_from.empty()) return exit_ok;
    const bool from_input = plan.files_from == "-";
    const Fd list(from_input ? ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
                             : ::open(plan.files_from.c_str(), O_RDONLY | O_CLOEXEC));
    if (!list)
        return failed(delivery,
                      fmt::format("cannot open {}: {}", plan.files_from, errno_text(errno)));
    LineReader paths(list.get(), path_bytes_max);
    LineReader::Found found;
    while ((found = paths.next()) == LineReader::Found::line) {
        const auto text = paths.line();
        const std::string path(reinterpret_cast<const char*>(text.data()), text.size());  // NOLINT
        const int code = send_file(delivery, path, plan.delivery.envelope);
        if (code != exit_ok) return code;
    }
    if (found == LineReader::Found::end) return exit_ok;
    if (found == LineReader::Found::stop_asked) return unfinished(delivery, "file");
    return failed(delivery, plan.files_from + " is not a list of paths, one a line");
}

int run_send(const SendPlan& plan) {
    end_request::watch();
    auto session = attach("send", plan.attachment);
    if (!session) return session.error();
    auto delivery = Delivery::open(*session, plan.delivery);
    if (!delivery) return delivery.error();
    int code = exit_ok;
    if (plan.count) {
        code = send_generated(*delivery, *plan.count, plan.size);
    } else if (!plan.files.empty() || !plan.files_from.empty()) {
        code = send_files(*delivery, plan);
    } else {
        code = send_lines(*delivery, session->broker().largest_message);
    }
    if (code == exit_ok) delivery->progress().end();
    return code;
}

void read_properties(const std::vector<std::string>& texts, Envelope& envelope) {
    for (const std::string& text : texts) {
        const std::size_t equals = text.find('=');
        if (equals == std::string::npos || equals == 0)
            throw CLI::ValidationError("--property", "\"" + text + "\" is not of the form k=v");
        envelope.properties.emplace_back(text.substr(0, equals), text.substr(equals + 1));
    }
}

}  // namespace

void add_send(CLI::App& app, int& exit_code) {
    auto plan = std::make_shared<SendPlan>();
    CLI::App& send = *app.add_subcommand(
        "send", "Send messages: lines of standard input, files, or generated ones");
    add_attachment_options(send, plan->attachment);
    send.add_option("destination", plan->delivery.destination,
                    "queue://NAME or topic://NAME; no scheme means queue")
        ->required()
        ->type_name("DEST");
    auto* files = send.add_option("--file", plan->files,
                                  "One message per file; its path becomes the property `name`")
                      ->type_name("F...");
    auto* list = send.add_option("--files-from", plan->files_from,
                                 "The same for the paths in F, one a line; - is standard input")
                     ->type_name("F");
    auto* count = send.add_option("--count", plan->count, "Generate N messages")->type_name("N");
    add_size_option(send, "--size", plan->size, "Size of each generated message (64)");
    send.get_option("--size")->needs(count);
    count->excludes(files)->excludes(list);
    send.add_option("--rate", plan->delivery.rate_per_s, "At most R messages per second")
        ->check(CLI::PositiveNumber)
        ->type_name("R");
    send.add_option("--property", plan->properties, "Property k=v of every message; repeatable")
        ->take_all()
        ->type_name("K=V")
        ->allow_extra_args(false);
    add_duration_option(send, "--timeout", plan->delivery.timeout_ns,
                        "Give up when there is no room for so long (exit code 3)");
    send.callback([plan, &exit_code] {
        read_properties(plan->properties, plan->delivery.envelope);
        exit_code = run_send(*plan);
    });
}

}  // namespace weir::tools
