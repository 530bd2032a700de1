// SPDX-License-Identifier: Apache-2.0
//
// Enter and retract under a race: a broker that takes granted pages and idle tails back as fast as
// it can, a producer that enters them, a consumer that follows. A page that was taken back is
// filled with rubbish at once, so a producer that still writes there, or a reader that still reads
// there, is seen.
//
// What this does not prove: that weaker orders than x86's would hold, and that every interleaving
// was met. It goes on until each outcome came often, and fails if one did not.
#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <thread>

#include "shm/lane_reader.hpp"
#include "tests/support/hand_broker.hpp"

namespace weir::test {
namespace {

constexpr std::uint64_t outcomes_wanted = 2'000;  // of each kind
constexpr std::uint64_t turns_max = 20'000'000;

struct Race {
    HandBroker broker{8};
    std::atomic<Position> cursor{position_first};
    std::atomic<bool> done{false};
};

void produce(Race& race) {
    LaneWriter writer(race.broker.pages(), race.broker.lane, race.broker.producer);
    for (std::uint64_t number = 0; !race.done.load(std::memory_order_acquire);) {
        if (send_stamp(writer, number)) {
            ++number;
        } else {
            std::this_thread::yield();
        }
    }
}

void consume(Race& race, PageRef first) {
    LaneReader reader(race.broker.pages(), 0);
    reader.stand(first, 0);
    for (std::uint64_t number = 0; !race.done.load(std::memory_order_acquire);) {
        const RecordView view = reader.look(nullptr);
        if (!view) {
            race.cursor.store(reader.position(), std::memory_order_release);
            std::this_thread::yield();
            continue;
        }
        const Stamp stamp = read_stamp(view);
        if (!stamp.intact() || stamp.number != number) {
            ADD_FAILURE() << "message " << number << " reads as " << stamp.number;
            race.done.store(true, std::memory_order_release);
        }
        ++number;
        reader.pass(view);
        race.cursor.store(reader.position(), std::memory_order_release);
    }
    EXPECT_EQ(reader.damaged(), 0u);
}

struct Outcomes {
    std::uint64_t retracted = 0;
    std::uint64_t put_back = 0;
    std::uint64_t revoked = 0;

    bool enough() const {
        return retracted > outcomes_wanted && put_back > outcomes_wanted &&
               revoked > outcomes_wanted;
    }
};

void take_back(HandBroker& broker, std::uint64_t turn, Outcomes& outcomes) {
    if (turn % 4 == 0) {
        const std::size_t before = broker.linked();
        const std::size_t taken = broker.retract();
        outcomes.retracted += taken;
        outcomes.put_back += taken == 0 && before > 1 ? 1 : 0;
    } else if (turn % 4 == 2 && broker.revoke()) {
        ++outcomes.revoked;
    }
}

TEST(Retract, NothingIsLostOrTornWhilePagesAreTakenBack) {
    ASSERT_TRUE(register_barrier());
    Race race;
    ASSERT_TRUE(race.broker.grant());
    const PageRef first = race.broker.lane.first_page.load();
    std::thread producer([&] { produce(race); });
    std::thread consumer([&] { consume(race, first); });

    Outcomes outcomes;
    std::uint64_t turn = 0;
    for (; !outcomes.enough() && turn < turns_max && !race.done.load(std::memory_order_acquire);
         ++turn) {
        race.broker.collect(race.cursor.load(std::memory_order_acquire),
                            [](Position, Position) { return false; });
        // Now and then there is no page ahead: only then can the tail be taken.
        const std::size_t ahead = turn % 128 < 64 ? 4 : 1;
        while (race.broker.linked() < ahead && race.broker.grant()) {
        }
        take_back(race.broker, turn, outcomes);
        // Else it would take pages back faster than anybody can enter them.
        if (turn % 3 != 0) std::this_thread::yield();
    }
    race.done.store(true, std::memory_order_release);
    producer.join();
    consumer.join();
    EXPECT_TRUE(outcomes.enough())
        << "in " << turn << " turns: retracted " << outcomes.retracted << ", put back "
        << outcomes.put_back << ", revoked " << outcomes.revoked;
}

}  // namespace
}  // namespace weir::test
