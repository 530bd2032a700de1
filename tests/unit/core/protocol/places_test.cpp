// SPDX-License-Identifier: Apache-2.0
//
// Where a broker's files stand, and which directory it refuses to use.
#include "core/protocol/places.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

namespace weir {
namespace {

class PlacesTest : public testing::Test {
protected:
    void SetUp() override {
        char pattern[] = "/tmp/weir-places-XXXXXX";
        ASSERT_NE(mkdtemp(pattern), nullptr);
        base_ = pattern;
    }
    void TearDown() override { std::filesystem::remove_all(base_); }

    Places places() { return *places_below(base_, "test"); }

    std::string base_;
};

TEST_F(PlacesTest, AllFilesOfABrokerStandInOneDirectory) {
    EXPECT_EQ(places().directory, base_ + "/weir");
    EXPECT_EQ(places().socket, base_ + "/weir/test.sock");
    EXPECT_EQ(places().lock, base_ + "/weir/test.lock");
    EXPECT_EQ(places().start_lock, base_ + "/weir/test.start");
}

TEST_F(PlacesTest, ASocketPathThatDoesNotFitIsRefusedWithTheCure) {
    auto refused = places_below(std::string(100, 'd'), "test");
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().sentence.find("XDG_RUNTIME_DIR"), std::string::npos);
}

TEST_F(PlacesTest, TheNameComesFromTheCallElseTheEnvironmentElseDefault) {
    setenv("WEIR_NAME", "from-environment", 1);
    EXPECT_EQ(broker_name_or_default("given"), "given");
    EXPECT_EQ(broker_name_or_default(""), "from-environment");
    setenv("WEIR_NAME", "NOT A NAME", 1);
    EXPECT_EQ(places_of("").error().code, PlaceError::bad_broker_name);
    unsetenv("WEIR_NAME");
    EXPECT_EQ(broker_name_or_default(""), "default");
}

TEST_F(PlacesTest, AnOrdinaryUserNeedsARuntimeDirectory) {
    if (getuid() == 0) {
        EXPECT_EQ(places_of("x")->socket, "/run/weir/x.sock");
        return;
    }
    for (const char* value : {"", "relative"}) {
        setenv("XDG_RUNTIME_DIR", value, 1);
        EXPECT_EQ(places_of("x").error().code, PlaceError::no_runtime_dir) << value;
    }
}

TEST_F(PlacesTest, TheDirectoryIsMadeForItsOwnerOnly) {
    ASSERT_TRUE(make_directory(places()));
    struct stat status {};
    ASSERT_EQ(stat(places().directory.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0700u);
    EXPECT_TRUE(make_directory(places()));  // again: it is there
}

TEST_F(PlacesTest, ADirectoryThatOthersMayWriteIsRefused) {
    ASSERT_TRUE(make_directory(places()));
    ASSERT_EQ(chmod(places().directory.c_str(), 0770), 0);
    auto refused = make_directory(places());
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().sentence.find("chmod 700"), std::string::npos);
}

TEST_F(PlacesTest, ADirectoryOfSomebodyElseIsRefused) {
    if (getuid() != 0) return;  // only root can give a directory away
    ASSERT_TRUE(make_directory(places()));
    ASSERT_EQ(chown(places().directory.c_str(), 12345, 12345), 0);
    auto refused = make_directory(places());
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().sentence.find("12345"), std::string::npos);
}

TEST_F(PlacesTest, ALinkInItsPlaceIsRefused) {
    const std::string elsewhere = base_ + "/elsewhere";  // good in every other respect
    ASSERT_EQ(mkdir(elsewhere.c_str(), 0700), 0);
    ASSERT_EQ(symlink(elsewhere.c_str(), places().directory.c_str()), 0);
    auto refused = make_directory(places());
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, PlaceError::unusable_dir);
}

}  // namespace
}  // namespace weir
