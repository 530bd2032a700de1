// SPDX-License-Identifier: Apache-2.0
//
// What the broker says its objects cost is held against what the allocator is asked for. Every
// allocation of this process is counted with what malloc keeps for it.
#include <gtest/gtest.h>
#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <new>
#include <string>

#include "core/broker/tables.hpp"
#include "tests/support/segment_stage.hpp"

namespace {

std::atomic<std::uint64_t> allocated{0};
constexpr std::uint64_t chunk_head = 8;

}  // namespace

void* operator new(std::size_t bytes) {
    void* const memory = std::malloc(bytes);
    if (memory == nullptr) throw std::bad_alloc();
    // relaxed: one thread.
    allocated.fetch_add(malloc_usable_size(memory) + chunk_head, std::memory_order_relaxed);
    return memory;
}
void operator delete(void* memory) noexcept {
    if (memory == nullptr) return;
    // relaxed: one thread.
    allocated.fetch_sub(malloc_usable_size(memory) + chunk_head, std::memory_order_relaxed);
    std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept { operator delete(memory); }

namespace weir::test {
namespace {

using namespace broker;

struct Growth {
    std::uint64_t taken = 0;
    std::uint64_t stated = 0;
};

// What `open` takes for each of so many, private memory only.
template <class Open>
Growth growth_of(int count, std::uint64_t stated, Open open) {
    const std::uint64_t before = allocated.load();
    for (int number = 0; number < count; ++number) open(number);
    const std::uint64_t taken = allocated.load() - before;
    return {taken / static_cast<std::uint64_t>(count), stated};
}

void expect_honest(const Growth& growth, const char* of) {
    EXPECT_LE(growth.taken, growth.stated) << of;
    EXPECT_GE(growth.taken, growth.stated / 2) << of << ": stated far too large";
}

constexpr int many = 500;

struct Sizes : ::testing::Test {
    SegmentStage stage{32 << 20, 64 << 20};
    std::uint32_t session = stage.session();
    static std::string name(const char* scheme, int number, std::size_t length = 30) {
        std::string text = std::string(scheme) + "://d" + std::to_string(number);
        return text.append(length - text.size(), 'x');
    }
};

TEST_F(Sizes, OfAQueueWithAProducerAndAConsumer) {
    const std::uint64_t text = sizing::text_bytes(30);
    expect_honest(
        growth_of(many, destination_object_bytes + lane_object_bytes + text,
                  [&](int number) {
                      ASSERT_TRUE(stage.segment->open_producer(session, name("queue", number)));
                  }),
        "destination and lane");
    expect_honest(growth_of(many, subscription_object_bytes + text,
                            [&](int number) {
                                ASSERT_TRUE(stage.segment->open_consumer(
                                    session, name("queue", number), 8, 100));
                            }),
                  "shared subscription");
}

TEST_F(Sizes, OfLongNames) {
    const std::uint64_t text = sizing::text_bytes(250);
    expect_honest(growth_of(many, destination_object_bytes + lane_object_bytes + text,
                            [&](int number) {
                                ASSERT_TRUE(stage.segment->open_producer(
                                    session, name("queue", number, 250)));
                            }),
                  "destination and lane");
}

TEST_F(Sizes, OfTopicsSubscriptionsWithManyLanes) {
    ASSERT_TRUE(stage.segment->open_consumer(session, "topic://t", 0, 100));
    expect_honest(
        growth_of(many, lane_object_bytes + attachment_bytes,
                  [&](int) { ASSERT_TRUE(stage.segment->open_producer(session, "topic://t")); }),
        "lane and attachment");
}

TEST_F(Sizes, OfSessionsWithABlock) {
    expect_honest(growth_of(many, session_object_bytes,
                            [&](int) {
                                const std::uint32_t made = stage.session();
                                ASSERT_TRUE(stage.segment->open_consumer(made, "topic://t", 0, 1));
                            }),
                  "session, subscription");
}

}  // namespace
}  // namespace weir::test
