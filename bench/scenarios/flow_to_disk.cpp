// SPDX-License-Identifier: Apache-2.0
//
// Scenario flow_to_disk: a queue takes four times what memory holds, then gives it back.
//
// A broker of its own with 64 MiB of direct memory and a spill folder in the scene's folder. First
// the producer alone, then the consumer alone: bytes per second are of the whole, there and back,
// the two parts stand in the counts. A broker that cannot flow to disk makes the producer wait; the
// scenario then says that it is not available.
#include "bench/probes/process_group.hpp"
#include "bench/scenarios/content.hpp"
#include "bench/scenarios/leg.hpp"
#include "bench/scenarios/weir_broker.hpp"
#include "bench/scenarios/weir_ends.hpp"
#include "bench/scenarios/weir_scenarios.hpp"

namespace weir::bench {
namespace {

const char* const destination = "queue://bench.disk";

struct DiskArea {
    std::uint64_t written_ns;
    std::uint64_t read_ns;
    bool waited;  // the producer found no room for two seconds
};

Probed<void> write_all(const std::string& broker, DiskArea& area, const Cell& cell,
                       std::uint64_t messages, Meeting& meeting) {
    ProducerOptions options;
    options.timeout = std::chrono::seconds(2);
    auto sender = WeirSender::open(broker, destination, options);
    if (!sender) return fail(sender.error());
    Content content(cell.size);
    meeting.begin();
    const std::uint64_t began_ns = monotonic_ns();
    for (std::uint64_t index = 0; index < messages; ++index) {
        auto sent = sender->producer().send(content.of(index));
        if (sent) continue;
        area.waited = sent.error() == SendError::timed_out;
        return fail(ProbeFault::not_possible, std::string(sentence(sent.error())));
    }
    area.written_ns = monotonic_ns() - began_ns;
    return {};
}

Probed<void> read_back(const std::string& broker, DiskArea& area, const Cell& cell,
                       std::uint64_t messages, Meeting& meeting) {
    auto receiver = WeirReceiver::open(broker, destination, Mode::park);
    if (!receiver) return fail(receiver.error());
    Reader reader(cell.size, 0);
    meeting.begin();
    const std::uint64_t began_ns = monotonic_ns();
    for (std::uint64_t index = 0; index < messages; ++index) {
        const auto bytes = receiver->receive();
        if (bytes.data() == nullptr) return fail(receiver->why());
        if (!reader.take(bytes)) return reader.wrong();
    }
    area.read_ns = monotonic_ns() - began_ns;
    return reader.verdict();
}

}  // namespace

Probed<Measured> flow_to_disk(const Scene& scene, const Cell& cell, std::uint64_t) {
    constexpr std::uint64_t total_bytes = 256ULL << 20;
    auto area = SharedArea::create(sizeof(DiskArea));
    if (!area) return fail(area.error());
    auto& shared = area->front<DiskArea>();
    const std::string name = "bench-disk-" + scene.tag;
    auto broker = start_weir_broker(scene, name, {"--direct", "64M", "--spill-dir", scene.folder});
    if (!broker) return fail(broker.error());
    const std::uint64_t bytes = whole_words(cell.size);
    const std::uint64_t messages = total_bytes / bytes;
    const auto plan = scene.stage.plan("weir flow_to_disk");
    const Member writer{[&](Meeting& m) { return write_all(name, shared, cell, messages, m); },
                        Seat::first};
    if (auto done = run_group(plan, {&writer, 1}); !done) {
        if (!shared.waited) return fail(done.error());
        return fail(ProbeFault::not_possible,
                    "not available: this broker does not flow to disk, its producer had to wait");
    }
    const Member reading{[&](Meeting& m) { return read_back(name, shared, cell, messages, m); },
                         Seat::second};
    if (auto done = run_group(plan, {&reading, 1}); !done) return fail(done.error());
    Measured measured;
    measured.elapsed_ns = shared.written_ns + shared.read_ns;
    measured.msgs_per_s = per_second(messages, measured.elapsed_ns);
    measured.bytes_per_s = measured.msgs_per_s * static_cast<double>(bytes);
    measured.counts = {{"write_bytes_per_s", per_second(messages * bytes, shared.written_ns)},
                       {"read_bytes_per_s", per_second(messages * bytes, shared.read_ns)}};
    return measured;
}

}  // namespace weir::bench
