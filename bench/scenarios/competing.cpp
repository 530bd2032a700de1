// SPDX-License-Identifier: Apache-2.0
//
// Scenario competing: one queue, several consumers; each message goes to one of them.
//
// Nobody knows beforehand who gets how many. The producer ends the run with one end mark per
// consumer; a consumer that meets one acknowledges and leaves, and what it held beyond is delivered
// to the others. That every message came to exactly one consumer is in the sum over all of them.
#include <vector>

#include "bench/probes/words.hpp"
#include "bench/scenarios/leg.hpp"
#include "bench/scenarios/weir_ends.hpp"
#include "bench/scenarios/weir_scenarios.hpp"

namespace weir::bench {
namespace {

constexpr std::uint64_t end_mark = ~std::uint64_t{0};
const char* const destination = "queue://bench.competing";

struct Share {
    std::uint64_t messages;
    std::uint64_t sum;
    std::uint64_t elapsed_ns;  // until its last message
};

struct QueueArea {
    LegArea leg;
    std::array<Share, fan_width> shares;
};

Probed<void> produce(const Scene& scene, QueueArea& area, std::uint64_t bytes,
                     std::uint64_t messages, Meeting& meeting) {
    auto sender = WeirSender::open(weir_broker_name(scene), destination);
    if (!sender) return fail(sender.error());
    std::vector<std::byte> message(bytes);
    meeting.begin();
    for (std::uint64_t index = 0; index < messages; ++index) {
        fill_words(message, index * (bytes / 8));
        if (!sender->send(message)) return fail(sender->why());
    }
    fill_words(message, end_mark);
    for (std::uint32_t mark = 0; mark < fan_width; ++mark) {
        if (!sender->send(message)) return fail(sender->why());
    }
    area.leg.await_done(fan_width);
    return {};
}

Probed<void> consume(const Scene& scene, QueueArea& area, std::size_t who, Mode mode,
                     Meeting& meeting) {
    auto receiver = WeirReceiver::open(weir_broker_name(scene), destination, mode);
    if (!receiver) return fail(receiver.error());
    Share share{};
    meeting.begin();
    const std::uint64_t began_ns = monotonic_ns();
    std::uint64_t ended_ns = began_ns;
    for (;;) {
        const auto bytes = receiver->receive();
        if (bytes.data() == nullptr) return fail(receiver->why());
        if (first_word(bytes) == end_mark) break;
        ++share.messages;
        share.sum += sum_words(bytes);
        if (share.messages % 64 == 0) ended_ns = monotonic_ns();
    }
    share.elapsed_ns = std::max<std::uint64_t>(ended_ns - began_ns, 1);
    area.shares[who] = share;
    receiver->acknowledge();
    receiver->close();
    area.leg.say_done();
    return {};
}

}  // namespace

Probed<Measured> competing(const Scene& scene, const Cell& cell, std::uint64_t count) {
    auto area = SharedArea::create(sizeof(QueueArea));
    if (!area) return fail(area.error());
    auto& shared = area->front<QueueArea>();
    const std::uint64_t bytes = whole_words(cell.size);
    std::vector<Member> members{
        {[&](Meeting& meeting) { return produce(scene, shared, bytes, count, meeting); },
         Seat::either}};
    for (std::size_t who = 0; who < fan_width; ++who) {
        members.push_back(
            {[&, who](Meeting& meeting) { return consume(scene, shared, who, cell.mode, meeting); },
             Seat::either});
    }
    auto done = run_group(scene.stage.plan("weir competing"), members);
    if (!done) return fail(done.error());
    Share all{};
    for (const Share& share : shared.shares) {
        all.messages += share.messages;
        all.sum += share.sum;
        all.elapsed_ns = std::max(all.elapsed_ns, share.elapsed_ns);
    }
    if (all.messages != count || all.sum != sum_of_run(count * (bytes / 8)))
        return fail(ProbeFault::corrupted, "the consumers together did not get each message once");
    Measured measured;
    measured.elapsed_ns = all.elapsed_ns;
    measured.msgs_per_s = per_second(count, all.elapsed_ns);
    measured.bytes_per_s = measured.msgs_per_s * static_cast<double>(bytes);
    return measured;
}

}  // namespace weir::bench
