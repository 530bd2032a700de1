// SPDX-License-Identifier: Apache-2.0
//
// Charges, reserves, limits and parts: A1-A4 of accounts.hpp.
#include "core/broker/accounts.hpp"

#include <gtest/gtest.h>

#include "tests/unit/core/broker/place.hpp"

namespace weir::broker {
namespace {

TEST(Accounts, AChargeCountsAtEveryLevelAndIsReturnedOnce) {
    Resource resource;
    resource.root.set_limit(1000);
    Place place(resource);
    Account lane(LimitLevel::none, &place.producers);
    LimitedAccount user(LimitLevel::user);
    LimitedAccount session(LimitLevel::session, &user);
    const Account* const all[] = {&lane,          &place.producers, &place.total,
                                  &resource.root, &session,         &user};
    {
        Charge moved;
        {
            auto charge = lane.charge(300, &session);
            ASSERT_TRUE(charge);
            moved = std::move(*charge);
        }
        for (const Account* account : all)
            EXPECT_EQ(account->used(), 300u) << "the moved-from charge must not return anything";
        EXPECT_EQ(resource.producers.state().used, 300u);
        EXPECT_EQ(resource.consumers.state().used, 0u);
        const Charge part = moved.split(100);
        EXPECT_EQ(moved.bytes(), 200u);
        EXPECT_EQ(resource.root.used(), 300u);
        moved = Charge();
        EXPECT_EQ(resource.root.used(), 100u);
        EXPECT_EQ(user.used(), 100u);
    }
    for (const Account* account : all) EXPECT_EQ(account->used(), 0u);
    EXPECT_EQ(resource.producers.state().used, 0u);
}

TEST(Accounts, ARefusedChargeChangesNothingAndNamesWhatRefusedIt) {
    Resource resource;
    resource.root.set_limit(100);
    Place place(resource);
    LimitedAccount user(LimitLevel::user);
    LimitedAccount session(LimitLevel::session, &user);
    place.total.set_limit(50);
    session.set_limit(40);
    user.set_limit(45);
    const auto level = [&](Bytes bytes, Account* holder) {
        auto charge = place.producers.charge(bytes, holder);
        return charge ? LimitLevel::none : charge.error().level;
    };
    EXPECT_EQ(level(51, &session), LimitLevel::destination);
    EXPECT_EQ(level(50, &session), LimitLevel::session);
    EXPECT_EQ(level(50, &user), LimitLevel::user);
    place.total.set_limit(no_limit);
    EXPECT_EQ(level(101, &session), LimitLevel::broker);
    EXPECT_EQ(resource.root.used() + place.total.used() + session.used() + user.used(), 0u);
    EXPECT_EQ(resource.producers.state().used, 0u);
    auto most = place.producers.charge(30, &session);
    ASSERT_TRUE(most);
    auto refused = place.producers.charge(11, &session);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().used, 30u);
    EXPECT_EQ(refused.error().limit, 40u);
}

TEST(Accounts, AReserveStaysThereHoweverMuchOthersTake) {
    Resource resource;
    resource.root.set_limit(100);
    Place greedy(resource);
    Place small(resource);
    ASSERT_TRUE(small.total.set_reserve(20));
    auto most = greedy.producers.charge(80);
    ASSERT_TRUE(most);
    EXPECT_FALSE(greedy.producers.charge(1));
    EXPECT_TRUE(small.producers.reserved(20));
    EXPECT_FALSE(small.producers.reserved(21));
    {
        auto own = small.producers.charge(20);
        ASSERT_TRUE(own) << "a reserve is for all below it";
        EXPECT_FALSE(small.producers.charge(1));
    }
    EXPECT_FALSE(greedy.producers.charge(1)) << "it comes back with what is returned";
}

TEST(Accounts, AReserveThatIsNotThereIsRefusedAndAnotherCanBeGivenBack) {
    Resource resource;
    resource.root.set_limit(100);
    Place first(resource);
    Place second(resource);
    auto used = first.producers.charge(70);
    ASSERT_TRUE(used);
    EXPECT_TRUE(first.total.set_reserve(90)) << "what is used counts";
    EXPECT_FALSE(second.total.set_reserve(11));
    EXPECT_TRUE(second.total.set_reserve(10));
    EXPECT_FALSE(first.total.set_reserve(91));
    EXPECT_EQ(first.total.reserve(), 90u);
    EXPECT_TRUE(first.total.set_reserve(0));
    EXPECT_EQ(resource.root.below(), 80u);
    EXPECT_TRUE(second.total.set_reserve(30));
}

TEST(Accounts, AMarginIsForNewcomersAndReservesPassIt) {
    Resource resource;
    resource.root.set_limit(100);
    resource.root.set_margin(10);
    Place old(resource);
    Place newcomer(resource);
    EXPECT_EQ(old.producers.obstacle(91).level, LimitLevel::broker);
    auto most = old.producers.charge(90);
    ASSERT_TRUE(most);
    EXPECT_FALSE(old.producers.obstacle(10, nullptr, Margin::use));
    ASSERT_TRUE(newcomer.total.set_reserve(10));
    EXPECT_TRUE(newcomer.producers.charge(10)) << "in a reserve there is no margin to leave";
}

TEST(Accounts, ALimitBelowItsUseTakesNothingAndGrantsNothing) {
    Resource resource;
    resource.root.set_limit(100);
    Place place(resource);
    auto first = place.producers.charge(30);
    auto second = place.producers.charge(10);
    ASSERT_TRUE(first && second);
    place.total.set_limit(20);
    EXPECT_EQ(place.total.used(), 40u);
    EXPECT_FALSE(place.producers.charge(1));
    *first = Charge();
    EXPECT_TRUE(place.producers.charge(10));
    EXPECT_FALSE(place.producers.charge(11));
}

TEST(Accounts, APartBorrowsUntilTheOwnerAsksAndTheOwnerThenGetsWhatIsFreed) {
    Resource resource;
    resource.root.set_limit(100);
    resource.producers.set_share(60);
    resource.consumers.set_share(40);
    Place place(resource);
    auto share = place.producers.charge(60);
    auto borrowed = place.producers.charge(20);
    ASSERT_TRUE(share && borrowed);
    resource.consumers.set_asks(true);
    EXPECT_EQ(place.producers.obstacle(1).level, LimitLevel::producer_part);
    EXPECT_EQ(place.producers.obstacle(1).limit, 60u);
    auto read_back = place.consumers.charge(20);
    ASSERT_TRUE(read_back);
    *borrowed = Charge();
    EXPECT_EQ(place.producers.obstacle(1).level, LimitLevel::producer_part);
    auto more = place.consumers.charge(20);
    ASSERT_TRUE(more) << "the rest of its share";
    EXPECT_EQ(place.producers.obstacle(1).level, LimitLevel::broker);
    *more = Charge();
    EXPECT_TRUE(place.producers.obstacle(1)) << "the owner still asks for its share";
    resource.consumers.set_asks(false);
    EXPECT_FALSE(place.producers.obstacle(20));
}

TEST(Accounts, AReserveIsHadWhateverPartAsks) {
    Resource resource;
    resource.root.set_limit(100);
    resource.producers.set_share(60);
    resource.consumers.set_share(40);
    Place borrower(resource);
    Place small(resource);
    ASSERT_TRUE(small.total.set_reserve(10));
    auto most = borrower.producers.charge(80);
    ASSERT_TRUE(most);
    resource.consumers.set_asks(true);
    EXPECT_TRUE(small.producers.charge(10));
    EXPECT_EQ(small.producers.obstacle(11).level, LimitLevel::producer_part);
}

TEST(Accounts, WhatIsKeptForReadingBackIsNeverLent) {
    Resource resource;
    resource.root.set_limit(100);
    resource.root.set_margin(5);
    Place place(resource);
    place.total.set_limit(50);
    place.total.set_kept(8);
    auto most = place.producers.charge(42);
    ASSERT_TRUE(most);
    EXPECT_EQ(place.producers.obstacle(1).level, LimitLevel::destination);
    {
        auto page = place.consumers.charge(8);
        ASSERT_TRUE(page) << "the page that frees the others";
        EXPECT_FALSE(place.consumers.charge(1));
    }
    EXPECT_FALSE(place.producers.charge(1)) << "it is kept again";
    // The same at the broker, beside the margin.
    Place other(resource);
    resource.root.set_kept(20);
    auto rest = other.producers.charge(100 - 42 - 5 - 20);
    ASSERT_TRUE(rest);
    EXPECT_FALSE(other.producers.charge(1));
    EXPECT_TRUE(other.consumers.charge(20));
}

TEST(Accounts, WhatCanNeverFitIsToldFromWhatDoesNotFitNow) {
    Resource resource;
    resource.root.set_limit(100);
    resource.root.set_margin(5);
    Place place(resource);
    Place other(resource);
    LimitedAccount session(LimitLevel::session);
    ASSERT_TRUE(other.total.set_reserve(30));
    ASSERT_TRUE(place.total.set_reserve(10));
    auto now = other.producers.charge(60);
    ASSERT_TRUE(now);
    EXPECT_TRUE(place.producers.obstacle(65));
    EXPECT_FALSE(place.producers.obstacle_for_ever(65));
    EXPECT_EQ(place.producers.obstacle_for_ever(66).level, LimitLevel::broker)
        << "reserves of others are never lent";
    place.total.set_limit(64);
    EXPECT_EQ(place.producers.obstacle_for_ever(65).level, LimitLevel::destination);
    place.total.set_kept(10);
    EXPECT_FALSE(place.producers.obstacle_for_ever(55));  // what is kept comes back
    EXPECT_FALSE(place.consumers.obstacle_for_ever(64));
    session.set_limit(50);
    EXPECT_EQ(place.producers.obstacle_for_ever(51, &session).level, LimitLevel::session);
    EXPECT_FALSE(place.producers.obstacle_for_ever(50, &session));
}

TEST(Accounts, WhatASessionLeavesIsItsUsersAndCanBeHandedOn) {
    Resource resource;
    resource.root.set_limit(100);
    Place place(resource);
    LimitedAccount user(LimitLevel::user);
    LimitedAccount session(LimitLevel::session, &user);
    LimitedAccount next(LimitLevel::session, &user);
    next.set_limit(10);
    auto charge = place.producers.charge(20, &session);
    ASSERT_TRUE(charge);
    charge->leave_session();
    charge->leave_session();
    EXPECT_EQ(session.used(), 0u);
    EXPECT_EQ(user.used(), 20u);
    EXPECT_FALSE(charge->hand_to(next));
    EXPECT_EQ(user.used(), 20u);
    next.set_limit(20);
    EXPECT_TRUE(charge->hand_to(next));
    EXPECT_EQ(next.used(), 20u);
    EXPECT_EQ(user.used(), 20u);
}

TEST(Accounts, UsePeakAndLimitAreShown) {
    Usage broker{};
    Usage part{};
    Resource resource;
    resource.root.publish_to(broker);
    resource.producers.publish_to(part);
    EXPECT_EQ(broker.limit.load(), 0u) << "no limit";
    resource.root.set_limit(100);
    resource.producers.set_share(60);
    Place place(resource);
    { auto charge = place.producers.charge(70); }
    EXPECT_EQ(broker.used.load(), 0u);
    EXPECT_EQ(broker.peak.load(), 70u);
    EXPECT_EQ(broker.limit.load(), 100u);
    EXPECT_EQ(part.peak.load(), 70u);
    EXPECT_EQ(part.limit.load(), 60u);
}

}  // namespace
}  // namespace weir::broker
