// SPDX-License-Identifier: Apache-2.0
//
// See unix_socket.hpp.
#include "bench/probes/unix_socket.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <span>
#include <vector>

#include "bench/probes/shared_area.hpp"
#include "bench/probes/words.hpp"
#include "core/base/fd.hpp"

namespace weir::bench {
namespace {

struct SocketArea {
    std::uint64_t elapsed_ns;  // by the side that measures, read after its end
    Histogram ticks;           // by the first process of a round trip
};

struct SocketPair {
    Fd first;
    Fd second;
};

Probed<SocketPair> open_pair(SocketKind kind, std::uint64_t message_bytes) {
    std::array<int, 2> ends{-1, -1};
    int type = kind == SocketKind::stream ? SOCK_STREAM : SOCK_SEQPACKET;
    if (::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends.data()) != 0) {
        return fail_with_errno(ProbeFault::no_process, "socketpair");
    }
    SocketPair pair{Fd(ends[0]), Fd(ends[1])};
    if (kind == SocketKind::stream) return pair;
    // A packet must fit the send buffer whole, with the kernel's bookkeeping.
    for (const Fd* end : {&pair.first, &pair.second}) {
        int have = 0;
        socklen_t length = sizeof have;
        int wanted = static_cast<int>(2 * message_bytes + 4096);
        ::getsockopt(end->get(), SOL_SOCKET, SO_SNDBUF, &have, &length);
        if (have >= wanted) continue;
        ::setsockopt(end->get(), SOL_SOCKET, SO_SNDBUF, &wanted, sizeof wanted);
        ::getsockopt(end->get(), SOL_SOCKET, SO_SNDBUF, &have, &length);
        if (have < wanted) return fail(ProbeFault::not_possible, "packet over net.core.wmem_max");
    }
    return pair;
}

Probed<void> write_message(const Fd& to, std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
        ssize_t wrote = ::send(to.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote < 0) return fail_with_errno(ProbeFault::child_failed, "send");
        bytes = bytes.subspan(static_cast<std::size_t>(wrote));  // a stream may take a part
    }
    return {};
}

Probed<void> read_message(const Fd& from, std::span<std::byte> bytes) {
    while (!bytes.empty()) {
        ssize_t got = ::recv(from.get(), bytes.data(), bytes.size(), 0);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail_with_errno(ProbeFault::child_failed, "recv");
        if (got == 0) return fail(ProbeFault::child_failed, "the partner hung up");
        bytes = bytes.subspan(static_cast<std::size_t>(got));
    }
    return {};
}

Probed<void> send_all(const Fd& to, std::uint64_t message_bytes, std::uint64_t messages) {
    std::vector<std::byte> message(message_bytes);
    for (std::uint64_t index = 0; index < messages; ++index) {
        fill_words(message, index * (message_bytes / 8));
        if (auto sent = write_message(to, message); !sent) return sent;
    }
    return {};
}

Probed<void> receive_all(const Fd& from, std::uint64_t message_bytes, std::uint64_t messages) {
    std::vector<std::byte> message(message_bytes);
    std::uint64_t sum = 0;
    for (std::uint64_t index = 0; index < messages; ++index) {
        if (auto got = read_message(from, message); !got) return got;
        sum += sum_words(message);
    }
    if (sum != sum_of_run(messages * (message_bytes / 8))) {
        return fail(ProbeFault::corrupted, "the sum of all words is wrong");
    }
    return {};
}

Probed<void> ask_all(const Fd& socket, SocketArea& area, const Stage& stage,
                     std::uint64_t message_bytes, std::uint64_t round_trips) {
    std::vector<std::byte> message(message_bytes);
    std::uint64_t began_ns = monotonic_ns();
    for (std::uint64_t turn = 0; turn < round_trips; ++turn) {
        std::uint64_t from = stage.clock.now_ticks();
        if (auto sent = write_message(socket, message); !sent) return sent;
        if (auto got = read_message(socket, message); !got) return got;
        area.ticks.record(stage.clock.sample_ticks(from, stage.clock.now_ticks()));
    }
    area.elapsed_ns = monotonic_ns() - began_ns;
    return {};
}

Probed<void> answer_all(const Fd& socket, std::uint64_t message_bytes, std::uint64_t round_trips) {
    std::vector<std::byte> message(message_bytes);
    for (std::uint64_t turn = 0; turn < round_trips; ++turn) {
        if (auto got = read_message(socket, message); !got) return got;
        if (auto sent = write_message(socket, message); !sent) return sent;
    }
    return {};
}

// Runs `leg` as a stream and, where the size allows, as packets; `faster(a, b)` chooses.
template <class Leg, class Faster>
auto best_kind(LegScale& scale, const Stage& stage, const Leg& leg, const Faster& faster)
    -> decltype(leg(SocketKind::stream, std::uint64_t{})) {
    auto stream = run_scaled(scale, stage.leg_ns,
                             [&](std::uint64_t count) { return leg(SocketKind::stream, count); });
    if (!stream) return stream;
    auto packets = leg(SocketKind::packets, scale.count());
    if (!packets && packets.error().code == ProbeFault::not_possible) return stream;
    if (!packets) return packets;
    return faster(*packets, *stream) ? packets : stream;
}

}  // namespace

Probed<SocketFigures> socket_leg(const Stage& stage, SocketKind kind, std::uint64_t message_bytes,
                                 std::uint64_t messages) {
    message_bytes = whole_words(message_bytes);
    auto area = SharedArea::create(sizeof(SocketArea));
    if (!area) return fail(area.error());
    auto pair = open_pair(kind, message_bytes);
    if (!pair) return fail(pair.error());
    auto& shared = area->front<SocketArea>();
    auto first = [&](Meeting& meeting) {
        meeting.begin();
        return send_all(pair->first, message_bytes, messages);
    };
    auto second = [&](Meeting& meeting) {
        meeting.begin();
        std::uint64_t began_ns = monotonic_ns();
        auto done = receive_all(pair->second, message_bytes, messages);
        shared.elapsed_ns = monotonic_ns() - began_ns;
        return done;
    };
    auto done = run_pair(stage.plan("unix socket"), first, second);
    if (!done) return fail(done.error());
    double per_s = static_cast<double>(messages) * static_cast<double>(ns_per_s) /
                   static_cast<double>(std::max<std::uint64_t>(shared.elapsed_ns, 1));
    return SocketFigures{per_s, per_s * static_cast<double>(message_bytes), kind,
                         shared.elapsed_ns};
}

Probed<SocketRoundTripFigures> socket_round_trip_leg(const Stage& stage, SocketKind kind,
                                                     std::uint64_t message_bytes,
                                                     std::uint64_t round_trips) {
    message_bytes = whole_words(message_bytes);
    auto area = SharedArea::create(sizeof(SocketArea));
    if (!area) return fail(area.error());
    auto pair = open_pair(kind, message_bytes);
    if (!pair) return fail(pair.error());
    auto& shared = area->front<SocketArea>();
    auto first = [&](Meeting& meeting) {
        meeting.begin();
        return ask_all(pair->first, shared, stage, message_bytes, round_trips);
    };
    auto second = [&](Meeting& meeting) {
        meeting.begin();
        return answer_all(pair->second, message_bytes, round_trips);
    };
    auto done = run_pair(stage.plan("unix socket round trip"), first, second);
    if (!done) return fail(done.error());
    return SocketRoundTripFigures{latency_figures(shared.ticks, stage.clock), kind,
                                  shared.elapsed_ns};
}

Probed<SocketFigures> best_socket(const Stage& stage, LegScale& scale,
                                  std::uint64_t message_bytes) {
    return best_kind(
        scale, stage,
        [&](SocketKind kind, std::uint64_t count) {
            return socket_leg(stage, kind, message_bytes, count);
        },
        [](const auto& a, const auto& b) { return a.msgs_per_s > b.msgs_per_s; });
}

Probed<SocketRoundTripFigures> best_socket_round_trip(const Stage& stage, LegScale& scale,
                                                      std::uint64_t message_bytes) {
    return best_kind(
        scale, stage,
        [&](SocketKind kind, std::uint64_t count) {
            return socket_round_trip_leg(stage, kind, message_bytes, count);
        },
        [](const auto& a, const auto& b) { return a.rtt.ns_p50 < b.rtt.ns_p50; });
}

}  // namespace weir::bench
