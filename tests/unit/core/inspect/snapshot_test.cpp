// SPDX-License-Identifier: Apache-2.0
//
// The views are taken of a region that the test carves and fills itself: no broker, every rare
// state.
#include "core/inspect/snapshot.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstring>
#include <limits>
#include <thread>

#include "shm/control_region.hpp"

namespace weir::inspect {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr auto relaxed = std::memory_order_relaxed;

class Snapshots : public ::testing::Test {
protected:
    Snapshots() {
        auto made = ControlRegion::create(name, limits_for(1 << 22, 16 << 20, 1 << 20));
        if (!made) return;
        region = std::move(*made);
        region.superblock().broker_pid = 411;
        std::strcpy(region.superblock().name, "inspected");
        region.publish();
    }
    ~Snapshots() override { ControlRegion::remove(name); }

    DestinationSlot& make_destination(std::uint32_t slot, const char* text) {
        DestinationSlot& made = region.destination(slot);
        std::strcpy(made.name, text);
        made.kind = DestinationKind::queue;
        made.birth = 1;
        made.state.store(SlotState::live, std::memory_order_release);
        return made;
    }

    Snapshot snapshot() const { return take_snapshot(region.view()); }

    std::string name = "i" + std::to_string(getpid());
    ControlRegion region;
};

TEST_F(Snapshots, OfAFreshBrokerHaveCapacitiesAndNoRows) {
    const Snapshot seen = snapshot();
    EXPECT_EQ(seen.broker.pid, 411u);
    EXPECT_EQ(seen.broker.name, "inspected");
    EXPECT_EQ(seen.direct.capacity, 1u << 22);
    EXPECT_EQ(seen.heap.capacity, 16u << 20);
    EXPECT_THAT(seen.destinations, IsEmpty());
    EXPECT_THAT(seen.lanes, IsEmpty());
    EXPECT_THAT(seen.sessions, IsEmpty());
    EXPECT_THAT(seen.subscriptions, IsEmpty());
}

TEST_F(Snapshots, ShowTheBooksOfADestination) {
    DestinationSlot& slot = make_destination(3, "queue://orders");
    slot.producers.store(4, relaxed);
    slot.books.messages_in.store(1000, relaxed);
    slot.books.depth_bytes.store(2560, relaxed);
    slot.books_generation.store(8, relaxed);
    const Snapshot seen = snapshot();
    ASSERT_EQ(seen.destinations.size(), 1u);
    EXPECT_EQ(seen.destinations[0].name, "queue://orders");
    EXPECT_EQ(seen.destinations[0].slot, 3u);
    EXPECT_EQ(seen.destinations[0].producers, 4u);
    EXPECT_EQ(seen.destinations[0].messages_in, 1000u);
    EXPECT_EQ(seen.destinations[0].depth_bytes, 2560u);
    EXPECT_FALSE(seen.destinations[0].moving);
}

TEST_F(Snapshots, MarkBooksOfABrokerThatDiedWhileChangingThem) {
    make_destination(0, "queue://torn").books_generation.store(7, relaxed);
    const Snapshot seen = snapshot();
    ASSERT_EQ(seen.destinations.size(), 1u);
    EXPECT_TRUE(seen.destinations[0].moving);
}

TEST_F(Snapshots, NameLanesByTheirDestinationAndSession) {
    make_destination(2, "queue://orders");
    SessionSlot& session = region.session(5);
    session.id = 77;
    session.state.store(SlotState::live, relaxed);
    LaneSlot& lane = region.lane(9);
    lane.destination.store(2, relaxed);
    lane.session.store(5, relaxed);
    lane.state.store(SlotState::live, relaxed);
    const Snapshot seen = snapshot();
    ASSERT_EQ(seen.lanes.size(), 1u);
    EXPECT_EQ(seen.lanes[0].lane, 9u);
    EXPECT_EQ(seen.lanes[0].destination, "queue://orders");
    EXPECT_EQ(seen.lanes[0].session_id, 77u);
}

TEST_F(Snapshots, FollowNoSlotNumberOutOfItsTable) {
    LaneSlot& lane = region.lane(0);
    lane.destination.store(std::numeric_limits<std::uint32_t>::max(), relaxed);
    lane.session.store(std::numeric_limits<std::uint32_t>::max(), relaxed);
    lane.state.store(SlotState::live, relaxed);
    SubscriptionSlot& subscription = region.subscription(0);
    subscription.session = region.view().limits.sessions;
    subscription.state.store(SlotState::live, relaxed);
    const Snapshot seen = snapshot();
    ASSERT_EQ(seen.lanes.size(), 1u);
    EXPECT_EQ(seen.lanes[0].destination, "");
    EXPECT_EQ(seen.lanes[0].session_id, 0u);
    ASSERT_EQ(seen.subscriptions.size(), 1u);
    EXPECT_EQ(seen.subscriptions[0].session_id, 0u);
}

TEST_F(Snapshots, EndATextAtItsFieldsEnd) {
    SessionSlot& session = region.session(0);
    std::memset(session.name, 'x', sizeof session.name);
    session.state.store(SlotState::live, relaxed);
    const Snapshot seen = snapshot();
    ASSERT_EQ(seen.sessions.size(), 1u);
    EXPECT_EQ(seen.sessions[0].name, std::string(sizeof session.name, 'x'));
}

// Plays the broker that changes all books at once, in the middle of a look: a signal handler runs
// between any two instructions of the thread that looks.
DestinationSlot* interrupted = nullptr;
std::uint32_t generations = 0;

void step_books(int) {
    generations += 2;
    interrupted->books_generation.store(generations - 1, relaxed);
    interrupted->books.messages_in.store(generations, std::memory_order_release);
    interrupted->books.damaged.store(generations, std::memory_order_release);
    interrupted->books_generation.store(generations, std::memory_order_release);
}

// In every generation messages_in == damaged; a torn look would see them apart. It does not prove
// that the orders are the weakest that suffice.
TEST_F(Snapshots, NeverMixTwoGenerationsOfBooks) {
    interrupted = &make_destination(0, "queue://busy");
    generations = 0;
    ASSERT_NE(std::signal(SIGUSR1, step_books), SIG_ERR);
    std::atomic<bool> done{false};
    std::thread bell([&, reader = pthread_self()] {
        while (!done.load(relaxed)) pthread_kill(reader, SIGUSR1);
    });
    int torn = 0;
    int moving = 0;
    while (generations < 400'000) {
        const DestinationBooks seen = snapshot().destinations.at(0);
        moving += seen.moving;
        torn += !seen.moving && seen.messages_in != seen.damaged;
    }
    done.store(true, relaxed);
    bell.join();
    std::signal(SIGUSR1, SIG_DFL);
    EXPECT_EQ(torn, 0);
    EXPECT_EQ(moving, 0) << "a thousand looks were not enough";
}

}  // namespace
}  // namespace weir::inspect
