// SPDX-License-Identifier: Apache-2.0
//
// Calm rounds, distances, and the verdict, on a machine that a script plays.
#include "bench/harness/run.hpp"

#include <gtest/gtest.h>

#include <deque>
#include <nlohmann/json.hpp>

namespace weir::bench {
namespace {

// Raw medians as scripted, the last one for ever; the rest of the machine stands still.
class PlayedMachine final : public Machine {
public:
    explicit PlayedMachine(std::deque<double> raw_ns) : raw_ns_(std::move(raw_ns)) {}

    Probed<PingPongFigures> raw() override {
        ++raw_count;
        PingPongFigures figures;
        figures.rtt.ns_p50 = raw_ns_.front();
        figures.rtt.interrupted_share = interrupted_share;
        if (raw_ns_.size() > 1) raw_ns_.pop_front();
        return figures;
    }
    Probed<RingFigures> plain_ring(std::uint64_t, std::uint64_t) override {
        return RingFigures{200e6, 64 * 200e6, {}, 1};
    }
    Probed<SocketFigures> socket(std::uint64_t) override {
        return SocketFigures{1e6, 64e6, SocketKind::stream, 1};
    }
    Probed<SocketRoundTripFigures> socket_round_trip(std::uint64_t) override {
        return SocketRoundTripFigures{};
    }
    Probed<RingFigures> copy_stream(std::uint64_t, std::uint64_t) override {
        return RingFigures{1e6, 10e9, {}, 1};
    }

    int raw_count = 0;
    double interrupted_share = 0;

private:
    std::deque<double> raw_ns_;
};

class PlayedSubject final : public Subject {
public:
    std::string name() const override { return "played"; }
    std::uint64_t footprint_bytes(std::uint64_t) const override { return window_bytes; }

    Probed<SubjectRoundTrip> round_trip(std::uint64_t, std::uint64_t) override {
        SubjectRoundTrip figures;
        figures.rtt.ns_p50 = 220;
        figures.elapsed_ns = ns_per_s;
        return figures;
    }
    Probed<SubjectThroughput> throughput(std::uint64_t size, std::uint64_t messages) override {
        if (broken) return fail(ProbeFault::subject_failed, "no broker");
        std::uint64_t granted = moves_little ? 1 << 20 : size * messages;
        if (doublings > 0) --doublings, window_bytes *= 2;
        return SubjectThroughput{120e6, 64 * 120e6, granted, ns_per_s};
    }
    Probed<SubjectPaced> paced(std::uint64_t, std::uint64_t, double rate_per_s) override {
        return SubjectPaced{{}, rate_per_s * rate_share, ns_per_s};
    }

    bool broken = false;
    bool moves_little = false;
    std::uint64_t window_bytes = 1 << 20;
    int doublings = 0;  // one in each leg that is left
    double rate_share = 1;
};

RunPlan plan() {
    RunPlan two_cores;
    two_cores.rounds_wanted = 3;
    two_cores.placement = {{0, 1}, 2, true, false};
    return two_cores;
}

TEST(Run, StopsAfterEnoughCalmRoundsAndTrustsThem) {
    PlayedMachine machine({100});
    PlayedSubject subject;
    auto report = run_comparison(plan(), machine, subject);
    ASSERT_TRUE(report);
    EXPECT_EQ(report->rounds_run, 3);
    EXPECT_EQ(machine.raw_count, 9);
    EXPECT_TRUE(report->trusted) << report->why_not;
    EXPECT_EQ(report->why_not, "");
    ASSERT_TRUE(report->near);
    EXPECT_FALSE(report->far);
    EXPECT_DOUBLE_EQ(report->near->rtt_ratio(), 2.2);
    EXPECT_DOUBLE_EQ(report->near->plain_ring_ratio(), 0.6);
    EXPECT_DOUBLE_EQ(report->near->uds_ratio(), 120);
    EXPECT_DOUBLE_EQ(report->near->copy_ratio(), 64 * 120e6 / 10e9);
}

TEST(Run, RepeatsARoundInWhichTheRawProbeMovedByMoreThanATenth) {
    PlayedMachine machine({100, 100, 111, /* calm from here on */ 100});
    PlayedSubject subject;
    auto report = run_comparison(plan(), machine, subject);
    ASSERT_TRUE(report);
    EXPECT_EQ(report->rounds_run, 4);
    EXPECT_EQ(report->near->rounds, 3);
    EXPECT_TRUE(report->trusted) << report->why_not;
}

TEST(Run, KeepsARoundThatMovedByLessThanATenth) {
    PlayedMachine machine({100, 105, 109, 100});
    PlayedSubject subject;
    auto report = run_comparison(plan(), machine, subject);
    ASSERT_TRUE(report);
    EXPECT_EQ(report->rounds_run, 3);
}

TEST(Run, GivesUpOnARestlessMachineAndSaysWhy) {
    std::deque<double> restless;
    for (int i = 0; i < 200; ++i) restless.push_back(i % 2 == 0 ? 100 : 300);
    PlayedMachine machine(restless);
    PlayedSubject subject;
    auto report = run_comparison(plan(), machine, subject);
    ASSERT_TRUE(report);
    EXPECT_EQ(report->rounds_run, plan().rounds_max());
    EXPECT_FALSE(report->trusted);
    EXPECT_FALSE(report->near || report->far);
    ASSERT_TRUE(report->disturbed) << "figures for a look, from all rounds";
    EXPECT_EQ(report->headline()->rounds, plan().rounds_max());
    EXPECT_EQ(result_name(*report), "played-64B-disturbed");
    EXPECT_NE(report->why_not.find("Only 0 of 9 rounds were calm"), std::string::npos)
        << report->why_not;
}

TEST(Run, EndsWithWhatItHasWhenItsTimeIsOver) {
    PlayedMachine machine({100});
    PlayedSubject subject;
    RunPlan hurried = plan();
    hurried.budget_ns = 0;
    auto report = run_comparison(hurried, machine, subject);
    ASSERT_TRUE(report);
    EXPECT_EQ(report->rounds_run, 1);
    EXPECT_EQ(report->near->rounds, 1);
    EXPECT_FALSE(report->trusted);
}

TEST(Run, DoesNotTrustAMachineThatIsBusyWithOthers) {
    PlayedMachine machine({100});
    machine.interrupted_share = 0.5;
    PlayedSubject subject;
    auto report = run_comparison(plan(), machine, subject);
    ASSERT_TRUE(report);
    EXPECT_FALSE(report->trusted);
}

TEST(Run, KeepsNearAndFarRoundsApart) {
    PlayedMachine machine({100, 100, 100, /* far from here on */ 300});
    PlayedSubject subject;
    auto report = run_comparison(plan(), machine, subject);
    ASSERT_TRUE(report);
    EXPECT_EQ(report->rounds_run, 4);
    ASSERT_TRUE(report->near && report->far);
    EXPECT_EQ(report->near->rounds, 1);
    EXPECT_EQ(report->far->rounds, 3);
    EXPECT_DOUBLE_EQ(report->near->raw_rtt_ns, 100);
    EXPECT_DOUBLE_EQ(report->far->raw_rtt_ns, 300);
    EXPECT_EQ(report->headline(), &*report->far);
    EXPECT_EQ(result_name(*report), "played-64B-far");
}

TEST(Run, DoesNotTrustOneProcessorOrARefusedPinning) {
    PlayedSubject subject;
    RunPlan alone = plan();
    alone.placement = {{0, 0}, 1, true, false};
    PlayedMachine machine({100});
    auto report = run_comparison(alone, machine, subject);
    ASSERT_TRUE(report);
    EXPECT_EQ(report->why_not, "Only one processor is usable: both sides had to share it.");

    RunPlan unpinned = plan();
    unpinned.placement.pinnable = false;
    report = run_comparison(unpinned, machine, subject);
    ASSERT_TRUE(report);
    EXPECT_EQ(report->why_not, "The kernel refused to pin the processes.");
}

TEST(Run, DoesNotTrustALegThatStayedInItsFirstWindows) {
    PlayedMachine machine({100});
    PlayedSubject subject;
    subject.moves_little = true;
    auto report = run_comparison(plan(), machine, subject);
    ASSERT_TRUE(report);
    EXPECT_EQ(report->why_not, "A throughput leg moved less than 10 windows.");
}

TEST(Run, RepeatsALegThatItsWindowOutgrew) {
    PlayedMachine machine({100});
    PlayedSubject subject;
    subject.doublings = 5;
    auto report = run_comparison(plan(), machine, subject);
    ASSERT_TRUE(report);
    EXPECT_TRUE(report->trusted) << report->why_not;
    EXPECT_EQ(report->footprint_bytes, 32U << 20);
}

TEST(Run, DoesNotTrustARateThatWasNotReached) {
    PlayedMachine machine({100});
    PlayedSubject subject;
    RunPlan paced = plan();
    paced.rate_per_s = 1000;
    auto report = run_comparison(paced, machine, subject);
    ASSERT_TRUE(report);
    EXPECT_TRUE(report->trusted) << report->why_not;
    subject.rate_share = 0.5;
    report = run_comparison(paced, machine, subject);
    ASSERT_TRUE(report);
    EXPECT_EQ(report->why_not, "The rate of 1000/s was not reached, only 500/s.");
}

TEST(Run, PassesOnTheErrorOfALeg) {
    PlayedMachine machine({100});
    PlayedSubject subject;
    subject.broken = true;
    auto report = run_comparison(plan(), machine, subject);
    ASSERT_FALSE(report);
    EXPECT_EQ(report.error().code, ProbeFault::subject_failed);
    EXPECT_EQ(report.error().sentence, "no broker");
}

TEST(Report, HasTheKeysOfTheContract) {
    PlayedMachine machine({100});
    PlayedSubject subject;
    auto report = run_comparison(plan(), machine, subject);
    ASSERT_TRUE(report);
    auto object = nlohmann::json::parse(to_json(*report));
    for (const char* key :
         {"size", "raw_rtt_ns", "rtt_ratio", "msgs_per_s", "bytes_per_s", "plain_ring_msgs_per_s",
          "plain_ring_ratio", "uds_msgs_per_s", "uds_ratio", "copy_bytes_per_s", "copy_ratio"}) {
        EXPECT_TRUE(object[key].is_number()) << key;
    }
    for (const char* key : {"p50", "p99", "p999"}) {
        EXPECT_TRUE(object["rtt_ns"][key].is_number()) << key;
    }
    EXPECT_EQ(object["trusted"], true);
    EXPECT_EQ(object["why_not"], "");
    EXPECT_EQ(object["distance"], "near");
    EXPECT_TRUE(object["far"].is_null());
}

TEST(Report, WarnsPeopleToo) {
    PlayedMachine machine({100});
    PlayedSubject subject;
    subject.moves_little = true;
    auto report = run_comparison(plan(), machine, subject);
    ASSERT_TRUE(report);
    EXPECT_NE(to_text(*report).find("NOT TO BE TRUSTED"), std::string::npos);
}

}  // namespace
}  // namespace weir::bench
