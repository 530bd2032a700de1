// SPDX-License-Identifier: Apache-2.0
//
// Scenarios in_place and untouched: what only shared memory can do.
//
// in_place    a message is written where its consumer reads it: claim, fill, commit. Every byte is
//             written once and read once; nothing is copied.
// untouched   a round trip of records whose bytes neither side touches: what is left is the news
//             itself, which must not depend on the size.
#include <vector>

#include "bench/probes/process_pair.hpp"
#include "bench/probes/words.hpp"
#include "bench/scenarios/leg.hpp"
#include "bench/scenarios/weir_ends.hpp"
#include "bench/scenarios/weir_scenarios.hpp"

namespace weir::bench {
namespace {

const char* const stream = "topic://bench.in-place";

Failure<ProbeError> refused(SendError error) {
    return fail(ProbeFault::subject_failed, std::string(sentence(error)));
}

Probed<void> build_all(const Scene& scene, LegArea& area, std::uint64_t bytes,
                       std::uint64_t messages, Meeting& meeting) {
    auto sender = WeirSender::open(weir_broker_name(scene), stream);
    if (!sender) return fail(sender.error());
    meeting.begin();
    for (std::uint64_t index = 0; index < messages; ++index) {
        auto open = sender->producer().claim(bytes);
        if (!open) return refused(open.error());
        fill_words(open->bytes(), index * (bytes / 8));
        open->commit();
    }
    area.await_done();
    return {};
}

Probed<void> read_all(const Scene& scene, LegArea& area, Mode mode, std::uint64_t bytes,
                      std::uint64_t warm_up, std::uint64_t messages, Meeting& meeting) {
    auto receiver = WeirReceiver::open(weir_broker_name(scene), stream, mode);
    if (!receiver) return fail(receiver.error());
    std::uint64_t sum = 0;
    meeting.begin();
    std::uint64_t began_ns = 0;
    for (std::uint64_t index = 0; index < warm_up + messages; ++index) {
        if (index == warm_up) began_ns = monotonic_ns();
        const auto message = receiver->receive();
        if (message.data() == nullptr) return fail(receiver->why());
        if (message.size() != bytes || first_word(message) != index * (bytes / 8))
            return fail(ProbeFault::corrupted, "another message came");
        sum += sum_words(message);
    }
    area.elapsed_ns = monotonic_ns() - began_ns;
    area.say_done();
    if (sum != sum_of_run((warm_up + messages) * (bytes / 8)))
        return fail(ProbeFault::corrupted, "the sum of all words is wrong");
    return {};
}

// One trip of a record that stays as it was claimed.
Probed<void> throw_one(WeirSender& sender, std::uint64_t bytes) {
    auto open = sender.producer().claim(bytes);
    if (!open) return refused(open.error());
    open->commit();
    return {};
}

Probed<void> catch_one(WeirReceiver& receiver, std::uint64_t bytes) {
    const auto message = receiver.receive();
    if (message.data() == nullptr) return fail(receiver.why());
    if (message.size() != bytes) return fail(ProbeFault::corrupted, "another message came");
    return {};
}

Probed<void> throw_all(const Scene& scene, LegArea& area, const Cell& cell, std::uint64_t warm_up,
                       std::uint64_t round_trips, Meeting& meeting) {
    auto carrier = WeirTopic::wire(scene, cell.size);
    auto receiver = carrier->receiver(Way::back, cell.mode);
    if (!receiver) return fail(receiver.error());
    auto sender = carrier->sender(Way::there);
    if (!sender) return fail(sender.error());
    const TickClock& clock = scene.stage.clock;
    meeting.begin();
    std::uint64_t began_ns = monotonic_ns();
    for (std::uint64_t turn = 0; turn < warm_up + round_trips; ++turn) {
        if (turn == warm_up) {
            area.ticks.clear();
            began_ns = monotonic_ns();
        }
        const std::uint64_t from = clock.now_ticks();
        if (auto sent = throw_one(*sender, cell.size); !sent) return sent;
        if (auto got = catch_one(*receiver, cell.size); !got) return got;
        area.ticks.record(clock.sample_ticks(from, clock.now_ticks()));
    }
    area.elapsed_ns = monotonic_ns() - began_ns;
    area.say_done();
    return {};
}

Probed<void> throw_back(const Scene& scene, LegArea& area, const Cell& cell, std::uint64_t turns,
                        Meeting& meeting) {
    auto carrier = WeirTopic::wire(scene, cell.size);
    auto receiver = carrier->receiver(Way::there, cell.mode);
    if (!receiver) return fail(receiver.error());
    auto sender = carrier->sender(Way::back);
    if (!sender) return fail(sender.error());
    meeting.begin();
    for (std::uint64_t turn = 0; turn < turns; ++turn) {
        if (auto got = catch_one(*receiver, cell.size); !got) return got;
        if (auto sent = throw_one(*sender, cell.size); !sent) return sent;
    }
    area.await_done();
    return {};
}

}  // namespace

Probed<Measured> in_place(const Scene& scene, const Cell& cell, std::uint64_t count) {
    auto area = SharedArea::create(sizeof(LegArea));
    if (!area) return fail(area.error());
    auto& shared = area->front<LegArea>();
    const std::uint64_t bytes = whole_words(cell.size);
    const std::uint64_t messages = std::max(count, WeirTopic::bytes_min / bytes);
    const std::uint64_t warm_up = WeirTopic::warm_up_bytes / bytes + 1;
    auto done = run_pair(
        scene.stage.plan("weir in_place"),
        [&](Meeting& m) { return build_all(scene, shared, bytes, warm_up + messages, m); },
        [&](Meeting& m) {
            return read_all(scene, shared, cell.mode, bytes, warm_up, messages, m);
        });
    if (!done) return fail(done.error());
    Measured measured;
    measured.elapsed_ns = shared.elapsed_ns;
    measured.msgs_per_s = per_second(messages, shared.elapsed_ns);
    measured.bytes_per_s = measured.msgs_per_s * static_cast<double>(bytes);
    measured.spinning = cell.mode == Mode::spin ? 2 : 0;
    return measured;
}

Probed<Measured> untouched(const Scene& scene, const Cell& cell, std::uint64_t count) {
    auto area = SharedArea::create(sizeof(LegArea));
    if (!area) return fail(area.error());
    auto& shared = area->front<LegArea>();
    const std::uint64_t warm_up = count / 10 + 1;
    auto done = run_pair(
        scene.stage.plan("weir untouched"),
        [&](Meeting& m) { return throw_all(scene, shared, cell, warm_up, count, m); },
        [&](Meeting& m) { return throw_back(scene, shared, cell, warm_up + count, m); });
    if (!done) return fail(done.error());
    Measured measured;
    measured.latency = latency_figures(shared.ticks, scene.stage.clock);
    measured.elapsed_ns = shared.elapsed_ns;
    measured.msgs_per_s = per_second(2 * count, shared.elapsed_ns);
    measured.spinning = cell.mode == Mode::spin ? 2 : 0;
    return measured;
}

}  // namespace weir::bench
