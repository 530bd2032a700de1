// SPDX-License-Identifier: Apache-2.0
//
// Settings from an option and from a file: defaults, bounds, and sentences that name place and
// cure.
#include "core/broker/config.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace weir::broker {
namespace {

constexpr std::uint64_t KiB = 1024;
constexpr std::uint64_t MiB = 1024 * KiB;
constexpr std::uint64_t GiB = 1024 * MiB;
constexpr Machine usual{16 * GiB, 12 * GiB};

class ConfigTest : public testing::Test {
protected:
    void SetUp() override {
        char pattern[] = "/tmp/weir-config-XXXXXX";
        ASSERT_NE(mkdtemp(pattern), nullptr);
        folder_ = pattern;
        setenv("XDG_RUNTIME_DIR", folder_.c_str(), 1);
        unsetenv("WEIR_NAME");
        unsetenv("XDG_STATE_HOME");
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }

    std::string file(const std::string& text) {
        const std::string path = folder_ + "/weir.toml";
        std::ofstream(path) << text;
        return path;
    }
    static Setting option(const std::string& name, const std::string& value) {
        return {value, name + " " + value};
    }
    static std::string refusal(const Settings& settings, StartFailure code,
                               const Machine& machine = usual) {
        auto config = configure(settings, machine);
        EXPECT_FALSE(config);
        if (config) return "";
        EXPECT_EQ(config.error().code, code) << config.error().sentence;
        return config.error().sentence;
    }
    static std::string direct_refusal(const std::string& value, StartFailure code) {
        Settings settings;
        settings.direct = option("--direct", value);
        return refusal(settings, code);
    }
    std::string file_refusal(const std::string& text) {
        auto settings = read_config_file(file(text));
        EXPECT_FALSE(settings) << text;
        if (settings) return "";
        EXPECT_EQ(settings.error().code, StartFailure::usage);
        return settings.error().sentence;
    }

    std::string folder_;
};

bool holds(const std::string& sentence, const std::string& part) {
    return sentence.find(part) != std::string::npos;
}

TEST_F(ConfigTest, DefaultsFollowTheMachine) {
    auto config = configure({}, usual);
    ASSERT_TRUE(config) << config.error().sentence;
    EXPECT_EQ(config->name, "default");
    EXPECT_EQ(config->direct_bytes, 1536 * MiB);
    EXPECT_EQ(config->heap_bytes, 96 * MiB);
    EXPECT_EQ(config->largest_message, 64 * MiB);
    auto small = configure({}, Machine{512 * MiB, 400 * MiB});
    ASSERT_TRUE(small) << small.error().sentence;
    EXPECT_EQ(small->direct_bytes, 128 * MiB);
    EXPECT_EQ(small->heap_bytes, 16 * MiB);
    EXPECT_EQ(small->largest_message, 32 * MiB);
    // A container that was given little of a large machine.
    EXPECT_EQ(default_direct_bytes(Machine{64 * GiB, 300 * MiB}), 150 * MiB);
}

TEST_F(ConfigTest, AnOptionWinsOverTheFileAndTheFileOverTheDefault) {
    auto settings = read_config_file(
        file("name = \"file\"\nlargest-message = \"1M\"\n[memory]\ndirect = \"64M\"\n"
             "heap = 20971520\n"));
    ASSERT_TRUE(settings) << settings.error().sentence;
    Settings given;
    given.direct = option("--direct", "32M");
    given.fill_from(*settings);
    auto config = configure(given, usual);
    ASSERT_TRUE(config) << config.error().sentence;
    EXPECT_EQ(config->direct_bytes, 32 * MiB);
    EXPECT_EQ(config->heap_bytes, 20 * MiB);
    EXPECT_EQ(config->largest_message, MiB);
    EXPECT_EQ(config->name, "file");
}

TEST_F(ConfigTest, WhatTheMachineDoesNotHaveIsRefusedBeforeItIsAsked) {
    const std::string sentence = direct_refusal("100G", StartFailure::no_memory);
    EXPECT_TRUE(holds(sentence, "--direct 100G: the machine has 12 GiB available")) << sentence;
    // Each alone would fit; and a sum that wraps must not pass for a small one.
    Settings settings;
    settings.direct = option("--direct", "11G");
    settings.heap = option("--heap", "2G");
    refusal(settings, StartFailure::no_memory);
    settings.heap = option("--heap", "18446744073709551615");
    refusal(settings, StartFailure::no_memory);
}

TEST_F(ConfigTest, BoundsAreToldWithTheOptionAndTheCure) {
    EXPECT_TRUE(holds(direct_refusal("1020K", StartFailure::usage), "at least 1 MiB"));
    EXPECT_TRUE(holds(direct_refusal("0", StartFailure::usage), "--direct 0"));
    EXPECT_TRUE(holds(direct_refusal("lots", StartFailure::usage), "--direct lots"));
    EXPECT_TRUE(holds(direct_refusal("-1", StartFailure::usage), "--direct -1"));
    Settings settings;
    settings.heap = option("--heap", "64K");
    EXPECT_TRUE(holds(refusal(settings, StartFailure::usage), "--heap 64K"));
    settings = {};
    settings.direct = option("--direct", "64M");
    settings.largest_message = option("--largest-message", "40M");
    EXPECT_TRUE(holds(refusal(settings, StartFailure::usage), "at most half"));
    settings.largest_message = option("--largest-message", "0");
    refusal(settings, StartFailure::usage);
}

TEST_F(ConfigTest, TheSmallestBrokerIsAccepted) {
    Settings settings;
    settings.direct = option("--direct", "1M");
    auto config = configure(settings, usual);
    ASSERT_TRUE(config) << config.error().sentence;
    EXPECT_EQ(config->largest_message, 256 * KiB);
}

TEST_F(ConfigTest, ABadNameIsRefusedWithItsPlace) {
    Settings settings;
    settings.name = option("--name", "No Name");
    EXPECT_TRUE(holds(refusal(settings, StartFailure::usage), "--name No Name"));
}

TEST_F(ConfigTest, AFileIsRefusedWithItsLine) {
    const std::string path = folder_ + "/weir.toml";
    EXPECT_TRUE(holds(file_refusal("name = \"a\"\n\ndirekt = \"1G\"\n"), path + ":3: \"direkt\""));
    EXPECT_TRUE(holds(file_refusal("direct = \"1G\"\n"),
                      path + ":1: \"direct\" stands in a section: write it below [memory]"));
    EXPECT_TRUE(
        holds(file_refusal("[memory]\nlane = 1\n"),
              path + ":2: \"lane\" is no setting of a broker: in [memory] there are direct"));
    EXPECT_TRUE(holds(file_refusal("[memory]\ndirect = true\n"), path + ":2: direct is a size"));
    EXPECT_TRUE(holds(file_refusal("[memory]\ndirect = 1.5\n"), path + ":2: direct is a size"));
    EXPECT_TRUE(holds(file_refusal("[user]\nlanes = [1]\n"), path + ":2: lanes is a number"));
    EXPECT_TRUE(holds(file_refusal("\nname = 5\n"), path + ":2: name is a text"));
    EXPECT_TRUE(holds(file_refusal("[flow-to-disk]\ndwell = 5\n"), path + ":2: dwell is a text"));
    EXPECT_TRUE(
        holds(file_refusal("[memory]\ndirect = -1\n"), path + ":2: a size is not negative"));
    EXPECT_TRUE(holds(file_refusal("name = \"a\"\ndirect = \n"), path + ":2: "));
    EXPECT_TRUE(holds(file_refusal("name = \"a\"\nname = \"b\"\n"), path + ":2: "));
    EXPECT_TRUE(holds(file_refusal("[memory]\nheap = 1\n[memory]\n"), path + ":3: "));
    EXPECT_TRUE(holds(file_refusal("[broker]\nname = \"a\"\n"), path + ":1: \"broker\""));
    EXPECT_TRUE(holds(file_refusal("memory = 5\n"), path + ":1: \"memory\" is a section"));
    EXPECT_TRUE(holds(file_refusal("spill-dir = \"/tmp\"\n[flow-to-disk]\ndirectory = \"/tmp\"\n"),
                      "said already at " + path));
    // A value that is well-formed but bad is judged later and still names its line.
    auto settings = read_config_file(file("[memory]\ndirect = \"12 parsecs\"\n"));
    ASSERT_TRUE(settings);
    EXPECT_TRUE(holds(refusal(*settings, StartFailure::usage), path + ":2: direct = 12 parsecs"));
}

TEST_F(ConfigTest, APolicyThatIsNoneIsRefusedWithItsLine) {
    const std::string path = folder_ + "/weir.toml";
    EXPECT_TRUE(holds(file_refusal("policy = 5\n"), path + ":1: policies are written one by one"));
    EXPECT_TRUE(holds(file_refusal("[policy]\nmatch = \"a\"\n"), path + ":1: policies are"));
    EXPECT_TRUE(holds(file_refusal("policy = [1]\n"), path + ":1: policies are"));
    EXPECT_TRUE(
        holds(file_refusal("\n[[policy]]\nlimit = 1\n"), path + ":2: a policy without match"));
    EXPECT_TRUE(holds(file_refusal("[[policy]]\nmatch = 1\n"), path + ":2: match is"));
    EXPECT_TRUE(holds(file_refusal("[[policy]]\nmatch = \"a\"\nlimit = true\n"),
                      path + ":3: limit is a text or a number"));
    EXPECT_TRUE(holds(file_refusal("[[policy]]\nmatch = \"a\"\nlimit = [\"1M\"]\n"),
                      path + ":3: limit is a text or a number"));
    EXPECT_TRUE(holds(file_refusal("[[policy]]\nmatch = \"a\"\nrate = [5]\n"),
                      path + ":3: each rate is a text"));
    auto settings = read_config_file(file("[[policy]]\nmatch = \"a\"\n\nlimit = \"1X\"\n"));
    ASSERT_TRUE(settings) << settings.error().sentence;
    EXPECT_TRUE(holds(refusal(*settings, StartFailure::usage), path + ":4: limit = 1X: "));
}

TEST_F(ConfigTest, TheWholeFileIsRead) {
    auto settings = read_config_file(file(R"(
name = "whole"
[memory]
direct = "256MiB"
heap = "32MiB"
producer-part = "62.5%"

[flow-to-disk]
threshold = "200MiB"
resume = "50%"
directory = ")" + folder_ + R"(/spill"
limit = "25%"
dwell = "2s"

[session]
lanes = 10
subscriptions = "20"
heap = "1MiB"
direct = "25%"
max-uncommitted = "5MiB"

[user]
sessions = 100
lanes = "none"
heap = "50%"
direct = 104857600

[[policy]]
match = "queue://orders.>"
limit = "10%"
reserve = "1MiB"
overflow = "fail-after"
fail-after = "500ms"
rate = ["100MiB/s", "50000msg/s"]

[[policy]]
match = "topic://>"
slow-subscriber = "drop-oldest"
max-consumers = 7
)"));
    ASSERT_TRUE(settings) << settings.error().sentence;
    auto config = configure(*settings, usual);
    ASSERT_TRUE(config) << config.error().sentence;
    const LimitOptions& limits = config->limits;
    EXPECT_EQ(config->direct_bytes, 256 * MiB);
    EXPECT_EQ(limits.producer_part_bytes, 160 * MiB);
    EXPECT_EQ(limits.flow.threshold_bytes, 200 * MiB);
    EXPECT_EQ(limits.flow.resume_bytes, 128 * MiB);
    EXPECT_EQ(limits.flow.directory, folder_ + "/spill");
    EXPECT_EQ(limits.flow.limit_share, 2500u);
    EXPECT_EQ(limits.flow.dwell_ns, 2'000'000'000u);
    EXPECT_EQ(limits.session.lanes, 10u);
    EXPECT_EQ(limits.session.subscriptions, 20u);
    EXPECT_EQ(limits.session.heap_bytes, MiB);
    EXPECT_EQ(limits.session.direct_bytes, 64 * MiB);
    EXPECT_EQ(limits.session.max_uncommitted, 5 * MiB);
    EXPECT_EQ(limits.user.sessions, 100u);
    EXPECT_EQ(limits.user.lanes, 0u);
    EXPECT_EQ(limits.user.heap_bytes, 16 * MiB);
    EXPECT_EQ(limits.user.direct_bytes, 100 * MiB);
    const Policy orders = config->policies.policy_of("queue://orders.eu");
    EXPECT_EQ(orders.limit, 256 * MiB / 10 / 4096 * 4096);
    EXPECT_EQ(orders.fail_after_ns, 500'000'000u);
    EXPECT_EQ(orders.rate_bytes, 100 * MiB);
    EXPECT_EQ(orders.rate_messages, 50'000u);
    const Policy news = config->policies.policy_of("topic://news");
    EXPECT_EQ(news.slow_subscriber, SlowSubscriber::drop_oldest);
    EXPECT_EQ(news.max_consumers, 7u);
}

TEST_F(ConfigTest, LimitsThatCannotHoldAreRefusedWithTheirLines) {
    const std::string path = folder_ + "/weir.toml";
    const auto refused = [&](const std::string& text) {
        auto settings = read_config_file(file("[memory]\ndirect = \"256MiB\"\n" + text));
        if (!settings) return "not read: " + settings.error().sentence;
        return refusal(*settings, StartFailure::usage);
    };
    const std::string both = refused("[flow-to-disk]\nthreshold = \"60%\"\nresume = \"70%\"\n");
    EXPECT_TRUE(holds(both, path + ":5: resume = 70%: it is above the threshold")) << both;
    EXPECT_TRUE(holds(both, path + ":4: threshold = 60%")) << both;
    EXPECT_TRUE(holds(refused("[flow-to-disk]\nresume = \"80%\"\n"), "(by default)"));
    EXPECT_TRUE(holds(refused("[flow-to-disk]\nthreshold = \"257MiB\"\n"), path + ":4: "));
    EXPECT_TRUE(holds(refused("[flow-to-disk]\nlimit = \"0%\"\n"), path + ":4: "));
    EXPECT_TRUE(holds(refused("[flow-to-disk]\nlimit = \"101%\"\n"), path + ":4: "));
    EXPECT_TRUE(holds(refused("[flow-to-disk]\ndwell = \"5MiB\"\n"), path + ":4: "));
    EXPECT_TRUE(holds(refused("producer-part = \"100%\"\n"), path + ":3: "));
    EXPECT_TRUE(holds(refused("producer-part = \"0%\"\n"), path + ":3: "));
    EXPECT_TRUE(holds(refused("[session]\ndirect = \"300MiB\"\n"), path + ":4: "));
    EXPECT_TRUE(holds(refused("[session]\nlanes = 0\n"), path + ":4: "));
    EXPECT_TRUE(holds(refused("[session]\nheap = \"1K\"\n"), path + ":4: "));
    EXPECT_TRUE(holds(refused("[session]\nmax-uncommitted = \"257MiB\"\n"), path + ":4: "));
    const std::string parent =
        refused("[session]\ndirect = \"20MiB\"\n[user]\ndirect = \"10MiB\"\n");
    EXPECT_TRUE(holds(parent, path + ":4: direct = 20MiB: a session's limit is over that of its"));
    EXPECT_TRUE(holds(parent, path + ":6: direct = 10MiB")) << parent;
    EXPECT_TRUE(holds(refused("[session]\nlanes = 5\n[user]\nlanes = 4\n"), path + ":4: "));
    EXPECT_TRUE(holds(refused("[[policy]]\nmatch = \"a\"\nlimit = \"300MiB\"\n"), path + ":5: "));
}

TEST_F(ConfigTest, ALowerThresholdBringsItsResumeMarkAlong) {
    FlowOptions flow;
    EXPECT_EQ(flow_threshold(flow, 100 * MiB), 75 * MiB);
    EXPECT_NEAR(static_cast<double>(flow_resume(flow, 100 * MiB)), 70.0 * MiB, 100);
    Settings settings;
    settings.direct = option("--direct", "100M");
    settings.flow_threshold = option("--flow-threshold", "30%");
    auto config = configure(settings, usual);
    ASSERT_TRUE(config) << config.error().sentence;
    EXPECT_EQ(config->limits.flow.threshold_bytes, 30 * MiB);
    EXPECT_LT(flow_resume(config->limits.flow, 100 * MiB), 30 * MiB);
}

// A policy of the file is held against what the command line makes of the memory.
TEST_F(ConfigTest, AnOptionThatMakesAPolicyOfTheFileImpossibleIsRefusedWithItsLine) {
    auto settings = read_config_file(file("[[policy]]\nmatch = \"a\"\nlimit = \"64MiB\"\n"));
    ASSERT_TRUE(settings);
    settings->direct = option("--direct", "32M");
    EXPECT_TRUE(holds(refusal(*settings, StartFailure::usage),
                      ":3: limit = 64MiB: more than the direct memory, 32 MiB"));
}

TEST_F(ConfigTest, AFileThatIsNotThereIsRefusedWithTheCure) {
    auto settings = read_config_file(folder_ + "/none.toml");
    ASSERT_FALSE(settings);
    EXPECT_TRUE(holds(settings.error().sentence, "none.toml")) << settings.error().sentence;
    EXPECT_TRUE(holds(settings.error().sentence, "--config")) << settings.error().sentence;
}

TEST_F(ConfigTest, ASpillDirectoryMustBeWritableOrCreatable) {
    Settings settings;
    settings.spill_dir = option("--spill-dir", folder_ + "/a/b");
    auto config = configure(settings, usual);
    ASSERT_TRUE(config) << config.error().sentence;
    EXPECT_EQ(config->limits.flow.directory, folder_ + "/a/b");
    EXPECT_FALSE(std::filesystem::exists(folder_ + "/a")) << "judging must leave no trace";
    EXPECT_FALSE(config->limits.flow.by_default);
    settings.spill_dir = option("--spill-dir", "none");
    EXPECT_EQ(configure(settings, usual)->limits.flow.directory, "");
    settings.spill_dir.reset();
    const FlowOptions nobodys = configure(settings, usual)->limits.flow;
    EXPECT_TRUE(nobodys.by_default);
    EXPECT_EQ(nobodys.directory, ::getuid() == 0 ? "/var/lib/weir/spill"
                                                 : "/var/tmp/weir-" + std::to_string(::getuid()));
    setenv("XDG_STATE_HOME", folder_.c_str(), 1);
    EXPECT_EQ(configure(settings, usual)->limits.flow.directory, folder_ + "/weir/spill");
    unsetenv("XDG_STATE_HOME");
    settings.spill_dir = option("--spill-dir", file("") + "/below-a-file");
    EXPECT_TRUE(holds(refusal(settings, StartFailure::usage), "is not a directory"));
    settings.spill_dir = option("--spill-dir", "/proc/nowhere");
    if (::getuid() != 0) refusal(settings, StartFailure::usage);
}

}  // namespace
}  // namespace weir::broker
