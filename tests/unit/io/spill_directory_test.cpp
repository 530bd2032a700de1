// SPDX-License-Identifier: Apache-2.0
//
// The spill directory at a start, on a real file system.
#include "io/spill_directory.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace weir::io {
namespace {

namespace fs = std::filesystem;

class SpillDirectoryTest : public testing::Test {
protected:
    void SetUp() override {
        std::string pattern = (fs::temp_directory_path() / "weir-spill-XXXXXX").string();
        ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
        root_ = pattern;
    }
    void TearDown() override { fs::remove_all(root_); }
    void put(const std::string& name) { std::ofstream(root_ / name) << std::string(5000, 'x'); }

    fs::path root_;
};

TEST_F(SpillDirectoryTest, IsMadeWithThoseAboveIt) {
    const fs::path deep = root_ / "a" / "b" / "c";
    const auto opened = open_spill_directory(deep.string());
    ASSERT_TRUE(opened) << opened.error().sentence;
    EXPECT_GT(*opened, 0U);
    EXPECT_TRUE(fs::is_directory(deep));
    EXPECT_EQ(fs::status(deep).permissions(), fs::perms::owner_all);
}

TEST_F(SpillDirectoryTest, TheDefaultOneHasToBeThisUsersAlone) {
    const fs::path own = root_ / "own" / "spill";
    const auto opened = open_default_spill_directory(own.string());
    // Where temporary files are in memory it is refused for that, and for nothing else.
    EXPECT_EQ(static_cast<bool>(opened), !is_in_memory(root_.string()));
    EXPECT_EQ(fs::status(own).permissions(), fs::perms::owner_all);
    const auto refusal = [](const fs::path& path) {
        const auto refused = open_default_spill_directory(path.string());
        return refused ? std::string("none") : refused.error().sentence;
    };
    fs::permissions(own, fs::perms::group_exec, fs::perm_options::add);
    EXPECT_NE(refusal(own).find("open to other users"), std::string::npos);
    fs::create_directory_symlink(root_ / "own", root_ / "link");
    EXPECT_NE(refusal(root_ / "link").find("not a directory"), std::string::npos);
    if (is_in_memory("/dev/shm")) {
        const fs::path memory = fs::path("/dev/shm") / root_.filename();
        EXPECT_NE(refusal(memory).find("is in memory itself"), std::string::npos);
        fs::remove_all(memory);
    }
    if (::geteuid() != 0) return;  // only root can give a directory away
    fs::permissions(own, fs::perms::owner_all);
    ASSERT_EQ(::chown(own.c_str(), 12345, 12345), 0);
    EXPECT_NE(refusal(own).find("belongs to user 12345"), std::string::npos);
}

TEST_F(SpillDirectoryTest, ThatCannotBeMadeSaysWhy) {
    put("file");
    const auto opened = open_spill_directory((root_ / "file" / "below").string());
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code, Trouble::gone);
    EXPECT_NE(opened.error().sentence.find("file/below"), std::string::npos);
}

TEST_F(SpillDirectoryTest, OnlyFilesOfAnEarlierLifeOfTheSameBrokerAreRemoved) {
    for (const char* const name :
         {"orders.0.1.spill", "orders.0.27.spill", "orders.0.spill", "orders.0.x.spill",
          "orders.1.1.spill", "orders-2.0.1.spill", "orders.0.1.spill.txt", "orders.0.3"})
        put(name);
    const LeftFiles left = remove_spill_files(root_.string(), "orders.0");
    EXPECT_EQ(left.files, 2U);
    EXPECT_GE(left.bytes, 10'000U);
    EXPECT_FALSE(fs::exists(root_ / "orders.0.1.spill"));
    EXPECT_FALSE(fs::exists(root_ / "orders.0.27.spill"));
    EXPECT_EQ(std::distance(fs::directory_iterator(root_), fs::directory_iterator()), 6);
}

TEST_F(SpillDirectoryTest, WithoutADirectoryNothingIsLeft) {
    EXPECT_EQ(remove_spill_files((root_ / "none").string(), "orders.0").files, 0U);
}

}  // namespace
}  // namespace weir::io
