// SPDX-License-Identifier: Apache-2.0
#include "tools/top_frame.hpp"

#include <algorithm>
#include <tuple>

#include "core/base/clock.hpp"

namespace weir::tools {
namespace {

using inspect::Snapshot;

// Books that are older than this say nothing about now: nobody publishes any more.
constexpr std::uint64_t stale_ns = 10 * ns_per_s;
// Holding more than this often what it may prefetch, a consumer is slow (ActiveMQ's measure).
constexpr std::uint64_t prefetches_behind = 2;

const inspect::SessionFacts* session_of(const Snapshot& snapshot, std::uint64_t id) {
    const auto found =
        std::find_if(snapshot.sessions.begin(), snapshot.sessions.end(),
                     [id](const inspect::SessionFacts& one) { return one.id == id; });
    return id == 0 || found == snapshot.sessions.end() ? nullptr : &*found;
}

void add_blocked(const Snapshot& snapshot, std::uint64_t now_ns, TopFrame& frame) {
    for (const inspect::LaneFacts& lane : snapshot.lanes) {
        if (lane.waiting_since_ns == 0) continue;
        TopBlocked blocked;
        blocked.destination = lane.destination;
        if (const auto* const session = session_of(snapshot, lane.session_id)) {
            blocked.pid = session->pid;
            blocked.process = session->name;
        }
        blocked.reason = inspect::name_of(lane.reason);
        blocked.waits_ns = now_ns - std::min(now_ns, lane.waiting_since_ns);
        frame.blocked.push_back(std::move(blocked));
    }
    std::sort(frame.blocked.begin(), frame.blocked.end(),
              [](const TopBlocked& one, const TopBlocked& other) {
                  return std::tie(other.waits_ns, one.destination, one.pid) <
                         std::tie(one.waits_ns, other.destination, other.pid);
              });
}

const inspect::DestinationBooks* destination_of(const Snapshot& snapshot, std::uint32_t shown) {
    const auto found = std::find_if(snapshot.destinations.begin(), snapshot.destinations.end(),
                                    [shown](const auto& one) { return one.slot + 1 == shown; });
    return shown == 0 || found == snapshot.destinations.end() ? nullptr : &*found;
}

// Empty: it keeps up. A queue's consumer shows what it holds, a subscriber what it has to come.
std::string slowness_of(const Snapshot& snapshot, const inspect::SubscriptionFacts& one,
                        std::uint64_t behind_before) {
    if (one.kind == SubscriptionKind::exclusive) {
        const std::uint64_t near = prefetches_behind * std::max<std::uint64_t>(one.prefetch, 1);
        if (one.depth_messages <= near) return {};
        return one.depth_messages > behind_before ? "falls behind" : "is behind";
    }
    const auto* const queue = destination_of(snapshot, one.destination);
    const bool full = one.prefetch != 0 && one.depth_messages >= one.prefetch;
    if (!full || queue == nullptr || queue->depth_messages <= one.depth_messages) return {};
    return "holds its whole prefetch";
}

}  // namespace

void TopRates::rate(const inspect::DestinationBooks& books, std::uint64_t now_ns,
                    TopDestination& to) {
    Before& before = before_[{books.slot, books.birth}];
    if (books.settled_ns > before.settled_ns) {
        if (before.settled_ns != 0) {
            const double span_s = static_cast<double>(books.settled_ns - before.settled_ns) /
                                  static_cast<double>(ns_per_s);
            const auto per_s = [span_s](std::uint64_t now, std::uint64_t then) {
                return static_cast<double>(now - std::min(now, then)) / span_s;
            };
            before.in_per_s = per_s(books.messages_in, before.in);
            before.out_per_s = per_s(books.messages_out, before.out);
        }
        before.settled_ns = books.settled_ns;
        before.in = books.messages_in;
        before.out = books.messages_out;
    }
    if (now_ns > books.settled_ns + stale_ns) before.in_per_s = before.out_per_s = 0;
    to.in_per_s = before.in_per_s;
    to.out_per_s = before.out_per_s;
}

TopFrame TopRates::frame(const Snapshot& snapshot, inspect::BrokerState state, std::uint64_t now_ns,
                         std::uint64_t realtime_now_ns) {
    TopFrame frame;
    frame.broker = snapshot.broker;
    frame.state = state;
    frame.uptime_s = static_cast<double>(realtime_now_ns -
                                         std::min(realtime_now_ns, snapshot.broker.started_ns)) /
                     static_cast<double>(ns_per_s);
    frame.direct = snapshot.direct;
    frame.heap = snapshot.heap;
    frame.disk = snapshot.disk;
    frame.direct_full_s =
        inspect::seconds_until_full(snapshot.direct, snapshot.direct_growth_per_s);
    frame.disk_full_s =
        inspect::seconds_until_full(snapshot.disk, growth_per_s(snapshot.disk_activity));
    for (const inspect::DestinationBooks& books : snapshot.destinations) {
        TopDestination& one = frame.destinations.emplace_back();
        one.books = books;
        rate(books, now_ns, one);
        frame.in_per_s += one.in_per_s;
        frame.out_per_s += one.out_per_s;
    }
    std::sort(frame.destinations.begin(), frame.destinations.end(),
              [](const TopDestination& one, const TopDestination& other) {
                  return std::tie(other.books.direct_bytes, one.books.name) <
                         std::tie(one.books.direct_bytes, other.books.name);
              });
    add_blocked(snapshot, now_ns, frame);
    for (const inspect::SubscriptionFacts& one : snapshot.subscriptions) {
        Reader& reader = readers_[{one.slot, one.birth}];
        TopSlow slow;
        slow.why = slowness_of(snapshot, one, reader.behind);
        reader.behind = one.depth_messages;
        if (slow.why.empty()) continue;
        slow.destination = one.pattern;
        if (const auto* const session = session_of(snapshot, one.session_id)) {
            slow.pid = session->pid;
            slow.process = session->name;
        }
        slow.behind = one.depth_messages;
        slow.prefetch = one.prefetch;
        frame.slow.push_back(std::move(slow));
    }
    std::sort(frame.slow.begin(), frame.slow.end(), [](const TopSlow& one, const TopSlow& other) {
        return std::tie(other.behind, one.destination, one.pid) <
               std::tie(one.behind, other.destination, other.pid);
    });
    return frame;
}

const char* name_of(inspect::BrokerState state) noexcept {
    switch (state) {
        case inspect::BrokerState::running: return "running";
        case inspect::BrokerState::stopped: return "stopped";
        case inspect::BrokerState::dead: return "dead";
    }
    return "unknown";
}

}  // namespace weir::tools
