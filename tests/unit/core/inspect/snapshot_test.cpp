// SPDX-License-Identifier: Apache-2.0
//
// The views are taken of a region that the test carves and fills itself: no broker, every rare
// state.
#include "core/inspect/snapshot.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <limits>

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

// Right behind each table stands what would look like a slot in use.
TEST_F(Snapshots, FollowNoSlotNumberOutOfItsTable) {
    const Limits& limits = region.view().limits;
    region.session(limits.sessions).id = 99;
    region.session(limits.sessions).state.store(SlotState::live, relaxed);
    make_destination(limits.destinations, "queue://behind");
    LaneSlot& lane = region.lane(limits.lanes - 1);
    lane.destination.store(limits.destinations, relaxed);
    lane.session.store(limits.sessions, relaxed);
    lane.state.store(SlotState::live, relaxed);
    SubscriptionSlot& subscription = region.subscription(limits.subscriptions - 1);
    subscription.session = limits.sessions;
    subscription.state.store(SlotState::live, relaxed);
    const Snapshot seen = snapshot();
    ASSERT_FALSE(seen.lanes.empty());
    EXPECT_EQ(seen.lanes.back().destination, "");
    EXPECT_EQ(seen.lanes.back().session_id, 0u);
    ASSERT_FALSE(seen.subscriptions.empty());
    EXPECT_EQ(seen.subscriptions.back().session_id, 0u);
}

TEST_F(Snapshots, EndATextAtItsFieldsEnd) {
    SessionSlot& session = region.session(0);
    std::memset(session.name, 'x', sizeof session.name);
    session.state.store(SlotState::live, relaxed);
    region.session(1).state.store(SlotState::live, relaxed);  // no zero byte behind the text
    const Snapshot seen = snapshot();
    ASSERT_EQ(seen.sessions.size(), 2u);
    EXPECT_EQ(seen.sessions[0].name, std::string(sizeof session.name, 'x'));
}

// The broker changes all books at once while somebody is in the middle of copying them. The slot
// lies across two pages, of which the second cannot be read at first: the fault in the middle of
// the copy is the moment at which the handler plays the broker. Where the table really begins, no
// slot may lie so, whatever the slots' size: the test looks through a view that shifts it.
DestinationSlot* interrupted = nullptr;
const void* fault_at = nullptr;

std::byte* second_page() {
    const auto address = reinterpret_cast<std::uintptr_t>(&interrupted->books.redelivered);
    return reinterpret_cast<std::byte*>(address / page_unit * page_unit);
}

void change_books(int, siginfo_t* fault, void*) {
    fault_at = fault->si_addr;
    mprotect(second_page(), page_unit, PROT_READ | PROT_WRITE);
    interrupted->books_generation.store(3, relaxed);
    interrupted->books.messages_in.store(2, std::memory_order_release);
    interrupted->books.damaged.store(2, std::memory_order_release);
    interrupted->books_generation.store(4, std::memory_order_release);
}

TEST_F(Snapshots, NeverMixTwoGenerationsOfBooks) {
    ControlView view = region.view();
    const auto wanted = reinterpret_cast<std::uintptr_t>(&view.destination(0).books.redelivered);
    view.offsets.destinations += round_up(wanted, page_unit) - wanted;
    // The region is the test's own, so what the view shows may be written.
    interrupted = &const_cast<DestinationSlot&>(view.destination(0));
    std::strcpy(interrupted->name, "queue://busy");
    interrupted->state.store(SlotState::live, relaxed);
    interrupted->books.messages_in.store(1, relaxed);
    interrupted->books.damaged.store(1, relaxed);
    interrupted->books_generation.store(2, relaxed);
    struct sigaction action {};
    struct sigaction before {};
    action.sa_sigaction = change_books;
    action.sa_flags = SA_SIGINFO;
    ASSERT_EQ(sigaction(SIGSEGV, &action, &before), 0);
    ASSERT_EQ(mprotect(second_page(), page_unit, PROT_NONE), 0);
    const DestinationBooks seen = take_snapshot(view).destinations.at(0);
    sigaction(SIGSEGV, &before, nullptr);
    ASSERT_EQ(fault_at, &interrupted->books.redelivered) << "not in the middle of the books";
    EXPECT_EQ(seen.messages_in, 2u);
    EXPECT_EQ(seen.damaged, 2u);
    EXPECT_FALSE(seen.moving);
}

}  // namespace
}  // namespace weir::inspect
