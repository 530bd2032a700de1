// SPDX-License-Identifier: Apache-2.0
//
// Result: exactly one side, of any type, and an end for whoever reads the other one.
#include "core/base/result.hpp"

#include <gtest/gtest.h>

#include <memory>

namespace weir {
namespace {

enum class NoPage { limit_reached, broker_down };

Result<int, NoPage> half_of(int number) {
    if (number % 2 != 0) return fail(NoPage::limit_reached);
    return number / 2;
}

Result<void, Error<NoPage>> check_even(int number) {
    auto half = half_of(number);
    if (!half) return fail(half.error(), "take an even number");
    return {};
}

TEST(Result, HoldsTheValueOfASuccess) {
    auto half = half_of(42);
    ASSERT_TRUE(half);
    EXPECT_EQ(*half, 21);
    EXPECT_EQ(half.value(), 21);
}

TEST(Result, HoldsTheErrorOfAFailure) {
    auto half = half_of(41);
    ASSERT_FALSE(half);
    EXPECT_EQ(half.error(), NoPage::limit_reached);
}

TEST(Result, CarriesASentenceOnAColdCall) {
    EXPECT_TRUE(check_even(2));
    auto checked = check_even(3);
    ASSERT_FALSE(checked);
    EXPECT_EQ(checked.error().code, NoPage::limit_reached);
    EXPECT_EQ(checked.error().sentence, "take an even number");
}

TEST(Result, HoldsWhatCanOnlyBeMoved) {
    Result<std::unique_ptr<int>, NoPage> result = std::make_unique<int>(7);
    ASSERT_TRUE(result);
    EXPECT_EQ(**result, 7);
    std::unique_ptr<int> taken = *std::move(result);
    EXPECT_EQ(*taken, 7);
}

TEST(Result, TellsItsSidesApartWhenBothHaveOneType) {
    Result<int, int> value = 1;
    Result<int, int> error = fail(1);
    EXPECT_TRUE(value);
    EXPECT_FALSE(error);
    EXPECT_EQ(error.error(), 1);
}

TEST(Result, PassesAnErrorUpIntoAResultOfAnotherValue) {
    auto name_of = [](int number) -> Result<std::string, NoPage> {
        auto half = half_of(number);
        if (!half) return fail(half.error());
        return std::to_string(*half);
    };
    EXPECT_EQ(*name_of(8), "4");
    EXPECT_EQ(name_of(7).error(), NoPage::limit_reached);
}

TEST(Result, OfNothingTellsTheFirstCodeFromSuccess) {
    const auto refuse = [](NoPage why) -> Result<void, NoPage> { return fail(why); };
    EXPECT_TRUE((Result<void, NoPage>()));
    for (const NoPage why : {NoPage::limit_reached, NoPage::broker_down}) {
        ASSERT_FALSE(refuse(why));
        EXPECT_EQ(refuse(why).error(), why);
    }
}

TEST(Result, IsAsCheapToReturnAsItsSides) {
    static_assert(std::is_trivially_copyable_v<Result<int, NoPage>>);
    static_assert(std::is_trivially_copyable_v<Result<void, NoPage>>);
    static_assert(sizeof(Result<void, NoPage>) <= 8);
}

TEST(ResultDeathTest, EndsAProcessThatReadsTheWrongSide) {
    EXPECT_DEATH(static_cast<void>(half_of(41).value()), "check failed");
    EXPECT_DEATH(static_cast<void>(half_of(42).error()), "check failed");
    EXPECT_DEATH(check_even(3).value(), "check failed");
    EXPECT_DEATH(static_cast<void>(check_even(2).error()), "check failed");
}

}  // namespace
}  // namespace weir
