// SPDX-License-Identifier: Apache-2.0
//
// The log: what reaches standard error, and what is silenced. Lines sent to syslog go to whatever
// listens there on this machine; of those only the change of target is looked at.
#include "core/base/log.hpp"

#include <gtest/gtest.h>

#include "core/base/clock.hpp"

namespace weir::log {
namespace {

template <class Action>
std::string standard_error_of(Action action) {
    testing::internal::CaptureStderr();
    action();
    return testing::internal::GetCapturedStderr();
}

TEST(Log, WritesALineWithProgramAndLevel) {
    start(Target::standard_error, Level::info, "weir-test");
    std::string text = standard_error_of([] { info("{} waits for {} s", "queue://orders", 3); });
    EXPECT_NE(text.find(" weir-test info: queue://orders waits for 3 s\n"), std::string::npos)
        << text;
}

TEST(Log, LeavesOutWhatIsBelowItsLevel) {
    start(Target::standard_error, Level::warning, "weir-test");
    EXPECT_FALSE(enabled(Level::info));
    EXPECT_TRUE(enabled(Level::warning));
    std::string text = standard_error_of([] {
        debug("one");
        info("two");
        warning("three");
        error("four");
    });
    EXPECT_EQ(text.find("one"), std::string::npos) << text;
    EXPECT_EQ(text.find("two"), std::string::npos) << text;
    EXPECT_NE(text.find("warning: three"), std::string::npos) << text;
    EXPECT_NE(text.find("error: four"), std::string::npos) << text;
}

TEST(Log, TakesALineWithBracesAsItIs) {
    start(Target::standard_error, Level::info, "weir-test");
    std::string text = standard_error_of([] { write(Level::info, "a {} b"); });
    EXPECT_NE(text.find("a {} b"), std::string::npos) << text;
}

TEST(Log, IsSilentOnStandardErrorWhileItGoesToSyslog) {
    std::string text = standard_error_of([] {
        start(Target::syslog, Level::info, "weir-test");
        info("a test of the log");
        start(Target::syslog, Level::info, "weir-test-again");
        info("a test of the log");
    });
    EXPECT_EQ(text, "");
    start(Target::standard_error, Level::warning, "weir-test");
}

TEST(LogEvery, LetsAKeySpeakOncePerInterval) {
    Every every(30 * ns_per_s);
    EXPECT_EQ(every.due("orders", 100 * ns_per_s), 0U);
    EXPECT_EQ(every.due("orders", 101 * ns_per_s), std::nullopt);
    EXPECT_EQ(every.due("orders", 129 * ns_per_s), std::nullopt);
    EXPECT_EQ(every.due("prices", 129 * ns_per_s), 0U);
    EXPECT_EQ(every.due("orders", 130 * ns_per_s), 2U);
    EXPECT_EQ(every.due("orders", 131 * ns_per_s), std::nullopt);
    EXPECT_EQ(every.due("orders", 160 * ns_per_s), 1U);
}

TEST(LogEvery, ForgetsTheKeyThatSpokeLongestAgoWhenItIsFull) {
    Every every(30 * ns_per_s, 2);
    EXPECT_EQ(every.due("one", 1), 0U);
    EXPECT_EQ(every.due("two", 2), 0U);
    EXPECT_EQ(every.due("three", 3), 0U);            // "one" makes room
    EXPECT_EQ(every.due("two", 4), std::nullopt);    // still known
    EXPECT_EQ(every.due("three", 5), std::nullopt);  // still known
    EXPECT_EQ(every.due("one", 6), 0U);              // forgotten, so it speaks
}

}  // namespace
}  // namespace weir::log
