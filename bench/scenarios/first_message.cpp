// SPDX-License-Identifier: Apache-2.0
//
// Scenario first_message: from starting a broker's process to the first message received.
//
// Everything a service waits for at start is in it: exec, the memory that must be there before
// anything is served, connecting, opening both ends, one message.
#include <unistd.h>

#include "bench/scenarios/content.hpp"
#include "bench/scenarios/leg.hpp"
#include "bench/scenarios/weir_broker.hpp"
#include "bench/scenarios/weir_ends.hpp"
#include "bench/scenarios/weir_scenarios.hpp"

namespace weir::bench {
namespace {

struct StartArea {
    std::uint64_t received_ns;  // CLOCK_MONOTONIC
};

Probed<void> send_to_myself(const std::string& broker, StartArea& area, Meeting& meeting) {
    const char* const destination = "queue://bench.first";
    meeting.begin();
    auto receiver = WeirReceiver::open(broker, destination, Mode::park);
    if (!receiver) return fail(receiver.error());
    auto sender = WeirSender::open(broker, destination);
    if (!sender) return fail(sender.error());
    Content content(64);
    if (!sender->send(content.of(0))) return fail(sender->why());
    if (receiver->receive().data() == nullptr) return fail(receiver->why());
    area.received_ns = monotonic_ns();
    return {};
}

}  // namespace

Probed<Measured> first_message(const Scene& scene, const Cell&, std::uint64_t) {
    auto area = SharedArea::create(sizeof(StartArea));
    if (!area) return fail(area.error());
    auto& shared = area->front<StartArea>();
    const std::string name = "bench-first-" + scene.tag;
    const std::uint64_t began_ns = monotonic_ns();
    auto broker = start_weir_broker(scene, name, {"--direct", "256M"});
    if (!broker) return fail(broker.error());
    const std::uint64_t up_ns = monotonic_ns();
    const Member client{[&](Meeting& m) { return send_to_myself(name, shared, m); }, Seat::either};
    if (auto done = run_group(scene.stage.plan("weir first_message"), {&client, 1}); !done)
        return fail(done.error());
    const auto ms = [&](std::uint64_t until_ns) {
        return static_cast<double>(until_ns - began_ns) / static_cast<double>(ns_per_ms);
    };
    Measured measured;
    measured.elapsed_ns = shared.received_ns - began_ns;
    measured.counts = {{"first_message_ms", ms(shared.received_ns)}, {"ready_ms", ms(up_ns)}};
    return measured;
}

}  // namespace weir::bench
