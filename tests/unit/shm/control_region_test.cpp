// SPDX-License-Identifier: Apache-2.0
//
// The named region: made, carved, found by name, refused when it is not what it should be.
#include "shm/control_region.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <vector>

namespace weir {
namespace {

class Control : public ::testing::Test {
protected:
    Control()
        : name("t" + std::to_string(getpid())), limits(limits_for(1 << 22, 16 << 20, 1 << 20)) {}
    ~Control() override { ControlRegion::remove(name); }

    std::string name;
    Limits limits;
};

TEST_F(Control, IsForItsOwnerOnlyAndWhollyAllocated) {
    auto region = ControlRegion::create(name, limits);
    ASSERT_TRUE(region) << region.error().sentence;
    struct stat status {};
    ASSERT_EQ(fstat(region->read_only_fd(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600u);
    EXPECT_GE(static_cast<std::uint64_t>(status.st_blocks) * 512, limits.control_bytes);
}

TEST_F(Control, IsFoundByNameOnceItIsPublished) {
    auto region = ControlRegion::create(name, limits);
    ASSERT_TRUE(region) << region.error().sentence;
    EXPECT_FALSE(ControlRegion::open(name)) << "C3: not before its magic is there";
    region->superblock().epoch = 9;
    region->publish();
    auto found = ControlRegion::open(name);
    ASSERT_TRUE(found) << found.error().sentence;
    EXPECT_EQ(found->view().superblock().epoch, 9u);
    EXPECT_EQ(found->view().limits.lanes, limits.lanes);
    region->lane(limits.lanes - 1).window_bytes.store(77);
    EXPECT_EQ(found->view().lane(limits.lanes - 1).window_bytes.load(), 77u);
    region->page(ref_of_unit(limits.pages - 1)).start.store(78);
    EXPECT_EQ(found->view().pages()[limits.pages - 1].start.load(), 78u);
}

TEST_F(Control, OfOneNameThereIsOne) {
    auto region = ControlRegion::create(name, limits);
    ASSERT_TRUE(region);
    auto second = ControlRegion::create(name, limits);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, MemoryError::exists);
    EXPECT_TRUE(ControlRegion::remove(name));
    auto gone = ControlRegion::open(name);
    ASSERT_FALSE(gone);
    EXPECT_EQ(gone.error().code, MemoryError::not_found);
}

TEST_F(Control, ItsDescriptorForClientsCannotBeMappedForWriting) {
    auto region = ControlRegion::create(name, limits);
    ASSERT_TRUE(region);
    EXPECT_FALSE(Mapping::map(region->read_only_fd(), 4096, Access::read_write));
    EXPECT_TRUE(Mapping::map(region->read_only_fd(), 4096, Access::read_only));
}

TEST_F(Control, TablesDoNotOverlap) {
    auto region = ControlRegion::create(name, limits);
    ASSERT_TRUE(region);
    const Offsets& offsets = region->view().offsets;
    std::vector<std::pair<std::uint64_t, std::uint64_t>> tables = {
        {0, sizeof(Superblock)},
        {offsets.destinations, limits.destinations * sizeof(DestinationSlot)},
        {offsets.lanes, limits.lanes * sizeof(LaneSlot)},
        {offsets.subscriptions, limits.subscriptions * sizeof(SubscriptionSlot)},
        {offsets.sessions, limits.sessions * sizeof(SessionSlot)},
        {offsets.users, limits.users * sizeof(UserSlot)},
        {offsets.pages, limits.pages * sizeof(PageSlot)}};
    std::sort(tables.begin(), tables.end());
    for (std::size_t i = 1; i < tables.size(); ++i)
        EXPECT_LE(tables[i - 1].first + tables[i - 1].second, tables[i].first) << i;
    EXPECT_LE(tables.back().first + tables.back().second, region->bytes());
}

// What a region of another build, a torn one or a forged one looks like.
TEST_F(Control, WhatDoesNotCheckIsRefusedWithItsReason) {
    auto region = ControlRegion::create(name, limits);
    ASSERT_TRUE(region);
    region->publish();
    const auto check = [&] { return ControlView::check(region->data(), region->bytes()); };
    EXPECT_EQ(check(), nullptr);
    Superblock& super = region->superblock();

    super.fingerprint ^= 1;
    EXPECT_THAT(std::string(check()), ::testing::HasSubstr("another build"));
    super.fingerprint ^= 1;
    super.limits.pages = ~std::uint64_t{0} / 2;
    EXPECT_THAT(std::string(check()), ::testing::HasSubstr("tables"));
    super.limits.pages = limits.pages;
    super.offsets.lanes = region->bytes();
    EXPECT_THAT(std::string(check()), ::testing::HasSubstr("tables"));
    super.offsets.lanes = region->view().offsets.lanes;
    super.magic.store(0);
    EXPECT_THAT(std::string(check()), ::testing::HasSubstr("not a broker's"));
    EXPECT_STREQ(ControlView::check(region->data(), 100),
                 "too short to be a broker's control region");
}

TEST(Limits, GrowWithHeapLikeMemoryAndStayInTheirFields) {
    const Limits small = limits_for(1 << 20, 1 << 20, 1 << 18);
    const Limits large = limits_for(std::uint64_t{64} << 30, std::uint64_t{4} << 30, 64 << 20);
    EXPECT_EQ(small.lanes, 256u);
    EXPECT_EQ(large.lanes, lanes_max);
    EXPECT_EQ(large.lanes % 8, 0u);
    EXPECT_GE(small.destinations, 64u);
    EXPECT_GE(small.subscriptions, 128u);
    const Limits usual = limits_for(1 << 20, 16 << 20, 1 << 18);
    EXPECT_EQ(usual.lanes, 1024u);
    EXPECT_EQ(usual.destinations, 256u) << "it pays for no more";
    const Limits many = limits_for(1 << 20, 80 << 20, 1 << 18);
    EXPECT_GE(many.destinations, 10'000u);
    EXPECT_GE(many.lanes, 10'000u);
    EXPECT_GE(many.subscriptions, 10'000u);
    EXPECT_EQ(small.pages, 256u);
}

}  // namespace
}  // namespace weir
