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
        file("direct = \"64M\"\nheap = 20971520\nname = \"file\"\nlargest-message = \"1M\"\n"));
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
    EXPECT_TRUE(holds(file_refusal("direct = true\n"), path + ":1: direct is a size"));
    EXPECT_TRUE(holds(file_refusal("\nname = 5\n"), path + ":2: name is a text"));
    EXPECT_TRUE(holds(file_refusal("direct = -1\n"), path + ":1: a size is not negative"));
    EXPECT_TRUE(holds(file_refusal("name = \"a\"\ndirect = \n"), path + ":2: "));
    EXPECT_TRUE(holds(file_refusal("[broker]\nname = \"a\"\n"), path + ":1: \"broker\""));
    // A value that is well-formed but bad is judged later and still names its line.
    auto settings = read_config_file(file("\ndirect = \"12 parsecs\"\n"));
    ASSERT_TRUE(settings);
    EXPECT_TRUE(holds(refusal(*settings, StartFailure::usage), path + ":2: direct = 12 parsecs"));
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
    settings.spill_dir = option("--spill-dir", file("") + "/below-a-file");
    EXPECT_TRUE(holds(refusal(settings, StartFailure::usage), "is not a directory"));
    settings.spill_dir = option("--spill-dir", "/proc/nowhere");
    if (::getuid() != 0) refusal(settings, StartFailure::usage);
}

}  // namespace
}  // namespace weir::broker
