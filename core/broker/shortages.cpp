// SPDX-License-Identifier: Apache-2.0
#include "core/broker/shortages.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <vector>

#include "core/base/bytes.hpp"
#include "core/base/log.hpp"
#include "core/broker/books.hpp"
#include "core/broker/limits.hpp"

namespace weir::broker {
namespace {

// Who holds what is looked up so often at most, and said in the log so often at most.
constexpr std::uint64_t look_again_ns = 100 * ns_per_ms;
constexpr std::uint64_t say_again_ns = 30 * ns_per_s;

// What one session holds in one destination.
struct Held {
    Bytes bytes = 0;
    std::uint32_t destination = 0;
    std::uint32_t session = nobody;
};

struct Reach {
    Freeable freeable = Freeable::by_nobody;
    std::uint32_t pid = 0;
    std::uint32_t session = 0;
};

struct Finding {
    LimitLevel level = LimitLevel::none;
    Bytes used = 0;
    Bytes capacity = 0;
    std::array<Held, holders_shown> holders{};
    Reach reach;
};

// How full it is there, in what the reason counts.
void measure(Tables& tables, const Lane& lane, WaitReason reason, Finding& finding) {
    switch (unit_of(reason)) {
        case ShortageUnit::bytes: break;
        case ShortageUnit::messages: {
            Destination& destination = tables.destination_of(lane);
            finding.used = settle_destination(tables, destination).messages;
            finding.capacity = destination.policy.max_depth;
            return;
        }
        case ShortageUnit::nothing: return;
    }
    const auto of_account = [&](const Account& account) {
        finding.used = account.used();
        finding.capacity = account.limit() == no_limit ? 0 : account.limit();
    };
    const auto of_part = [&](const Part& part) {
        finding.used = part.state().used;
        finding.capacity = part.state().share;
    };
    const Session* const session = lane.session == nobody ? nullptr : tables.sessions[lane.session];
    switch (finding.level) {
        case LimitLevel::destination: return of_account(tables.destination_of(lane).direct_account);
        case LimitLevel::producer_part: return of_part(tables.direct.producers);
        case LimitLevel::consumer_part: return of_part(tables.direct.consumers);
        case LimitLevel::session:
            if (session != nullptr) of_account(session->direct_held);
            return;
        case LimitLevel::user:
            if (session != nullptr) of_account(session->user.direct);
            return;
        case LimitLevel::none:
        case LimitLevel::broker:
        case LimitLevel::disk: return of_account(tables.direct.root);
    }
}

// A lane at a time: what earlier producers of a lane left counts as the present one's.
std::vector<Held> held_by_all(const Tables& tables, const Lane& waiting, LimitLevel level) {
    std::vector<Held> all;
    for (const Lane& lane : tables.lanes) {
        if (lane.granted() == 0 || !counts_at(tables, waiting, level, lane)) continue;
        all.push_back({lane.granted(), lane.destination, lane.session});
    }
    const auto key = [](const Held& held) {
        return std::uint64_t{held.destination} << 32 | held.session;
    };
    std::sort(all.begin(), all.end(),
              [&](const Held& one, const Held& other) { return key(one) < key(other); });
    std::vector<Held> sums;
    for (const Held& held : all) {
        if (sums.empty() || key(sums.back()) != key(held))
            sums.push_back(held);
        else
            sums.back().bytes += held.bytes;
    }
    return sums;
}

// The processes that read what is held.
Reach reach_of(const Tables& tables, const std::vector<Held>& all) {
    Reach reach;
    std::uint32_t seen = nobody;
    for (const Held& held : all) {
        if (held.destination == seen) continue;  // sorted by destination
        seen = held.destination;
        for (const std::uint32_t slot : tables.destinations[seen]->consumers) {
            const std::uint32_t session = tables.subscriptions[slot]->session;
            const std::uint32_t pid = tables.control.view().session(session).pid;
            if (reach.freeable == Freeable::by_nobody) reach = {Freeable::by_one, pid, session};
            if (reach.pid != pid) return {Freeable::by_several, 0, 0};
        }
    }
    return reach;
}

Finding look(Tables& tables, const Lane& lane, WaitReason reason, LimitLevel level) {
    Finding finding;
    finding.level = level;
    measure(tables, lane, reason, finding);
    std::vector<Held> all = held_by_all(tables, lane, level);
    finding.reach = reach_of(tables, all);
    const std::size_t count = std::min(all.size(), holders_shown);
    std::partial_sort(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(count), all.end(),
                      [](const Held& one, const Held& other) { return one.bytes > other.bytes; });
    std::copy_n(all.begin(), count, finding.holders.begin());
    return finding;
}

std::uint32_t pid_of(const Tables& tables, std::uint32_t session) {
    return session == nobody ? 0 : tables.control.view().session(session).pid;
}

void publish(Tables& tables, const Destination& destination, WaitReason reason,
             const Finding& finding, std::uint64_t since_ns) {
    Shortage& shown = tables.slot(destination).shortage;
    // SYNC(shortage) release: odd: what is behind is about to change.
    shown.generation.fetch_add(1, std::memory_order_acq_rel);
    const auto set = [](auto& word, auto value) {
        // SYNC(shortage) release: it belongs to the odd generation before, at least.
        word.store(value, std::memory_order_release);
    };
    set(shown.reason, reason);
    set(shown.level, finding.level);
    set(shown.freeable, finding.reach.freeable);
    set(shown.only_pid, finding.reach.pid);
    set(shown.only_session, finding.reach.session);
    set(shown.used, finding.used);
    set(shown.capacity, finding.capacity);
    set(shown.since_ns, since_ns);
    for (std::size_t at = 0; at < holders_shown; ++at) {
        const Held& held = finding.holders[at];
        set(shown.holders[at].bytes, held.bytes);
        set(shown.holders[at].destination, held.destination);
        set(shown.holders[at].session, held.session);
        set(shown.holders[at].pid, pid_of(tables, held.session));
    }
    // SYNC(shortage) release: even: all of it is of one moment.
    shown.generation.fetch_add(1, std::memory_order_release);
}

std::string name_of(const Tables& tables, std::uint32_t session) {
    if (session == nobody) return "a producer that has left";
    const SessionSlot& slot = tables.control.view().session(session);
    return fmt::format("{} (pid {})", slot.name, slot.pid);
}

std::string_view text_of(WaitReason reason) {
    switch (reason) {
        case WaitReason::direct_full: return "direct memory is full";
        case WaitReason::direct_fragmented: return "direct memory is fragmented";
        case WaitReason::heap_full: return "heap-like memory is full";
        case WaitReason::destination_limit: return "it is at its limit";
        case WaitReason::part_full: return "the producer part is full";
        case WaitReason::session_limit: return "a session is at its limit";
        case WaitReason::user_limit: return "a user is at its limit";
        case WaitReason::never_fits: return "a message is larger than a limit";
        case WaitReason::rate_limit: return "its rate is used up";
        case WaitReason::pace: return "it is slowed down to what its consumers read";
        case WaitReason::depth_limit: return "it holds as many messages as it may";
        case WaitReason::disk_full: return "the spill directory is full";
        case WaitReason::disk_error: return "the spill directory cannot be written";
        default: return "it is slowed down";
    }
}

std::string amount_of(WaitReason reason, const Finding& finding) {
    switch (unit_of(reason)) {
        case ShortageUnit::bytes:
            return fmt::format(" ({} of {})", format_size(finding.used),
                               format_size(finding.capacity));
        case ShortageUnit::messages:
            return fmt::format(" ({} of {} messages)", finding.used, finding.capacity);
        case ShortageUnit::nothing: break;
    }
    return "";
}

void say(const Tables& tables, const Lane& lane, WaitReason reason, const Finding& finding) {
    const Destination& destination = tables.destination_of(lane);
    std::string held;
    for (const Held& holder : finding.holders) {
        if (holder.bytes == 0) break;
        held += fmt::format("{}{} in {} of {}", held.empty() ? "" : ", ", format_size(holder.bytes),
                            tables.destinations[holder.destination]->name,
                            name_of(tables, holder.session));
    }
    std::string reach;
    if (finding.reach.freeable == Freeable::by_nobody)
        reach = "; nobody consumes any of it";
    else if (finding.reach.freeable == Freeable::by_one &&
             finding.reach.pid == pid_of(tables, lane.session))
        reach = fmt::format("; only {} itself can free it", name_of(tables, lane.session));
    else if (finding.reach.freeable == Freeable::by_one)
        reach = fmt::format("; only {} can free it", name_of(tables, finding.reach.session));
    log::warning("{}: producers wait: {}{}; most is held: {}{}", destination.name, text_of(reason),
                 amount_of(reason, finding), held.empty() ? "nothing" : held, reach);
}

}  // namespace

LimitLevel level_of(WaitReason reason) noexcept {
    switch (reason) {
        case WaitReason::none:
        case WaitReason::broker_stopping:
        case WaitReason::lane_exhausted: return LimitLevel::none;
        case WaitReason::part_full: return LimitLevel::producer_part;
        case WaitReason::session_limit: return LimitLevel::session;
        case WaitReason::user_limit: return LimitLevel::user;
        case WaitReason::disk_full:
        case WaitReason::disk_error: return LimitLevel::disk;
        case WaitReason::direct_full:
        case WaitReason::direct_fragmented:
        case WaitReason::heap_full: return LimitLevel::broker;
        default: return LimitLevel::destination;
    }
}

void note_shortage(Tables& tables, const Lane& lane, WaitReason reason) {
    LimitLevel level = level_of(reason);
    if (level == LimitLevel::none) return;
    Destination& destination = tables.destination_of(lane);
    ShortageState& state = destination.shortage;
    const std::uint64_t now = tables.clock.now_ns();
    // At its pace a destination comes to its limit and back all the time.
    const bool known =
        state.reason == reason || (reason == WaitReason::pace && state.reason != WaitReason::none);
    if (known && now - state.looked_ns < look_again_ns) return;
    if (state.reason == WaitReason::none) state.since_ns = now;
    state.reason = reason;
    state.looked_ns = now;
    if (reason == WaitReason::never_fits) level = in_vain_at(tables, lane, lane.record_recent);
    const Finding finding = look(tables, lane, reason, level);
    publish(tables, destination, reason, finding, state.since_ns);
    if (reason == WaitReason::pace) return;  // it is meant to be; the statistics show it
    if (state.said_ns != 0 && now - state.said_ns < say_again_ns) return;
    state.said_ns = now;
    say(tables, lane, reason, finding);
}

void end_shortages(Tables& tables) {
    for (Destination& destination : tables.destinations) {
        if (destination.shortage.reason == WaitReason::none) continue;
        // relaxed: the broker's own word.
        if (tables.slot(destination).blocked_producers.load(std::memory_order_relaxed) != 0)
            continue;
        destination.shortage.reason = WaitReason::none;
        publish(tables, destination, WaitReason::none, {}, 0);
    }
}

}  // namespace weir::broker
