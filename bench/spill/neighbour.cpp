// SPDX-License-Identifier: Apache-2.0
#include "bench/spill/neighbour.hpp"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "bench/probes/process_group.hpp"
#include "bench/scenarios/content.hpp"
#include "bench/scenarios/leg.hpp"
#include "bench/scenarios/weir_ends.hpp"
#include "bench/spill/broker_seen.hpp"
#include "bench/spill/plain_files.hpp"

namespace weir::bench {
namespace {

const char* const there = "topic://bench.near.there";
const char* const back = "topic://bench.near.back";
constexpr std::uint64_t small_bytes = 64;
constexpr std::uint64_t flood_bytes = 1024;
constexpr std::uint64_t plain_file_bytes = 1ull << 30;
constexpr std::uint64_t patience_ns = 20 * ns_per_s;

struct NearArea {
    LegArea leg;
    std::atomic<std::uint32_t> loud;           // those beside the pair that have begun
    std::array<std::atomic<pid_t>, 2> pids;    // writer, flood
    std::atomic<std::uint64_t> bytes_written;  // by the plain writer
    Load load;

    bool over() const noexcept {
        // relaxed: only whether to go on; nothing else is read because of it.
        return leg.done.load(std::memory_order_relaxed) != 0;
    }
    void begin_noise(std::size_t place) noexcept {
        // relaxed: numbers that stand for themselves.
        pids[place].store(::getpid(), std::memory_order_relaxed);
        loud.fetch_add(1, std::memory_order_relaxed);  // relaxed: as above
    }
};

// What those beside the pair have used until now.
struct Used {
    std::uint64_t at_ns = monotonic_ns();
    std::uint64_t bytes = 0;
    std::array<double, 2> cpu_s{0, 0};
    std::array<RunsOf, 2> runs;
};

Used used_by(const NearArea& area, const BrokerSeen& seen) {
    Used used;
    // relaxed: numbers that stand for themselves.
    const std::array<pid_t, 2> pids{area.pids[0].load(std::memory_order_relaxed),
                                    area.pids[1].load(std::memory_order_relaxed)};
    const Moment broker = seen.now();
    // Without a plain writer the broker is the writer.
    used.cpu_s = {pids[0] != 0 ? cpu_s_of(pids[0]) : broker.cpu_s,
                  pids[1] != 0 ? cpu_s_of(pids[1]) : 0};
    used.runs = {runs_of(pids[0] != 0 ? pids[0] : seen.pid()), runs_of(pids[1])};
    // relaxed: as above.
    used.bytes =
        pids[0] != 0 ? area.bytes_written.load(std::memory_order_relaxed) : broker.bytes_written;
    return used;
}

Load load_between(const Used& from, const Used& to) {
    const double seconds = static_cast<double>(to.at_ns - from.at_ns) / 1e9;
    const auto run_ns = [&](std::size_t place) {
        const double times = to.runs[place].times - from.runs[place].times;
        return times > 0 ? (to.runs[place].ns - from.runs[place].ns) / times : 0;
    };
    return {static_cast<double>(to.bytes - from.bytes) / seconds,
            {(to.cpu_s[0] - from.cpu_s[0]) / seconds, (to.cpu_s[1] - from.cpu_s[1]) / seconds},
            {run_ns(0), run_ns(1)}};
}

Probed<void> await_noise(const NearArea& area, std::uint32_t members) {
    const std::uint64_t deadline_ns = monotonic_ns() + patience_ns;
    // relaxed: see begin_noise.
    while (area.loud.load(std::memory_order_relaxed) < members) {
        if (monotonic_ns() > deadline_ns)
            return fail(ProbeFault::timed_out, "what runs beside the pair did not begin");
        ::usleep(1000);
    }
    return {};
}

class Asker {
public:
    Asker(const Scene& scene, NearArea& area, WeirSender& sender, WeirReceiver& receiver)
        : clock_(scene.stage.clock), area_(area), sender_(sender), receiver_(receiver) {}

    // So many questions at the rate; false: one of the ends failed.
    bool ask(std::uint64_t count) {
        const double apart = static_cast<double>(clock_.to_ticks(ns_per_s)) / neighbour_rate_per_s;
        const std::uint64_t began = clock_.now_ticks();
        std::uint64_t sent = 0;
        std::uint64_t due = began;
        for (std::uint64_t answered = 0; answered < count;) {
            const std::uint64_t now = clock_.now_ticks();
            if (sent < count && now >= due) {
                if (!sender_.send(content_.from(due))) return fails(sender_.why());
                due = began + static_cast<std::uint64_t>(apart * static_cast<double>(++sent));
                if (sent == count) sent_ns_ = monotonic_ns();
                continue;
            }
            const double wait_ns = sent < count ? clock_.to_ns(due - now) : 1e9;
            const auto bytes = receiver_.receive_within(
                std::chrono::nanoseconds(static_cast<std::int64_t>(wait_ns)));
            if (!bytes) continue;
            if (bytes->data() == nullptr) return fails(receiver_.why());
            const std::uint64_t asked = first_word(*bytes);
            const std::uint64_t words = small_bytes / 8;
            wrong_ |= 2 * sum_words(*bytes) ^ (words * (2 * asked + words - 1));
            area_.leg.ticks.record(clock_.sample_ticks(asked, clock_.now_ticks()));
            ++answered;
        }
        return true;
    }
    bool sound() const noexcept { return wrong_ == 0; }
    std::uint64_t sent_ns() const noexcept { return sent_ns_; }
    const ProbeError& why() const noexcept { return why_; }

private:
    bool fails(const ProbeError& why) {
        why_ = why;
        return false;
    }

    const TickClock& clock_;
    NearArea& area_;
    WeirSender& sender_;
    WeirReceiver& receiver_;
    Content content_{small_bytes};
    std::uint64_t wrong_ = 0;
    std::uint64_t sent_ns_ = 0;
    ProbeError why_{ProbeFault::subject_failed, ""};
};

Probed<void> ask_all(const Scene& scene, const NeighbourPlan& plan, NearArea& area,
                     std::uint32_t noisy, Meeting& meeting) {
    ::prctl(PR_SET_TIMERSLACK, 1UL);  // it sleeps until the next question is due
    auto seen = BrokerSeen::open(plan.broker);
    if (!seen) return fail(seen.error());
    auto receiver = WeirReceiver::open(plan.broker, back, Mode::park);
    if (!receiver) return fail(receiver.error());
    auto sender = WeirSender::open(plan.broker, there);
    if (!sender) return fail(sender.error());
    Asker asker(scene, area, *sender, *receiver);
    meeting.begin();
    if (auto begun = await_noise(area, noisy); !begun) return begun;
    if (!asker.ask(plan.messages / 10)) return fail(asker.why());
    area.leg.ticks.clear();
    const Used from = used_by(area, *seen);
    if (!asker.ask(plan.messages)) return fail(asker.why());
    area.load = load_between(from, used_by(area, *seen));
    area.leg.paced_ns = asker.sent_ns() - from.at_ns;
    area.leg.say_done();
    if (!asker.sound()) return fail(ProbeFault::corrupted, "the sum of a message's words is wrong");
    return {};
}

Probed<void> answer_all(const NeighbourPlan& plan, NearArea& area, Meeting& meeting) {
    auto receiver = WeirReceiver::open(plan.broker, there, Mode::park);
    if (!receiver) return fail(receiver.error());
    auto sender = WeirSender::open(plan.broker, back);
    if (!sender) return fail(sender.error());
    meeting.begin();
    for (std::uint64_t left = plan.messages / 10 + plan.messages; left != 0; --left) {
        const auto bytes = receiver->receive();
        if (bytes.data() == nullptr) return fail(receiver->why());
        if (!sender->send(bytes)) return fail(sender->why());
    }
    area.leg.await_done();
    return {};
}

Probed<void> flood(const NeighbourPlan& plan, NearArea& area, Meeting& meeting) {
    auto seen = BrokerSeen::open(plan.broker);
    if (!seen) return fail(seen.error());
    auto sender = WeirSender::open(plan.broker, "queue://bench.flood");
    if (!sender) return fail(sender.error());
    Content content(flood_bytes);
    bool begun = false;
    meeting.begin();
    for (std::uint64_t index = 0; !area.over(); ++index) {
        if (!sender->send(content.of(index))) return fail(sender->why());
        if (begun || index % 256 != 0 || seen->direct_used() < seen->direct_limit() / 4 * 3)
            continue;
        begun = true;
        area.begin_noise(1);
    }
    return {};
}

// Uses so much of a processor until `until_ns`, spinning and sleeping in turns of `run_ns`.
class Burner {
public:
    Burner(double share, double run_ns)
        : share_(share),
          slice_ns_(run_ns > 0 ? std::clamp<std::uint64_t>(static_cast<std::uint64_t>(run_ns),
                                                           10 * ns_per_us, 10 * ns_per_ms)
                               : 100 * ns_per_us) {}

    void burn(std::uint64_t until_ns) const {
        for (std::uint64_t now = monotonic_ns(); now < until_ns; now = monotonic_ns()) {
            timespec cpu{};
            ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
            const double used = static_cast<double>(cpu.tv_sec) * 1e9 +
                                static_cast<double>(cpu.tv_nsec) - cpu_began_ns_;
            if (used < share_ * static_cast<double>(now - began_ns_)) {
                while (monotonic_ns() < now + slice_ns_) cpu::pause();
                continue;
            }
            const timespec rest{
                0, static_cast<long>(std::min<std::uint64_t>(until_ns - now, slice_ns_))};
            ::nanosleep(&rest, nullptr);
        }
    }
    std::uint64_t began_ns() const noexcept { return began_ns_; }

private:
    static double cpu_now_ns() {
        timespec cpu{};
        ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
        return static_cast<double>(cpu.tv_sec) * 1e9 + static_cast<double>(cpu.tv_nsec);
    }

    double share_;
    std::uint64_t slice_ns_;
    double cpu_began_ns_ = cpu_now_ns();
    std::uint64_t began_ns_ = monotonic_ns();
};

Probed<void> write_plainly(const NeighbourPlan& plan, NearArea& area, const Load& load,
                           Meeting& meeting) {
    auto ring = io::Ring::create(64);
    if (!ring) return fail(ProbeFault::not_possible, ring.error().sentence);
    auto memory = SharedArea::create(pieces_flying * piece_bytes);
    if (!memory) return fail(memory.error());
    PlainFile file(*ring, {memory->data(), memory->size()}, plan.directory, plain_file_bytes);
    if (!file.sound()) return fail(ProbeFault::not_possible, "cannot make a file for plain writes");
    meeting.begin();
    const Burner burner(load.cpu[0], load.run_ns[0]);
    area.begin_noise(0);
    std::uint64_t pieces = 0;
    const double apart_ns =
        static_cast<double>(piece_bytes) * 1e9 / std::max(load.bytes_per_s, 1e6);
    const bool done = file.write_while([&] {
        // relaxed: a number that stands for itself.
        area.bytes_written.store(pieces * piece_bytes, std::memory_order_relaxed);
        const double due_ns = apart_ns * static_cast<double>(pieces++);
        burner.burn(burner.began_ns() + static_cast<std::uint64_t>(due_ns));
        return !area.over();
    });
    if (!done) return fail(ProbeFault::not_possible, "the disk refused plain writes");
    return {};
}

Probed<void> spin_plainly(NearArea& area, const Load& load, Meeting& meeting) {
    meeting.begin();
    const Burner burner(load.cpu[1], load.run_ns[1]);
    area.begin_noise(1);
    while (!area.over()) burner.burn(monotonic_ns() + ns_per_ms);
    return {};
}

Probed<NeighbourFigures> run_pair_beside(const Scene& scene, const NeighbourPlan& plan,
                                         const std::string& name, NearArea& area,
                                         std::vector<Member> members) {
    const auto noisy = static_cast<std::uint32_t>(members.size());
    members.push_back({[&](Meeting& m) { return answer_all(plan, area, m); }, Seat::either});
    members.push_back(
        {[&, noisy](Meeting& m) { return ask_all(scene, plan, area, noisy, m); }, Seat::either});
    if (auto done = run_group(scene.stage.plan(name), members); !done) return fail(done.error());
    return NeighbourFigures{latency_figures(area.leg.ticks, scene.stage.clock),
                            per_second(plan.messages, area.leg.paced_ns), area.load};
}

}  // namespace

Probed<NeighbourFigures> beside_flow(const Scene& scene, const NeighbourPlan& plan) {
    auto area = SharedArea::create(sizeof(NearArea));
    if (!area) return fail(area.error());
    auto& near = area->front<NearArea>();
    return run_pair_beside(scene, plan, "beside flow to disk", near,
                           {{[&](Meeting& m) { return flood(plan, near, m); }, Seat::either}});
}

Probed<NeighbourFigures> beside_plain(const Scene& scene, const NeighbourPlan& plan,
                                      const Load& load) {
    auto area = SharedArea::create(sizeof(NearArea));
    if (!area) return fail(area.error());
    auto& near = area->front<NearArea>();
    return run_pair_beside(
        scene, plan, "beside plain processes", near,
        {{[&](Meeting& m) { return write_plainly(plan, near, load, m); }, Seat::either},
         {[&](Meeting& m) { return spin_plainly(near, load, m); }, Seat::either}});
}

Probed<NeighbourFigures> beside_nobody(const Scene& scene, const NeighbourPlan& plan) {
    auto area = SharedArea::create(sizeof(NearArea));
    if (!area) return fail(area.error());
    return run_pair_beside(scene, plan, "beside nobody", area->front<NearArea>(), {});
}

}  // namespace weir::bench
