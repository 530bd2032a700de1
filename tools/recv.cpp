// SPDX-License-Identifier: Apache-2.0
//
// `weir recv`: messages to standard output, one per line, or into files.
//
// It waits for messages until it has --count, until none came for --timeout (exit code 3), until a
// signal, or with --drain until there are none. Whatever ends it, what was put out is acknowledged
// and nothing else is: what it still held is delivered again to others.
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "core/base/bytes.hpp"
#include "core/base/clock.hpp"
#include "tools/attach.hpp"
#include "tools/command.hpp"
#include "tools/end_request.hpp"
#include "tools/progress.hpp"
#include "tools/recv_folder.hpp"
#include "tools/recv_output.hpp"

namespace weir::tools {
namespace {

// A wait is cut into slices, so that a signal or a reader that left ends it. Behind one in which
// nothing came it goes on with descriptors alone: a command that waits for hours costs nothing.
constexpr std::uint64_t slice_ns = 500 * ns_per_ms;
// How long an empty destination is watched before and after the broker was asked to settle.
constexpr std::uint64_t drain_ns = 50 * ns_per_ms;

struct RecvPlan {
    Attachment attachment;
    std::string pattern;
    std::optional<std::uint64_t> count;
    std::uint64_t timeout_ns = 0;  // 0: none
    bool follow = false;
    bool drain = false;
    std::string out_dir;
};

// One run of the command, from an open consumer to its end.
class Receiving {
public:
    Receiving(const RecvPlan& plan, Session& session, Consumer& consumer, Output& output)
        : plan_(plan), session_(session), consumer_(consumer), output_(output) {}

    int run();

private:
    enum class Next { message, end, again };

    bool wanted() const { return !plan_.count || progress_.messages() < *plan_.count; }
    int ended(const Error<OutputEnd>& end);
    // Nothing is there: waits a while, or finds that this is the end.
    Next wait(std::optional<Message>& message);
    Next drained(std::optional<Message>& message);
    Next lost(ReceiveError error);
    Next gave_up(int code, const std::string& sentence);
    Result<void, Error<OutputEnd>> tell_gap(std::uint64_t lost);
    void tell_losses() const;

    const RecvPlan& plan_;
    Session& session_;
    Consumer& consumer_;
    Output& output_;
    Progress progress_;
    std::uint64_t idle_since_ns_ = monotonic_ns();
    std::uint64_t lost_told_ = 0;
    int code_ = exit_ok;
};

int Receiving::run() {
    while (wanted() && !end_request::asked()) {
        std::optional<Message> message;
        if (auto polled = consumer_.poll()) {
            message = *polled;
        } else if (polled.error() != ReceiveError::timed_out) {
            lost(polled.error());
            break;
        } else {
            if (auto out = output_.flush(); !out) return ended(out.error());
            const Next next = wait(message);
            if (next == Next::end) break;
            if (next == Next::again) continue;
        }
        idle_since_ns_ = 0;
        const std::uint64_t bytes = message->bytes().size();
        if (const std::uint64_t lost = message->lost_before())
            if (auto out = tell_gap(lost); !out) return ended(out.error());
        if (auto out = output_.put(*message); !out) return ended(out.error());
        progress_.count(bytes);
    }
    if (auto out = output_.flush(); !out) return ended(out.error());
    if (code_ == exit_ok) progress_.end();
    tell_losses();
    return code_;
}

// Behind all that came before the gap, and before the first that came after it.
Result<void, Error<OutputEnd>> Receiving::tell_gap(std::uint64_t lost) {
    if (auto out = output_.flush(); !out) return out;
    progress_.idle();
    tell("recv", fmt::format("{} messages are missing before number {}: their pages could not be "
                             "read back from disk",
                             lost, progress_.messages() + 1));
    lost_told_ += lost;
    return {};
}

// What did not come and never will, and was not told where it was missing: other consumers met the
// gap, or nothing came behind it.
void Receiving::tell_losses() const {
    const ConsumerCounts counts = consumer_.counts();
    if (counts.lost > lost_told_)
        tell("recv", fmt::format("{} messages are lost: their pages could not be read back",
                                 counts.lost - lost_told_));
    if (counts.dropped != 0)
        tell("recv", fmt::format("{} messages were given up to make room", counts.dropped));
}

Receiving::Next Receiving::wait(std::optional<Message>& message) {
    progress_.idle();
    if (plan_.drain) return drained(message);
    const std::uint64_t now_ns = monotonic_ns();
    if (idle_since_ns_ == 0) idle_since_ns_ = now_ns;
    const std::uint64_t idle_ns = now_ns - idle_since_ns_;
    // -1 where the kernel has no such descriptor.
    const int wait_fd = idle_ns >= slice_ns ? consumer_.wait_fd() : -1;
    std::uint64_t wait_ns = wait_fd >= 0 ? end_request::without_end : slice_ns;
    if (plan_.timeout_ns != 0) {
        if (idle_ns >= plan_.timeout_ns)
            return gave_up(exit_limit,
                           fmt::format("no message from {} for {}, {} before", consumer_.pattern(),
                                       format_duration_ns(plan_.timeout_ns), progress_.messages()));
        wait_ns = std::min(wait_ns, plan_.timeout_ns - idle_ns);
    }
    // A poll that finds nothing is what the descriptor waits behind.
    auto received =
        wait_fd >= 0 ? consumer_.poll() : consumer_.receive(std::chrono::nanoseconds(wait_ns));
    if (received) {
        message = *received;
        return Next::message;
    }
    if (received.error() != ReceiveError::timed_out) return lost(received.error());
    if (wait_fd >= 0) end_request::wait_for(wait_fd, POLLIN, wait_ns, output_.left_fd());
    return output_.reader_left() ? Next::end : Next::again;
}

// What a consumer that died had held comes back through the broker: an empty look is only believed
// after the broker has settled its books.
Receiving::Next Receiving::drained(std::optional<Message>& message) {
    for (const bool settled : {false, true}) {
        auto received = consumer_.receive(std::chrono::nanoseconds(drain_ns));
        if (received) {
            message = *received;
            return Next::message;
        }
        if (received.error() != ReceiveError::timed_out) return lost(received.error());
        if (settled || end_request::asked()) break;
        if (auto asked = session_.settle(); !asked)
            return gave_up(exit_failed, asked.error().sentence);
    }
    return Next::end;
}

Receiving::Next Receiving::lost(ReceiveError error) {
    return gave_up(exit_failed,
                   fmt::format("after {} messages: {}", progress_.messages(), sentence(error)));
}

Receiving::Next Receiving::gave_up(int code, const std::string& sentence) {
    progress_.end();
    code_ = give_up("recv", code, sentence);
    return Next::end;
}

int Receiving::ended(const Error<OutputEnd>& end) {
    progress_.end();
    switch (end.code) {
        case OutputEnd::reader_left: return exit_ok;
        case OutputEnd::stop_asked: return exit_ok;
        case OutputEnd::refused: return give_up("recv", exit_failed, end.sentence);
        case OutputEnd::failed: return give_up("recv", exit_failed, end.sentence);
    }
    return exit_failed;
}

int run_recv(const RecvPlan& plan) {
    end_request::watch();
    std::unique_ptr<Output> output;
    if (plan.out_dir.empty()) {
        output = make_line_output(STDOUT_FILENO);
    } else {
        auto folder = make_folder_output(plan.out_dir);
        if (!folder) return give_up("recv", exit_failed, folder.error().sentence);
        output = std::move(*folder);
    }
    auto session = attach("recv", plan.attachment);
    if (!session) return session.error();
    ConsumerOptions options;
    options.acknowledge = Acknowledge::cumulative;
    options.prefetch = output->prefetch();
    if (plan.count)
        options.prefetch =
            static_cast<std::uint32_t>(std::clamp<std::uint64_t>(*plan.count, 1, options.prefetch));
    auto consumer = session->consumer(plan.pattern, options);
    if (!consumer) return give_up("recv", consumer.error());
    return Receiving(plan, *session, *consumer, *output).run();
}

}  // namespace

void add_recv(CLI::App& app, int& exit_code) {
    auto plan = std::make_shared<RecvPlan>();
    CLI::App& recv = *app.add_subcommand(
        "recv", "Receive messages: one per line on standard output, or into files");
    add_attachment_options(recv, plan->attachment);
    recv.add_option(
            "destination", plan->pattern,
            "queue://NAME or topic://NAME; a topic's may hold * (one word) and > (the rest)")
        ->required()
        ->type_name("DEST");
    recv.add_option("--count", plan->count, "End after N messages")->type_name("N");
    add_duration_option(recv, "--timeout", plan->timeout_ns,
                        "End when no message came for so long (exit code 3)");
    auto* follow = recv.add_flag("--follow", plan->follow, "Never end when it is empty");
    auto* drain = recv.add_flag("--drain", plan->drain, "End when it is empty");
    follow->excludes(drain)->excludes(recv.get_option("--timeout"));
    recv.add_option("--out-dir", plan->out_dir,
                    "Write files below D, named by property `name`, else 000001.msg")
        ->type_name("D");
    recv.callback([plan, &exit_code] { exit_code = run_recv(*plan); });
}

}  // namespace weir::tools
