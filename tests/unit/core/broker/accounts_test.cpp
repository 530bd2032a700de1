// SPDX-License-Identifier: Apache-2.0
//
// Charges, reserves and what fits: A1-A3 of accounts.hpp.
#include "core/broker/accounts.hpp"

#include <gtest/gtest.h>

#include "core/broker/tables.hpp"

namespace weir::broker {
namespace {

struct Case {
    const char* what;
    Ledger ledger;
    Bytes own;
    Bytes asked;
    bool fits;
};

// capacity, used, reserves (own included), margin
const Case cases[] = {
    {"all of it", {100, 0, 0, 0}, 0, 100, true},
    {"one more than all", {100, 0, 0, 0}, 0, 101, false},
    {"what is left", {100, 60, 0, 0}, 0, 40, true},
    {"more than what is left", {100, 60, 0, 0}, 0, 41, false},
    {"others' reserves are not there", {100, 60, 10, 0}, 0, 31, false},
    {"up to others' reserves", {100, 60, 10, 0}, 0, 30, true},
    {"the own reserve is there when nothing else is", {100, 80, 20, 0}, 10, 10, true},
    {"more than the own reserve", {100, 80, 20, 0}, 10, 11, false},
    {"own reserve and what is free", {100, 70, 20, 0}, 10, 20, true},
    {"the margin is not for those that exist", {100, 60, 0, 5}, 0, 36, false},
    {"up to the margin", {100, 60, 0, 5}, 0, 35, true},
    {"the own reserve passes a margin that is used up", {100, 90, 10, 5}, 10, 10, true},
    {"no sum overflows", {~Bytes{0}, 0, 0, 0}, 0, ~Bytes{0}, true},
    {"nothing always fits", {100, 100, 0, 0}, 0, 0, true},
};

class GrantFits : public ::testing::TestWithParam<Case> {};

TEST_P(GrantFits, DecidesAsItsDerivationSays) {
    EXPECT_EQ(grant_fits(GetParam().ledger, GetParam().own, GetParam().asked), GetParam().fits)
        << GetParam().what;
}
INSTANTIATE_TEST_SUITE_P(Table, GrantFits, ::testing::ValuesIn(cases));

TEST(Accounts, AChargeCountsAtEveryLevelAndIsReturnedOnce) {
    Resource resource;
    resource.set_capacity(1000);
    Account root(resource, nullptr);
    Account destination(resource, &root);
    Account lane(resource, &destination);
    {
        Charge moved;
        {
            auto charge = lane.charge(300);
            ASSERT_TRUE(charge);
            moved = std::move(*charge);
        }
        EXPECT_EQ(lane.used(), 300u) << "the moved-from charge must not return anything";
        EXPECT_EQ(destination.used(), 300u);
        EXPECT_EQ(root.used(), 300u);
        EXPECT_EQ(resource.ledger().used, 300u);
        const Charge part = moved.split(100);
        EXPECT_EQ(moved.bytes(), 200u);
        EXPECT_EQ(resource.ledger().used, 300u);
        moved = Charge();
        EXPECT_EQ(resource.ledger().used, 100u);
    }
    EXPECT_EQ(resource.ledger().used, 0u);
    EXPECT_EQ(lane.used(), 0u);
}

TEST(Accounts, ARefusedChargeChangesNothing) {
    Resource resource;
    resource.set_capacity(100);
    Account root(resource, nullptr);
    Account child(resource, &root);
    EXPECT_FALSE(child.charge(101));
    EXPECT_EQ(resource.ledger().used, 0u);
    EXPECT_EQ(child.used(), 0u);
}

TEST(Accounts, AReserveStaysThereHoweverMuchOthersTake) {
    Resource resource;
    resource.set_capacity(100);
    Account root(resource, nullptr);
    Account greedy(resource, &root);
    Account small(resource, &root);
    Account lane(resource, &small);
    ASSERT_TRUE(small.open_reserve(20));
    auto most = greedy.charge(80);
    ASSERT_TRUE(most);
    EXPECT_FALSE(greedy.charge(1));
    auto own = lane.charge(20);
    ASSERT_TRUE(own) << "a reserve is for all below it";
    EXPECT_EQ(resource.ledger().reserves, 0u);
    *own = Charge();
    EXPECT_EQ(resource.ledger().reserves, 20u) << "it comes back with what is returned";
    EXPECT_FALSE(greedy.charge(1));
}

TEST(Accounts, AReserveThatIsNotThereIsRefused) {
    Resource resource;
    resource.set_capacity(100);
    Account root(resource, nullptr);
    Account first(resource, &root);
    Account second(resource, &root);
    auto used = root.charge(70);
    ASSERT_TRUE(used);
    EXPECT_TRUE(first.open_reserve(30));
    EXPECT_FALSE(second.open_reserve(1));
}

TEST(Accounts, PeakAndUseArePublished) {
    Usage usage{};
    Resource resource;
    resource.set_capacity(100);
    resource.publish_to(usage);
    Account root(resource, nullptr);
    { auto charge = root.charge(60); }
    EXPECT_EQ(usage.used.load(), 0u);
    EXPECT_EQ(usage.peak.load(), 60u);
}

}  // namespace
}  // namespace weir::broker
