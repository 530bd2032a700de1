// SPDX-License-Identifier: Apache-2.0
//
// WEIR_CHECK: on in this build as in every other one.
#include "core/base/check.hpp"

#include <gtest/gtest.h>

namespace weir {
namespace {

template <int A, int B>
constexpr bool less() {
    return A < B;
}

TEST(Check, EvaluatesItsConditionOnce) {
    int evaluated = 0;
    WEIR_CHECK(++evaluated == 1);
    EXPECT_EQ(evaluated, 1);
}

TEST(Check, TakesConditionsWithCommas) { WEIR_CHECK(less<1, 2>()); }

TEST(Check, CanStandInAConstantExpression) {
    constexpr auto checked = [](int number) {
        WEIR_CHECK(number > 0);
        return number;
    };
    static_assert(checked(3) == 3);
}

TEST(CheckDeathTest, NamesConditionFileAndLine) {
    EXPECT_DEATH(WEIR_CHECK(1 + 1 == 3), "check_test.cpp:[0-9]+: check failed: 1 \\+ 1 == 3");
}

}  // namespace
}  // namespace weir
