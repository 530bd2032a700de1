// SPDX-License-Identifier: Apache-2.0
#include "bench/spill/flow_legs.hpp"

#include "bench/probes/process_group.hpp"
#include "bench/scenarios/content.hpp"
#include "bench/scenarios/weir_ends.hpp"
#include "bench/spill/broker_seen.hpp"
#include "bench/spill/figures.hpp"

namespace weir::bench {
namespace {

const char* const destination = "queue://bench.flow";

// Messages between two looks at what the broker shows.
constexpr std::uint64_t look_each = 256;

struct FlowArea {
    Moment from;
    Moment to;
    std::uint64_t sent_bytes;  // in between
};

double gb(std::uint64_t bytes) { return static_cast<double>(bytes) / bytes_per_gb; }
double seconds(const FlowArea& area) {
    return static_cast<double>(area.to.at_ns - area.from.at_ns) / static_cast<double>(ns_per_s);
}
double share(double part, double whole) { return whole > 0 ? part / whole : 0; }

Probed<void> send_all(const std::string& broker, FlowArea& area, std::uint64_t messages,
                      Meeting& meeting) {
    auto seen = BrokerSeen::open(broker);
    if (!seen) return fail(seen.error());
    auto sender = WeirSender::open(broker, destination);
    if (!sender) return fail(sender.error());
    Content content(flow_message_bytes);
    const std::uint64_t threshold = seen->direct_limit() / 4 * 3;  // what the broker has by default
    std::uint64_t filled_at = 0;
    meeting.begin();
    for (std::uint64_t index = 0; index < messages; ++index) {
        if (!sender->send(content.of(index))) return fail(sender->why());
        if (filled_at != 0 || index % look_each != 0 || seen->direct_used() < threshold) continue;
        filled_at = index + 1;
        area.from = seen->now();
    }
    area.to = seen->now();
    if (filled_at == 0)
        return fail(ProbeFault::not_possible, "memory never stood at its threshold: more --bytes");
    area.sent_bytes = (messages - filled_at) * flow_message_bytes;
    return {};
}

Probed<void> receive_all(const std::string& broker, FlowArea& area, std::uint64_t messages,
                         Meeting& meeting) {
    auto seen = BrokerSeen::open(broker);
    if (!seen) return fail(seen.error());
    auto receiver = WeirReceiver::open(broker, destination, Mode::park);
    if (!receiver) return fail(receiver.error());
    Reader reader(flow_message_bytes, 0);
    meeting.begin();
    area.from = seen->now();
    area.to = area.from;
    for (std::uint64_t index = 0; index < messages; ++index) {
        const auto bytes = receiver->receive();
        if (bytes.data() == nullptr) return fail(receiver->why());
        if (!reader.take(bytes)) return reader.wrong();
        if (index % look_each == 0 && seen->bytes_read() != area.to.bytes_read)
            area.to = seen->now();
    }
    return reader.verdict();
}

}  // namespace

Probed<WriteFigures> flow_out(const Scene& scene, const std::string& broker,
                              std::uint64_t messages) {
    auto area = SharedArea::create(sizeof(FlowArea));
    if (!area) return fail(area.error());
    auto& shared = area->front<FlowArea>();
    const Member member{[&](Meeting& m) { return send_all(broker, shared, messages, m); },
                        Seat::either};
    if (auto done = run_group(scene.stage.plan("flow to disk"), {&member, 1}); !done)
        return fail(done.error());
    const double written = gb(shared.to.bytes_written - shared.from.bytes_written);
    return WriteFigures{share(gb(shared.sent_bytes), seconds(shared)),
                        share(written, seconds(shared)),
                        share(shared.to.cpu_s - shared.from.cpu_s, written)};
}

Probed<ReadFigures> flow_back(const Scene& scene, const std::string& broker,
                              std::uint64_t messages) {
    auto area = SharedArea::create(sizeof(FlowArea));
    if (!area) return fail(area.error());
    auto& shared = area->front<FlowArea>();
    const Member member{[&](Meeting& m) { return receive_all(broker, shared, messages, m); },
                        Seat::either};
    if (auto done = run_group(scene.stage.plan("back from disk"), {&member, 1}); !done)
        return fail(done.error());
    const double read = gb(shared.to.bytes_read - shared.from.bytes_read);
    return ReadFigures{share(read, seconds(shared)),
                       share(shared.to.cpu_s - shared.from.cpu_s, read), read,
                       gb(shared.to.bytes_written - shared.from.bytes_written)};
}

}  // namespace weir::bench
