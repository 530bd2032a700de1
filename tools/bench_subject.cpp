// SPDX-License-Identifier: Apache-2.0
#include "tools/bench_subject.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <type_traits>
#include <vector>

#include "bench/probes/histogram.hpp"
#include "bench/probes/shared_area.hpp"
#include "bench/probes/words.hpp"
#include "core/base/clock.hpp"
#include "core/inspect/region.hpp"

namespace weir::tools {
namespace {

using bench::fail_with_errno;
using bench::Meeting;
using bench::Probed;
using bench::ProbeFault;
using bench::Stage;

// From here on every message is the same private block, copied: what the copy stream beside it does
// (bench/probes/copy_stream.hpp). Smaller ones differ from each other, as the plain ring's do.
constexpr std::uint64_t same_block_from = 4096;

// The first word of a message: its words count on from there.
constexpr std::uint64_t first_word_of(std::uint64_t index, std::uint64_t words) noexcept {
    return words * 8 < same_block_from ? index * words : 1;
}

// What the children leave for their parent.
struct LegArea {
    std::uint64_t elapsed_ns;
    std::uint64_t window_bytes;
    bench::Histogram ticks;
};

template <class Code>
Failure<bench::ProbeError> failed(const Error<Code>& error) {
    return fail(ProbeFault::subject_failed, error.sentence);
}

template <class Code>
Failure<bench::ProbeError> failed(Code code) {
    return fail(ProbeFault::subject_failed, std::string(sentence(code)));
}

// One side's connection: made in the child, since a handle does not survive a fork.
struct Ends {
    Session session;
    std::optional<Producer> to;
    std::optional<Consumer> from;
};

struct EndsPlan {
    std::string broker;
    std::string send_to;       // empty: it only receives
    std::string receive_from;  // empty: it only sends
    bool spin = true;
};

Probed<Ends> open_ends(const EndsPlan& plan) {
    ConnectOptions connecting;
    connecting.client_name = "weir bench";
    auto session = connect(plan.broker, connecting);
    if (!session) return failed(session.error());
    Ends ends{std::move(*session), {}, {}};
    if (!plan.receive_from.empty()) {
        ConsumerOptions options;
        options.prefetch = 1000;
        options.waiting = plan.spin ? Waiting::spin : Waiting::balanced;
        auto consumer = ends.session.consumer(plan.receive_from, options);
        if (!consumer) return failed(consumer.error());
        ends.from.emplace(std::move(*consumer));
    }
    if (!plan.send_to.empty()) {
        auto producer = ends.session.producer(plan.send_to);
        if (!producer) return failed(producer.error());
        ends.to.emplace(std::move(*producer));
    }
    return ends;
}

// As in the ring beside it, the compiler may know the size of the usual small message: `work` gets
// the number of its words as a constant or as a number.
template <class Work>
Probed<void> with_words(std::uint64_t words, const Work& work) {
    return words == 8 ? work(std::integral_constant<std::uint64_t, 8>()) : work(words);
}

// What a side sends from: filled once if all its messages are the same block.
std::vector<std::byte> message_of(std::uint64_t bytes) {
    std::vector<std::byte> message(bytes);
    bench::fill_words(message, 1);
    return message;
}

// Sends `messages` messages from number `first` on, whose content the other side knows.
Probed<void> send_all(Producer& producer, std::span<std::byte> message, std::uint64_t first,
                      std::uint64_t messages) {
    return with_words(message.size() / 8, [&](auto words) -> Probed<void> {
        const std::span<std::byte> bytes = message.first(words * 8);
        for (std::uint64_t index = first; index < first + messages; ++index) {
            if (words * 8 < same_block_from) bench::fill_words(bytes, first_word_of(index, words));
            if (auto sent = producer.send(bytes); !sent) [[unlikely]]
                return failed(sent.error());
        }
        return {};
    });
}

// The sum of all words of `messages` messages from number `first` on.
std::uint64_t wanted_sum(std::uint64_t first, std::uint64_t messages, std::uint64_t words) {
    if (words * 8 < same_block_from)
        return bench::sum_of_run((first + messages) * words) - bench::sum_of_run(first * words);
    return messages * (bench::sum_of_run(1 + words) - bench::sum_of_run(1));
}

Probed<void> receive_all(Consumer& consumer, std::uint64_t first, std::uint64_t messages,
                         std::uint64_t all_words) {
    return with_words(all_words, [&](auto words) -> Probed<void> {
        std::uint64_t sum = 0;
        for (std::uint64_t index = first; index < first + messages; ++index) {
            auto message = consumer.receive();
            if (!message) [[unlikely]]
                return failed(message.error());
            const auto bytes = message->bytes();
            if (bytes.size() != words * 8 ||
                bench::first_word(bytes) != first_word_of(index, words)) [[unlikely]]
                return fail(ProbeFault::corrupted, fmt::format("message {} is another one", index));
            sum += bench::sum_words(bytes.first(words * 8));
        }
        if (sum != wanted_sum(first, messages, words))
            return fail(ProbeFault::corrupted, "the sum of all words is wrong");
        return {};
    });
}

Probed<void> ask_all(Ends& ends, LegArea& area, const Stage& stage, std::uint64_t bytes,
                     std::uint64_t round_trips) {
    std::vector<std::byte> message = message_of(bytes);
    const std::uint64_t began_ns = monotonic_ns();
    for (std::uint64_t turn = 0; turn < round_trips; ++turn) {
        const std::uint64_t from = stage.clock.now_ticks();
        if (auto sent = send_all(*ends.to, message, turn, 1); !sent) return sent;
        if (auto got = receive_all(*ends.from, turn, 1, bytes / 8); !got) return got;
        area.ticks.record(stage.clock.sample_ticks(from, stage.clock.now_ticks()));
    }
    area.elapsed_ns = monotonic_ns() - began_ns;
    ends.from->acknowledge();
    return {};
}

Probed<void> answer_all(Ends& ends, std::uint64_t round_trips) {
    for (std::uint64_t turn = 0; turn < round_trips; ++turn) {
        auto message = ends.from->receive();
        if (!message) return failed(message.error());
        // The sum is checked where the round trip ends; here every byte is read by copying it back.
        if (auto sent = ends.to->send(message->bytes()); !sent) return failed(sent.error());
    }
    ends.from->acknowledge();
    return {};
}

std::uint64_t widest_window(const std::string& broker) {
    const auto region = inspect::Region::open(broker);
    if (!region) return 0;
    std::uint64_t widest = 0;
    for (const auto& lane : region->snapshot().lanes) widest = std::max(widest, lane.window_bytes);
    return widest;
}

}  // namespace

Probed<std::unique_ptr<WeirSubject>> WeirSubject::start(const SubjectPlan& plan) {
    std::error_code unknown;
    ConnectOptions options;
    options.client_name = "weir bench";
    options.start = true;
    options.program = std::filesystem::read_symlink("/proc/self/exe", unknown).string();
    options.direct_bytes = std::max<std::uint64_t>(256ULL << 20, 8 * plan.message_bytes);
    const std::string broker = fmt::format("bench-{}", ::getpid());
    auto session = connect(broker, options);
    if (!session) return failed(session.error());
    auto subject = std::unique_ptr<WeirSubject>(new WeirSubject(plan, broker, std::move(*session)));
    // The window follows the rate, so it is only known after a leg at full speed.
    const std::uint64_t learn_bytes = 256ULL << 20;
    const std::uint64_t messages = std::clamp<std::uint64_t>(
        learn_bytes / bench::whole_words(plan.message_bytes), 16, 4'000'000);
    if (auto learned = subject->throughput(plan.message_bytes, messages); !learned)
        return fail(learned.error());
    return subject;
}

Probed<bench::SubjectRoundTrip> WeirSubject::round_trip(std::uint64_t message_bytes,
                                                        std::uint64_t round_trips) {
    const std::uint64_t bytes = bench::whole_words(message_bytes);
    auto area = bench::SharedArea::create(sizeof(LegArea));
    if (!area) return fail(area.error());
    auto& shared = area->front<LegArea>();
    const std::string there = plan_.scheme + "://bench.there";
    const std::string back = plan_.scheme + "://bench.back";
    const bool spin = !plan_.stage.placement.shares_one();
    const auto first = [&](Meeting& meeting) -> Probed<void> {
        auto ends = open_ends({broker_, there, back, spin});
        if (!ends) return fail(ends.error());
        meeting.begin();
        return ask_all(*ends, shared, plan_.stage, bytes, round_trips);
    };
    const auto second = [&](Meeting& meeting) -> Probed<void> {
        auto ends = open_ends({broker_, back, there, spin});
        if (!ends) return fail(ends.error());
        meeting.begin();
        return answer_all(*ends, round_trips);
    };
    auto done = bench::run_pair(plan_.stage.plan("weir round trip"), first, second);
    if (!done) return fail(done.error());
    return bench::SubjectRoundTrip{bench::latency_figures(shared.ticks, plan_.stage.clock),
                                   shared.elapsed_ns};
}

Probed<bench::SubjectThroughput> WeirSubject::throughput(std::uint64_t message_bytes,
                                                         std::uint64_t messages) {
    const std::uint64_t bytes = bench::whole_words(message_bytes);
    auto area = bench::SharedArea::create(sizeof(LegArea));
    if (!area) return fail(area.error());
    auto& shared = area->front<LegArea>();
    const std::string stream = plan_.scheme + "://bench.stream";
    const bool spin = !plan_.stage.placement.shares_one();
    const std::uint64_t warm_up = 2 * window_bytes_ / bytes + 1;
    const auto first = [&](Meeting& meeting) -> Probed<void> {
        auto ends = open_ends({broker_, stream, {}, spin});
        if (!ends) return fail(ends.error());
        std::vector<std::byte> message = message_of(bytes);
        meeting.begin();
        if (auto sent = send_all(*ends->to, message, 0, warm_up + messages); !sent) return sent;
        shared.window_bytes = widest_window(broker_);
        return {};
    };
    const auto second = [&](Meeting& meeting) -> Probed<void> {
        auto ends = open_ends({broker_, {}, stream, spin});
        if (!ends) return fail(ends.error());
        meeting.begin();
        if (auto warm = receive_all(*ends->from, 0, warm_up, bytes / 8); !warm) return warm;
        const std::uint64_t began_ns = monotonic_ns();
        auto done = receive_all(*ends->from, warm_up, messages, bytes / 8);
        shared.elapsed_ns = monotonic_ns() - began_ns;
        ends->from->acknowledge();
        return done;
    };
    auto done = bench::run_pair(plan_.stage.plan("weir throughput"), first, second);
    if (!done) return fail(done.error());
    window_bytes_ = std::max(window_bytes_, shared.window_bytes);
    const double per_s = static_cast<double>(messages) * static_cast<double>(ns_per_s) /
                         static_cast<double>(std::max<std::uint64_t>(shared.elapsed_ns, 1));
    // What was written, less the window that may have been granted before the counting began.
    const std::uint64_t written = messages * (bytes + 8);
    return bench::SubjectThroughput{per_s, per_s * static_cast<double>(bytes),
                                    written - std::min(written, window_bytes_), shared.elapsed_ns};
}

Probed<bench::SubjectPaced> WeirSubject::paced(std::uint64_t message_bytes, std::uint64_t messages,
                                               double rate_per_s) {
    const std::uint64_t bytes = bench::whole_words(message_bytes);
    auto area = bench::SharedArea::create(sizeof(LegArea));
    if (!area) return fail(area.error());
    auto& shared = area->front<LegArea>();
    const std::string stream = plan_.scheme + "://bench.paced";
    const bench::TickClock& clock = plan_.stage.clock;
    const bool spin = !plan_.stage.placement.shares_one();
    const double ticks_apart =
        static_cast<double>(clock.to_ticks(ns_per_s)) / std::max(rate_per_s, 1e-3);
    const auto first = [&](Meeting& meeting) -> Probed<void> {
        auto ends = open_ends({broker_, stream, {}, spin});
        if (!ends) return fail(ends.error());
        std::vector<std::byte> message = message_of(bytes);
        meeting.begin();
        const std::uint64_t began_ns = monotonic_ns();
        const std::uint64_t began = clock.now_ticks();
        for (std::uint64_t index = 0; index < messages; ++index) {
            const std::uint64_t due =
                began + static_cast<std::uint64_t>(ticks_apart * static_cast<double>(index));
            for (std::uint64_t now = clock.now_ticks(); now < due; now = clock.now_ticks())
                clock.spin(std::min<std::uint64_t>(due - now, 64));
            bench::fill_words(message, due);  // the first word tells when
            if (auto sent = ends->to->send(message); !sent) return failed(sent.error());
        }
        shared.elapsed_ns = monotonic_ns() - began_ns;
        return {};
    };
    const auto second = [&](Meeting& meeting) -> Probed<void> {
        auto ends = open_ends({broker_, {}, stream, spin});
        if (!ends) return fail(ends.error());
        meeting.begin();
        for (std::uint64_t index = 0; index < messages; ++index) {
            auto message = ends->from->receive();
            if (!message) return failed(message.error());
            const std::uint64_t due = bench::first_word(message->bytes());
            shared.ticks.record(clock.sample_ticks(due, std::max(due, clock.now_ticks())));
        }
        ends->from->acknowledge();
        return {};
    };
    auto done = bench::run_pair(plan_.stage.plan("weir paced"), first, second);
    if (!done) return fail(done.error());
    const double per_s = static_cast<double>(messages) * static_cast<double>(ns_per_s) /
                         static_cast<double>(std::max<std::uint64_t>(shared.elapsed_ns, 1));
    return bench::SubjectPaced{bench::latency_figures(shared.ticks, clock), per_s,
                               shared.elapsed_ns};
}

}  // namespace weir::tools
