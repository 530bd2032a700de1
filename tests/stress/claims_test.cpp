// SPDX-License-Identifier: Apache-2.0
//
// Several consumers take ranges from one lane while its pages are freed and used again behind them.
// Each message must be taken exactly once, whole, and each consumer must see numbers grow.
//
// What this does not prove: what happens when a consumer dies (that is laid out in bytes in the
// unit test of claims), and orders weaker than x86's.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstring>
#include <thread>
#include <vector>

#include "shm/shared_reader.hpp"
#include "tests/support/hand_broker.hpp"

namespace weir::test {
namespace {

constexpr std::uint64_t messages = 2'000'000;
constexpr std::uint32_t consumers = 3;
constexpr std::uint32_t notes_each = 4;

struct Consumer {
    ConsumerCell cell{};
    std::array<InFlightNote, notes_each> notes{};
    std::vector<std::uint64_t> taken;
    std::uint64_t lost = 0;
};

// A page is pinned while a note that is not void names a range in it.
bool pinned(const std::vector<Consumer>& all, Position start, Position end) {
    for (const Consumer& consumer : all) {
        for (const InFlightNote& note : consumer.notes) {
            const Position from = note.from.load(std::memory_order_acquire);
            if (from >= start && from < end) return true;
        }
    }
    return false;
}

void consume(HandBroker& broker, const ClaimsView& claims, Consumer& self, std::uint32_t slot,
             const std::atomic<std::uint64_t>& total, std::atomic<std::uint64_t>& count) {
    SharedReader reader(broker.pages(), broker.lane, 0, slot);
    ClaimedRange range;
    for (std::uint32_t turn = 0; count.load(std::memory_order_acquire) < total; ++turn) {
        InFlightNote& note = self.notes[turn % notes_each];
        const RangeStatus status =
            reader.claim(claims, self.cell, note, 1 + (turn * 7 + slot) % 3, range);
        self.lost += status == RangeStatus::lost ? 1 : 0;
        if (status != RangeStatus::taken) {
            std::this_thread::yield();
            continue;
        }
        for (std::uint32_t i = 0; i < range.count; ++i) {
            const RecordView view = range.reader.look(nullptr);
            const Stamp stamp = read_stamp(view);
            ASSERT_TRUE(view && stamp.intact()) << "consumer " << slot;
            self.taken.push_back(stamp.number);
            range.reader.pass(view);
        }
        note.from.store(0, std::memory_order_release);
        count.fetch_add(range.count, std::memory_order_acq_rel);
    }
}

TEST(Claims, EachMessageIsTakenOnceWhilePagesAreUsedAgain) {
    ASSERT_TRUE(register_barrier());
    HandBroker broker(16);
    std::vector<std::uint64_t> memory(claims_bytes(256, 256) / 8);
    const ClaimsView claims{reinterpret_cast<std::byte*>(memory.data()), 256, 256};
    claims.cursor(0).store(cursor_word(position_first, 0), std::memory_order_release);
    ASSERT_TRUE(broker.grant());

    std::vector<Consumer> all(consumers);
    const std::atomic<std::uint64_t> total{messages};
    std::atomic<std::uint64_t> count{0};
    std::vector<std::thread> threads;
    for (std::uint32_t i = 0; i < consumers; ++i)
        threads.emplace_back([&, i] { consume(broker, claims, all[i], i + 1, total, count); });
    threads.emplace_back([&] {
        LaneWriter writer(broker.pages(), broker.lane, broker.producer);
        for (std::uint64_t number = 0; number < messages;) {
            if (send_stamp(writer, number)) {
                ++number;
            } else {
                std::this_thread::yield();
            }
        }
    });
    while (count.load(std::memory_order_acquire) < messages && !HasFatalFailure()) {
        // Cursor first, then the notes: LAYOUT.md, when a page is free.
        const Position cursor = cursor_position(claims.cursor(0).load(std::memory_order_acquire));
        broker.collect(cursor,
                       [&](Position start, Position end) { return pinned(all, start, end); });
        while (broker.grant()) {
        }
        std::this_thread::yield();
    }
    for (std::thread& thread : threads) thread.join();

    std::vector<std::uint32_t> times(messages);
    std::uint64_t lost = 0;
    for (const Consumer& consumer : all) {
        lost += consumer.lost;
        for (std::size_t i = 0; i < consumer.taken.size(); ++i) {
            ++times[consumer.taken[i]];
            if (i > 0) {
                ASSERT_LT(consumer.taken[i - 1], consumer.taken[i]);
            }
        }
    }
    for (std::uint64_t number = 0; number < messages; ++number)
        ASSERT_EQ(times[number], 1u) << "message " << number;
    std::printf("lost races: %lu\n", lost);
}

}  // namespace
}  // namespace weir::test
