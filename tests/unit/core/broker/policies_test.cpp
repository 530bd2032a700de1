// SPDX-License-Identifier: Apache-2.0
//
// Policies in a running segment: what destinations get, and changes that happen to all or to none.
// Y1 and Y2 are those of policies.hpp.
#include "core/broker/policies.hpp"

#include <gtest/gtest.h>

#include "tests/support/segment_stage.hpp"

namespace weir::test {
namespace {

using broker::PolicyKey;
using broker::PolicyOrigin;
using broker::RuleText;
using protocol::Refusal;

constexpr std::uint64_t KiB = 1024;
constexpr std::uint64_t MiB = 1024 * KiB;
constexpr auto relaxed = std::memory_order_relaxed;

class Policies : public testing::Test {
protected:
    const PolicySlot& policy(const TestProducer& producer) const {
        return stage.shared.control.destination(producer.destination).policy;
    }
    broker::PolicyChange set(std::string_view pattern, std::string_view settings) {
        auto change = stage.segment->set_policy(pattern, settings);
        EXPECT_TRUE(change) << change.error().sentence;
        return change ? *change : broker::PolicyChange{};
    }
    std::string refusal(std::string_view pattern, std::string_view settings, Refusal code) {
        auto change = stage.segment->set_policy(pattern, settings);
        EXPECT_FALSE(change) << settings;
        if (change) return "";
        EXPECT_EQ(change.error().code, code) << change.error().sentence;
        return change.error().sentence;
    }
    broker::PolicyKeyShown shown(std::string_view name, PolicyKey key) {
        return stage.segment->show_policy(name, static_cast<std::uint32_t>(key)).value();
    }
    bool exists(std::string_view name) const {
        for (std::uint32_t slot = 0; slot < stage.shared.control.limits.destinations; ++slot) {
            const DestinationSlot& each = stage.shared.control.destination(slot);
            if (each.state.load(relaxed) == SlotState::live && name == each.name) return true;
        }
        return false;
    }

    SegmentStage stage;  // 4 MiB of direct memory
};

TEST_F(Policies, AChangeHoldsForExistingDestinationsAndForThoseToCome) {
    const TestProducer before = stage.producer(stage.session(), "queue://orders.eu");
    const TestProducer other = stage.producer(stage.session(), "topic://orders.eu");
    const broker::PolicyChange change =
        set("queue://orders.>", "limit=1MiB\noverflow=fail\nrate=5msg/s");
    EXPECT_EQ(change.destinations, 1u);
    EXPECT_EQ(change.over_limit, 0u);
    const TestProducer after = stage.producer(stage.session(), "queue://orders.us");
    for (const TestProducer* const producer : {&before, &after}) {
        EXPECT_EQ(policy(*producer).limit.load(relaxed), MiB);
        EXPECT_EQ(policy(*producer).high_water.load(relaxed), MiB / 10 * 7 / 4096 * 4096);
        EXPECT_EQ(policy(*producer).overflow.load(relaxed), Overflow::fail);
        EXPECT_EQ(policy(*producer).rate_messages.load(relaxed), 5u);
    }
    EXPECT_EQ(policy(other).limit.load(relaxed), 0u);
    EXPECT_EQ(set("queue://orders.>", "limit=1MiB").destinations, 0u) << "the same again";
    EXPECT_EQ(set("queue://orders.>", "limit=default\noverflow=default\nrate=default").destinations,
              2u);
    EXPECT_EQ(policy(before).limit.load(relaxed), 0u);
}

TEST_F(Policies, ARefusedChangeChangesNothing) {
    const TestProducer producer = stage.producer(stage.session(), "queue://a");
    const TestProducer other = stage.producer(stage.session(), "queue://b");
    set("queue://a", "limit=1MiB");
    const std::uint64_t generation = shown("queue://a", PolicyKey::limit).generation;
    const std::uint64_t heap = stage.heap_used();
    // The first key is fine, the second is not.
    refusal("queue://a", "limit=2MiB\nreserve=3MiB", Refusal::policy_does_not_fit);
    refusal("queue://a", "limit=2MiB\nlimits=3MiB", Refusal::bad_policy);
    refusal("queue://a", "limit=2 parsecs", Refusal::bad_policy);
    refusal("queue://a..b", "limit=2MiB", Refusal::bad_policy);
    refusal("queue://a", "", Refusal::bad_policy);
    // Each of the two would fit alone: all or none.
    const std::string sentence =
        refusal("queue://>", "reserve=3MiB\nlimit=none", Refusal::policy_does_not_fit);
    EXPECT_EQ(policy(producer).limit.load(relaxed), MiB);
    EXPECT_EQ(policy(other).reserve.load(relaxed), broker::reserve_default) << sentence;
    EXPECT_EQ(shown("queue://a", PolicyKey::limit).generation, generation);
    EXPECT_EQ(stage.heap_used(), heap);
}

TEST_F(Policies, AReserveThatIsNotFreeNowIsRefusedAndFitsWhenMessagesWereRead) {
    stage.settle_turns();
    TestProducer greedy = stage.producer(stage.session(), "queue://greedy");
    const TestProducer modest = stage.producer(stage.session(), "queue://modest");
    ASSERT_GT(greedy.fill(std::string(4000, 'x')), 500u);
    const std::string sentence =
        refusal("queue://modest", "reserve=2MiB", Refusal::policy_does_not_fit);
    EXPECT_NE(sentence.find("free for that now"), std::string::npos) << sentence;
    EXPECT_EQ(policy(modest).reserve.load(relaxed), broker::reserve_default);

    TestWorker worker = stage.worker(stage.session(), "queue://greedy", 1024);
    while (!worker.take_all().empty()) {
        worker.acknowledge_all();
        stage.settle_turns();
    }
    stage.clock.advance_ns(5 * ns_per_s);
    stage.segment->tick();
    stage.settle_turns();
    set("queue://modest", "reserve=2MiB");
    EXPECT_EQ(policy(modest).reserve.load(relaxed), 2 * MiB);
    // What is reserved is not lent: the greedy one gets the rest, the modest one all of its own.
    greedy.stop_asking();
    greedy.fill(std::string(4000, 'x'));
    TestProducer filler = stage.producer(stage.session(), "queue://modest");
    EXPECT_GT(filler.fill(std::string(4000, 'y'), 400), 399u);
}

TEST_F(Policies, ReservesThatChangePlacesFitAlthoughBothSumsWouldNot) {
    stage.settle_turns();
    const TestProducer a = stage.producer(stage.session(), "queue://a");
    const TestProducer b = stage.producer(stage.session(), "queue://b");
    const auto read = [&](const std::string& of_a, const std::string& of_b) {
        auto change =
            stage.segment->read_policies({{"queue://a", "w:1", {{"reserve", of_a, "w:2"}}},
                                          {"queue://b", "w:3", {{"reserve", of_b, "w:4"}}}});
        EXPECT_TRUE(change) << change.error().sentence;
    };
    read("1MiB", "2500KiB");
    read("2500KiB", "1MiB");
    read("1MiB", "2500KiB");
    EXPECT_EQ(policy(a).reserve.load(relaxed), MiB);
    EXPECT_EQ(policy(b).reserve.load(relaxed), 2500 * KiB);
}

// The first piece of the direct region is there at once, the rest a little later.
TEST(PoliciesAtStart, ReservesBeyondTheFirstPieceOfTheRegionAreSetAsideWhenItIsThere) {
    SegmentStage stage(256 * MiB, 32 * MiB);
    auto change = stage.segment->set_policy("queue://late", "reserve=200MiB");
    ASSERT_TRUE(change) << change.error().sentence;
    stage.settle_turns(1000);
    TestProducer greedy = stage.producer(stage.session(), "queue://greedy");
    greedy.fill(std::string(100'000, 'x'));
    EXPECT_LE(stage.direct_used(), 56 * MiB);
    EXPECT_GE(stage.direct_used(), 32 * MiB);
}

TEST_F(Policies, ALimitBelowWhatIsHeldIsTakenAndSaid) {
    TestProducer producer = stage.producer(stage.session(), "queue://full");
    producer.fill(std::string(4000, 'x'), 300);
    const broker::PolicyChange change = set("queue://full", "limit=64KiB");
    EXPECT_EQ(change.destinations, 1u);
    EXPECT_EQ(change.over_limit, 1u);
    EXPECT_NE(change.note.find("queue://full holds"), std::string::npos) << change.note;
    EXPECT_NE(change.note.find("64 KiB"), std::string::npos) << change.note;
}

TEST_F(Policies, EachKeyIsShownWithItsValueAndItsReason) {
    const std::vector<RuleText> rules{
        {"queue://orders.>", "w.toml:1", {{"limit", "25%", "w.toml:2"}}}};
    ASSERT_TRUE(stage.segment->read_policies(rules));
    set("queue://orders.eu", "overflow=drop-oldest");
    const auto limit = shown("orders.eu", PolicyKey::limit);
    EXPECT_EQ(limit.text, "1MiB");
    EXPECT_EQ(limit.value.number, MiB);
    EXPECT_EQ(limit.source.origin, PolicyOrigin::file);
    EXPECT_EQ(limit.source.pattern, "queue://orders.>");
    EXPECT_EQ(limit.source.place, "w.toml:2");
    EXPECT_EQ(limit.source.written, "25%");
    const auto overflow = shown("queue://orders.eu", PolicyKey::overflow);
    EXPECT_EQ(overflow.text, "drop-oldest");
    EXPECT_EQ(overflow.source.origin, PolicyOrigin::run_time);
    EXPECT_EQ(overflow.source.pattern, "queue://orders.eu");
    EXPECT_EQ(shown("queue://orders.eu", PolicyKey::reserve).source.origin,
              PolicyOrigin::by_default);
    const auto none = stage.segment->show_policy("queue://orders.eu", broker::policy_keys);
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().code, Refusal::not_found);
    const auto pattern = stage.segment->show_policy("queue://orders.*", 0);
    ASSERT_FALSE(pattern);
    EXPECT_EQ(pattern.error().code, Refusal::bad_name);
}

TEST_F(Policies, TheFileReadAgainReplacesWhatItSaidAndKeepsWhatWasSet) {
    const TestProducer producer = stage.producer(stage.session(), "queue://a");
    ASSERT_TRUE(
        stage.segment->read_policies({{"queue://a", "w.toml:1", {{"limit", "1MiB", "w"}}}}));
    set("queue://a", "max-depth=7");
    ASSERT_TRUE(
        stage.segment->read_policies({{"queue://>", "w.toml:1", {{"overflow", "fail", "w"}}}}));
    EXPECT_EQ(policy(producer).limit.load(relaxed), 0u);
    EXPECT_EQ(policy(producer).overflow.load(relaxed), Overflow::fail);
    EXPECT_EQ(policy(producer).max_depth.load(relaxed), 7u);
    const auto refused = stage.segment->read_policies(
        {{"queue://a", "w.toml:1", {{"reserve", "5MiB", "w.toml:9"}}}});
    ASSERT_FALSE(refused);
    EXPECT_TRUE(refused.error().sentence.starts_with("w.toml:9: reserve = 5MiB"))
        << refused.error().sentence;
    EXPECT_EQ(policy(producer).overflow.load(relaxed), Overflow::fail);
}

// "Always available": also before its first client comes.
TEST_F(Policies, ADestinationWithAReserveOfItsOwnHasItBeforeAnybodyUsesIt) {
    stage.settle_turns();
    set("queue://late", "reserve=1MiB");
    EXPECT_TRUE(exists("queue://late"));
    TestProducer greedy = stage.producer(stage.session(), "queue://greedy");
    greedy.fill(std::string(4000, 'x'));
    EXPECT_LE(stage.direct_used(), 3 * MiB);
    TestProducer late = stage.producer(stage.session(), "queue://late");
    EXPECT_GE(late.fill(std::string(4000, 'y'), 200), 200u);
    // It stays while the policy does.
    set("queue://later", "reserve=64KiB");
    stage.segment->tick();
    stage.clock.advance_ns(61 * ns_per_s);
    stage.segment->tick();
    EXPECT_TRUE(exists("queue://later"));
    set("queue://later", "reserve=default");
    stage.segment->tick();
    stage.clock.advance_ns(61 * ns_per_s);
    stage.segment->tick();
    EXPECT_FALSE(exists("queue://later"));
}

TEST_F(Policies, TheirMemoryIsHeapLikeMemory) {
    const std::uint64_t before = stage.heap_used();
    for (int number = 0; number < 100; ++number)
        set("topic://a" + std::to_string(number) + ".>", "max-consumers=3");
    EXPECT_GT(stage.heap_used(), before + 100u * 500);
    for (int number = 0; number < 100; ++number)
        set("topic://a" + std::to_string(number) + ".>", "max-consumers=default");
    EXPECT_EQ(stage.heap_used(), before);
}

}  // namespace
}  // namespace weir::test
