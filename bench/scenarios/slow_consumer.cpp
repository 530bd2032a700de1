// SPDX-License-Identifier: Apache-2.0
//
// Scenario slow_consumer: a topic with two subscribers, of which one takes a message a millisecond.
//
// What matters is the fast one's rate: a slow subscriber may cost memory, not the speed of others.
// The leg is short enough for the backlog of the slow one to stay in memory, and so the producer
// walks over pages that were not freed; that is in the figure.
#include <algorithm>
#include <vector>

#include "bench/scenarios/content.hpp"
#include "bench/scenarios/leg.hpp"
#include "bench/scenarios/weir_ends.hpp"
#include "bench/scenarios/weir_scenarios.hpp"

namespace weir::bench {
namespace {

const char* const destination = "topic://bench.slow";

Probed<void> read_slowly(const Scene& scene, LegArea& area, const Cell& cell, Meeting& meeting) {
    auto receiver = WeirReceiver::open(weir_broker_name(scene), destination, Mode::park);
    if (!receiver) return fail(receiver.error());
    Reader reader(cell.size, 0);
    meeting.begin();
    // SYNC(bench_done) acquire: pairs with the fast subscriber's step.
    while (area.done.load(std::memory_order_acquire) == 0) {
        const auto bytes = receiver->receive_within(std::chrono::milliseconds(1));
        if (bytes && bytes->data() == nullptr) return fail(receiver->why());
        if (bytes && !reader.take(*bytes)) return reader.wrong();
        ::usleep(1000);
    }
    return reader.verdict();
}

Probed<void> read_fast(const Scene& scene, LegArea& area, const Cell& cell, std::uint64_t messages,
                       Meeting& meeting) {
    auto receiver = WeirReceiver::open(weir_broker_name(scene), destination, cell.mode);
    if (!receiver) return fail(receiver.error());
    Reader reader(cell.size, 0);
    meeting.begin();
    const std::uint64_t began_ns = monotonic_ns();
    for (std::uint64_t index = 0; index < messages; ++index) {
        const auto bytes = receiver->receive();
        if (bytes.data() == nullptr) return fail(receiver->why());
        if (!reader.take(bytes)) return reader.wrong();
    }
    area.elapsed_ns = monotonic_ns() - began_ns;
    area.say_done();
    return reader.verdict();
}

Probed<void> produce(const Scene& scene, LegArea& area, const Cell& cell, std::uint64_t messages,
                     Meeting& meeting) {
    auto sender = WeirSender::open(weir_broker_name(scene), destination);
    if (!sender) return fail(sender.error());
    Content content(cell.size);
    meeting.begin();
    for (std::uint64_t index = 0; index < messages; ++index) {
        if (!sender->send(content.of(index))) return fail(sender->why());
    }
    area.await_done();
    return {};
}

}  // namespace

Probed<Measured> slow_consumer(const Scene& scene, const Cell& cell, std::uint64_t count) {
    auto area = SharedArea::create(sizeof(LegArea));
    if (!area) return fail(area.error());
    auto& shared = area->front<LegArea>();
    const std::uint64_t bytes = whole_words(cell.size);
    constexpr std::uint64_t backlog_max = 96ULL << 20;
    const std::uint64_t messages = std::min(count, backlog_max / (bytes + 8));
    const std::vector<Member> members{
        {[&](Meeting& m) { return produce(scene, shared, cell, messages, m); }, Seat::first},
        {[&](Meeting& m) { return read_fast(scene, shared, cell, messages, m); }, Seat::second},
        {[&](Meeting& m) { return read_slowly(scene, shared, cell, m); }, Seat::either}};
    auto done = run_group(scene.stage.plan("weir slow_consumer"), members);
    if (!done) return fail(done.error());
    Measured measured;
    measured.elapsed_ns = shared.elapsed_ns;
    measured.msgs_per_s = per_second(messages, shared.elapsed_ns);
    measured.bytes_per_s = measured.msgs_per_s * static_cast<double>(bytes);
    measured.spinning = cell.mode == Mode::spin ? 2 : 0;
    measured.state = "backlog of the slow one in memory";
    return measured;
}

}  // namespace weir::bench
