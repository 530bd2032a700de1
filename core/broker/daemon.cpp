// SPDX-License-Identifier: Apache-2.0
//
// Wiring a broker; see daemon.hpp.
#include "core/broker/daemon.hpp"

#include <unistd.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "core/base/bytes.hpp"
#include "core/base/log.hpp"
#include "core/broker/disk.hpp"
#include "core/broker/leftovers.hpp"
#include "core/broker/loop.hpp"
#include "core/broker/process.hpp"
#include "core/broker/segment_half.hpp"
#include "io/files.hpp"
#include "io/ring.hpp"
#include "io/spill_directory.hpp"
#include "shm/control_region.hpp"
#include "shm/life.hpp"

namespace weir::broker {
namespace {

// Operations handed to the kernel at once; more only mean another system call.
constexpr unsigned ring_entries = 256;

// Beside the sessions, connections that are still greeting or being refused.
constexpr std::uint32_t connections_extra = 32;

// How long the disk may take at the end to give the spill space back.
constexpr std::uint64_t disk_patience_ns = 5 * ns_per_s;

constexpr std::uint64_t spill_limit_least = 64 << 20;

// The named region goes with the broker. After a crash it stays, for the next one to count.
struct ControlName {
    std::string broker;
    ~ControlName() { ControlRegion::remove(broker); }
};

StartFailure failure_of(protocol::Refusal refusal) noexcept {
    return refusal == protocol::Refusal::direct_full || refusal == protocol::Refusal::heap_full
               ? StartFailure::no_memory
               : StartFailure::refused;
}

Result<std::unique_ptr<Segment>, Error<StartFailure>> make_segment(const BrokerConfig& config,
                                                                   std::uint64_t epoch,
                                                                   const Clock& clock) {
    SegmentOptions options;
    options.name = config.name;
    options.direct_bytes = config.direct_bytes;
    options.heap_bytes = config.heap_bytes;
    options.largest_message = config.largest_message;
    options.epoch = epoch;
    options.limits = config.limits;
    options.policies = config.policies;
    auto segment = Segment::create(options, clock);
    if (!segment) return fail(failure_of(segment.error().code), segment.error().sentence);
    return std::move(*segment);
}

// Policies only: what else the file says was decided when the regions were made.
Result<PolicyChange, Refused> read_policies_again(const BrokerConfig& config, MemoryHalf& memory) {
    auto settings = read_config_file(config.config_file);
    if (!settings) return fail(protocol::Refusal::bad_policy, settings.error().sentence);
    return memory.read_policies(settings->policies);
}

// The spill directory, cleared of an earlier life; how much may be in it.
Result<std::uint64_t, Error<StartFailure>> open_spill_space(const std::string& broker,
                                                            const FlowOptions& flow, Ready& news) {
    auto room = flow.by_default ? io::open_default_spill_directory(flow.directory)
                                : io::open_spill_directory(flow.directory);
    if (!room) return fail(StartFailure::refused, room.error().sentence);
    const io::LeftFiles left = io::remove_spill_files(flow.directory, spill_owner(broker));
    if (left.files != 0)
        news.notices.push_back("an earlier broker of this name left " + std::to_string(left.files) +
                               " spill files (" + format_size(left.bytes) + "): removed");
    if (io::is_in_memory(flow.directory))
        news.notices.push_back("the spill directory " + flow.directory +
                               " is in memory itself (tmpfs): what flows there makes none free");
    if (flow.limit_bytes != 0) return flow.limit_bytes;
    // A disk that is full now need not stay so: what it really has is found out at each file.
    return std::max(*room / 10'000 * flow.limit_share, spill_limit_least);
}

// Nobody asked for the default one: without it there is no flow to disk, and producers wait. True:
// the disk is used.
Result<bool, Error<StartFailure>> use_disk(const BrokerConfig& config, Segment& segment,
                                           io::Files& files, Ready& news) {
    const FlowOptions& flow = config.limits.flow;
    if (flow.directory.empty()) return false;
    auto limit = open_spill_space(config.name, flow, news);
    if (limit) {
        segment.use_disk(files, flow, *limit);
        return true;
    }
    if (flow.by_default) {
        news.notices.push_back("no flow to disk, producers wait when memory is full: " +
                               limit.error().sentence + " (name another with --spill-dir DIR)");
        log::warning("{}", news.notices.back());
        return false;
    }
    return fail(limit.error());
}

void leave_disk(const BrokerConfig& config) {
    const FlowOptions& flow = config.limits.flow;
    io::remove_spill_files(flow.directory, spill_owner(config.name));
    if (flow.by_default) ::rmdir(flow.directory.c_str());  // not empty: another broker's too
}

// The part with a listening socket: everything before it can fail, nothing after `ready` may.
Result<void, Error<StartFailure>> serve(const BrokerConfig& config, Segment& segment,
                                        const Clock& clock, int signals, Ready news,
                                        const std::function<void(const Ready&)>& ready) {
    auto ring = io::Ring::create(ring_entries);
    if (!ring) return fail(StartFailure::refused, ring.error().sentence);
    auto doorbell = make_doorbell();
    if (!doorbell) return fail(doorbell.error());
    const std::uint32_t sessions_max = segment.control().limits.sessions;
    if (!raise_descriptor_limit(sessions_max))
        news.notices.push_back(
            "the limit of open files is too low for " + std::to_string(sessions_max) +
            " sessions: raise it ('ulimit -Hn', LimitNOFILE= of a systemd unit)");
    const Life life(segment.life());
    segment.publish();
    auto listener = listen_at(config.places.socket);
    if (!listener) return fail(listener.error());
    ask_for_short_slice();

    SegmentHalf memory(segment);
    SessionRules rules;
    rules.own_uid = ::getuid();
    rules.connections_max = sessions_max + connections_extra;
    rules.doorbell = doorbell->get();
    if (!config.config_file.empty())
        rules.read_policies = [&] { return read_policies_again(config, memory); };
    Sessions sessions(memory, rules, clock);
    LoopInputs inputs;
    inputs.listener = listener->get();
    inputs.doorbell = doorbell->get();
    inputs.signals = signals;
    inputs.ends_with_last_session = config.ends_with_last_session;
    Loop loop(std::move(*ring), memory, sessions, inputs, clock);
    io::RingFiles files(loop.ring(), Loop::disk_prefix());
    const auto has_disk = use_disk(config, segment, files, news);
    if (!has_disk) return fail(has_disk.error());

    log::info("broker \"{}\" is ready: {} of direct memory, {} of heap-like memory, socket {}",
              config.name, format_size(config.direct_bytes), format_size(config.heap_bytes),
              config.places.socket);
    ready(news);
    auto ended = loop.run();
    loop.end_disk(disk_patience_ns);
    if (*has_disk) leave_disk(config);
    if (!ended) return fail(StartFailure::refused, ended.error().sentence);
    log::info("broker \"{}\" has stopped; discarded: {} messages, {}", config.name, ended->messages,
              format_size(ended->bytes));
    return {};
}

}  // namespace

Result<void, Error<StartFailure>> run_broker(const BrokerConfig& config,
                                             const std::function<void(const Ready&)>& ready) {
    if (auto joined = join_barrier(); !joined) return fail(joined.error());
    // Before anything is made: a stop that comes early is then a clean one, a moment later.
    auto signals = StopSignals::catch_them();
    if (!signals) return fail(signals.error());
    auto lock = NameLock::take(config.name, config.places);
    if (!lock) return fail(lock.error());
    auto left = clear_leftovers(config.name, config.places);
    if (!left) return fail(left.error());

    Ready news;
    news.name = config.name;
    news.socket = config.places.socket;
    news.pid = ::getpid();
    if (left->found) {
        news.notices.push_back(left->sentence(config.name));
        log::warning("{}", news.notices.back());
    }
    const MonotonicClock clock;
    const ControlName control{config.name};
    auto segment = make_segment(config, left->epoch + 1, clock);
    if (!segment) return fail(segment.error());
    return serve(config, **segment, clock, signals->fd(), std::move(news), ready);
}

}  // namespace weir::broker
