// SPDX-License-Identifier: Apache-2.0
//
// Scenario one_to_one: one process sends as fast as it can, another reads every byte; closed loop,
// in the sense that whoever is slower holds up the other.
//
// The receiver measures, from the first message after the warm-up to the last.
#ifndef WEIR_BENCH_SCENARIOS_ONE_TO_ONE_HPP
#define WEIR_BENCH_SCENARIOS_ONE_TO_ONE_HPP

#include "bench/probes/process_pair.hpp"
#include "bench/scenarios/content.hpp"
#include "bench/scenarios/leg.hpp"

namespace weir::bench {

template <class Carrier>
Probed<void> send_run(Carrier& carrier, const Cell& cell, LegArea& area, std::uint64_t messages,
                      Meeting& meeting) {
    auto sender = carrier.sender(Way::there);
    if (!sender) return fail(sender.error());
    Content content(cell.size);
    meeting.begin();
    for (std::uint64_t index = 0; index < messages; ++index) {
        if (!sender->send(content.of(index))) return fail(sender->why());
    }
    if (!sender->flush()) return fail(sender->why());
    area.await_done();
    return {};
}

template <class Carrier>
Probed<void> receive_run(Carrier& carrier, const Cell& cell, LegArea& area, std::uint64_t warm_up,
                         std::uint64_t messages, Meeting& meeting) {
    auto receiver = carrier.receiver(Way::there, cell.mode);
    if (!receiver) return fail(receiver.error());
    const auto take = [&](Reader& reader, std::uint64_t count) -> Probed<void> {
        for (std::uint64_t index = 0; index < count; ++index) {
            const auto bytes = receiver->receive();
            if (bytes.data() == nullptr) [[unlikely]]
                return fail(receiver->why());
            if (!reader.take(bytes)) [[unlikely]]
                return reader.wrong();
        }
        return reader.verdict();
    };
    Reader warming(cell.size, 0);
    Reader reader(cell.size, warm_up);
    meeting.begin();
    if (auto warm = take(warming, warm_up); !warm) return warm;
    const std::uint64_t began_ns = monotonic_ns();
    auto done = take(reader, messages);
    area.elapsed_ns = monotonic_ns() - began_ns;
    area.say_done();
    return done;
}

template <class Carrier>
Probed<Measured> one_to_one_scenario(const Scene& scene, const Cell& cell, std::uint64_t count) {
    auto area = SharedArea::create(sizeof(LegArea));
    if (!area) return fail(area.error());
    auto& shared = area->front<LegArea>();
    const std::uint64_t bytes = whole_words(cell.size);
    auto carrier = Carrier::wire(scene, bytes);
    if (!carrier) return fail(carrier.error());
    const std::uint64_t messages = std::max(count, Carrier::bytes_min / bytes + 1);
    const std::uint64_t warm_up = std::max(messages / 10, Carrier::warm_up_bytes / bytes) + 1;
    auto done = run_pair(
        scene.stage.plan(cell.system + " one_to_one"),
        [&](Meeting& meeting) {
            return send_run(*carrier, cell, shared, warm_up + messages, meeting);
        },
        [&](Meeting& meeting) {
            return receive_run(*carrier, cell, shared, warm_up, messages, meeting);
        });
    if (!done) return fail(done.error());
    Measured measured;
    measured.elapsed_ns = shared.elapsed_ns;
    measured.msgs_per_s = per_second(messages, shared.elapsed_ns);
    measured.bytes_per_s = measured.msgs_per_s * static_cast<double>(bytes);
    measured.spinning = cell.mode == Mode::spin ? 2 : 0;
    return measured;
}

}  // namespace weir::bench

#endif  // WEIR_BENCH_SCENARIOS_ONE_TO_ONE_HPP
