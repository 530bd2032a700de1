// SPDX-License-Identifier: Apache-2.0
//
// Sealed memory files: allocated, shared, and out of reach of whoever would shrink or write them.
#include "shm/mapping.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace weir {
namespace {

TEST(MemoryFile, IsAllocatedZeroedAndShared) {
    const auto file = make_memory_file("weir-test", 64 * 1024);
    ASSERT_TRUE(file) << file.error().sentence;
    struct stat status {};
    ASSERT_EQ(fstat(file->get(), &status), 0);
    EXPECT_EQ(status.st_size, 64 * 1024);
    EXPECT_GE(status.st_blocks * 512, 64 * 1024) << "handed out without being allocated";
    auto one = Mapping::map(file->get(), 64 * 1024, Access::read_write);
    auto other = Mapping::map(file->get(), 64 * 1024, Access::read_only);
    ASSERT_TRUE(one && other);
    EXPECT_EQ(one->data()[100], std::byte{0});
    one->data()[100] = std::byte{42};
    EXPECT_EQ(other->data()[100], std::byte{42});
}

TEST(MemoryFile, CannotBeShrunkOrGrownByWhoeverHoldsIt) {
    const auto file = make_memory_file("weir-test", 8192);
    ASSERT_TRUE(file);
    EXPECT_EQ(ftruncate(file->get(), 4096), -1);
    EXPECT_EQ(errno, EPERM);
    EXPECT_EQ(ftruncate(file->get(), 1 << 20), -1);
    EXPECT_EQ(errno, EPERM);
    EXPECT_EQ(fcntl(file->get(), F_ADD_SEALS, F_SEAL_WRITE), -1) << "the seals are sealed";
}

TEST(MemoryFile, ItsReadOnlyDescriptorCannotBeMappedForWriting) {
    const auto file = make_memory_file("weir-test", 4096);
    ASSERT_TRUE(file);
    const auto reader = reopen_read_only(file->get());
    ASSERT_TRUE(reader) << reader.error().sentence;
    EXPECT_TRUE(Mapping::map(reader->get(), 4096, Access::read_only));
    EXPECT_FALSE(Mapping::map(reader->get(), 4096, Access::read_write));
}

TEST(MemoryFile, IsNotInheritedAcrossExec) {
    const auto file = make_memory_file("weir-test", 4096);
    ASSERT_TRUE(file);
    EXPECT_TRUE(fcntl(file->get(), F_GETFD) & FD_CLOEXEC);
}

TEST(MemoryFile, MappingMoreThanThereIsIsAnErrorAndNotADeathLater) {
    const auto file = make_memory_file("weir-test", 4096);
    ASSERT_TRUE(file);
    const auto mapping = Mapping::map(file->get(), 8192, Access::read_only);
    ASSERT_FALSE(mapping);
    EXPECT_EQ(mapping.error().code, MemoryError::too_small);
}

TEST(MemoryFile, MoreThanTheAddressSpaceIsRefusedWithASentence) {
    const auto file = make_memory_file("weir-test", std::uint64_t{1} << 62);
    ASSERT_FALSE(file);
    EXPECT_NE(file.error().sentence, "");
}

TEST(MemoryAvailable, IsMoreThanNothingAndLessThanEverything) {
    EXPECT_GT(memory_available(), std::uint64_t{1} << 20);
    EXPECT_LT(memory_available(), std::uint64_t{1} << 50);
}

}  // namespace
}  // namespace weir
