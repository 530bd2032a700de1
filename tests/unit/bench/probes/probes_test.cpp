// SPDX-License-Identifier: Apache-2.0
//
// The probes with small inputs: they end, they deliver everything, they notice what is broken. How
// fast they are is no test's business.
#include <gtest/gtest.h>

#include <algorithm>

#include "bench/probes/copy_stream.hpp"
#include "bench/probes/ping_pong.hpp"
#include "bench/probes/plain_ring.hpp"
#include "bench/probes/unix_socket.hpp"

namespace weir::bench {
namespace {

const Stage& stage() {
    static const Stage shared{TickClock::calibrate(), choose_placement(), 2 * ns_per_ms};
    return shared;
}

TEST(PingPong, SamplesEveryRoundTrip) {
    for (bool pausing : {false, true}) {
        auto figures = ping_pong_leg(stage(), 500, pausing);
        ASSERT_TRUE(figures) << figures.error().sentence;
        EXPECT_EQ(figures->rtt.samples, 500u);
        EXPECT_GT(figures->rtt.ns_p50, 0);
        EXPECT_LE(figures->rtt.ns_p50, figures->rtt.ns_p99);
        EXPECT_LE(figures->rtt.ns_p99, figures->rtt.ns_max);
    }
}

// The consumer compares the first word of each message and the sum of all, so a leg that succeeds
// has delivered every message, whole, once and in order.
TEST(PlainRing, DeliversEveryMessageInOrderInEveryShape) {
    for (std::uint64_t size : {8u, 64u, 72u, 4096u}) {
        for (const RingShape& shape : plain_ring_shapes(size, 1 << 20)) {
            std::uint64_t messages = std::min<std::uint64_t>(3 * shape.slot_count() + 5, 20'000);
            auto figures = plain_ring_leg(stage(), shape, messages);
            ASSERT_TRUE(figures) << figures.error().sentence << " at " << size;
            EXPECT_GT(figures->msgs_per_s, 0);
        }
    }
}

TEST(PlainRing, WrapsARingWhoseSizeIsNoMultipleOfItsMessages) {
    auto figures = plain_ring_leg(stage(), {72, 1000, 1, 0, true}, 10'000);
    ASSERT_TRUE(figures) << figures.error().sentence;
}

TEST(PlainRing, HasNoShapeWhoseBatchFillsTheRing) {
    auto shapes = plain_ring_shapes(64 << 10, 0);
    EXPECT_FALSE(shapes.empty());
    for (const RingShape& shape : shapes) {
        EXPECT_LE(shape.publish_every * 4, std::max<std::uint64_t>(shape.slot_count(), 4));
    }
}

TEST(PlainRing, RefusesARingOfOneMessage) {
    auto figures = plain_ring_leg(stage(), {4096, 4096, 1, 0, false}, 10);
    ASSERT_FALSE(figures);
    EXPECT_EQ(figures.error().code, ProbeFault::not_possible);
}

// Two broken producers: what they do wrong must be seen by the consumer.
struct HonestTraffic {
    std::uint64_t first_of(std::uint64_t index) const noexcept { return 8 * index; }
    std::uint64_t sum_of(std::uint64_t count) const noexcept { return sum_of_run(8 * count); }
};

struct SwappingTraffic : HonestTraffic {
    void write(std::span<std::byte> slot, std::uint64_t index) const noexcept {
        fill_words(slot, 8 * (index == 70 || index == 71 ? 141 - index : index));
    }
};

struct ForgetfulTraffic : HonestTraffic {
    void write(std::span<std::byte> slot, std::uint64_t index) const noexcept {
        fill_words(slot.first(slot.size() - (index == 70 ? 8 : 0)), 8 * index);
    }
};

TEST(RingLeg, NoticesTwoMessagesThatChangedPlaces) {
    auto figures = run_ring_leg<64>(stage(), "swapping ring", RingShape{}, SwappingTraffic{}, 100);
    ASSERT_FALSE(figures);
    EXPECT_EQ(figures.error().code, ProbeFault::corrupted);
}

TEST(RingLeg, NoticesAWordThatWasNotWritten) {
    auto figures = run_ring_leg<64>(stage(), "short ring", RingShape{}, ForgetfulTraffic{}, 100);
    ASSERT_FALSE(figures);
    EXPECT_EQ(figures.error().code, ProbeFault::corrupted);
}

TEST(CopyStream, DeliversEveryByteInEveryShape) {
    for (std::uint64_t size : {64u, 1000u, 64u << 10, 1u << 20}) {
        for (const RingShape& shape : copy_stream_shapes(size, 1 << 20)) {
            auto figures = copy_stream_leg(stage(), shape, 40);
            ASSERT_TRUE(figures) << figures.error().sentence << " at " << size;
            EXPECT_GT(figures->bytes_per_s, 0);
        }
    }
}

TEST(UnixSocket, CarriesMessagesOfBothKinds) {
    for (SocketKind kind : {SocketKind::stream, SocketKind::packets}) {
        for (std::uint64_t size : {1u, 64u, 32u << 10}) {
            auto figures = socket_leg(stage(), kind, size, 50);
            ASSERT_TRUE(figures) << figures.error().sentence << " at " << size;
            auto trips = socket_round_trip_leg(stage(), kind, size, 50);
            ASSERT_TRUE(trips) << trips.error().sentence << " at " << size;
            EXPECT_EQ(trips->rtt.samples, 50u);
        }
    }
}

TEST(UnixSocket, FallsBackToTheStreamForPacketsThatAreTooLarge) {
    LegScale scale(4);
    auto figures = best_socket(stage(), scale, 16 << 20);
    ASSERT_TRUE(figures) << figures.error().sentence;
    EXPECT_EQ(figures->kind, SocketKind::stream);
}

TEST(LegScale, GrowsUntilALegIsLongEnough) {
    LegScale scale(100);
    EXPECT_FALSE(scale.learn(1'000, 1'000'000)) << "a thousandth of what was wanted";
    EXPECT_EQ(scale.count(), 6'400u) << "bounded growth";
    EXPECT_FALSE(scale.learn(100'000, 1'000'000));
    EXPECT_EQ(scale.count(), 64'000u);
    EXPECT_TRUE(scale.learn(1'000'000, 1'000'000));
    EXPECT_EQ(scale.count(), 64'000u);
}

}  // namespace
}  // namespace weir::bench
