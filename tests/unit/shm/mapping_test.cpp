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
#include <cstdint>
#include <fstream>
#include <set>
#include <string>

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

constexpr std::uint64_t mebibyte = 1024 * 1024;

TEST(Mapping, BeginsAtAMultipleOfAHugePageFromOneOn) {
    const auto file = make_memory_file("weir-test", 9 * mebibyte, false);
    ASSERT_TRUE(file);
    for (const std::uint64_t bytes : {2 * mebibyte, 3 * mebibyte + 5, 9 * mebibyte}) {
        // The second one cannot lie where the first would have been.
        const auto first = Mapping::map(file->get(), bytes, Access::read_write);
        const auto second = Mapping::map(file->get(), bytes, Access::read_only);
        ASSERT_TRUE(first && second) << bytes;
        for (const Mapping* mapping : {&*first, &*second}) {
            EXPECT_EQ(mapping->bytes(), bytes);
            EXPECT_EQ(reinterpret_cast<std::uintptr_t>(mapping->data()) % huge_page_bytes, 0u);
            EXPECT_EQ(mapping->data()[bytes - 1], std::byte{0});
        }
    }
}

TEST(Mapping, OfAHugePageAndMoreThatIsRefusedLeavesNoAddressSpaceBehind) {
    const auto areas = [] {
        std::ifstream maps("/proc/self/maps");
        std::set<std::string> ranges;
        for (std::string line; std::getline(maps, line);)
            if (line.find(" ---p ") != std::string::npos) ranges.insert(line);
        return ranges;
    };
    const auto file = make_memory_file("weir-test", 4 * mebibyte, false);
    ASSERT_TRUE(file);
    const auto reader = reopen_read_only(file->get());
    ASSERT_TRUE(reader);
    const auto before = areas();
    EXPECT_FALSE(Mapping::map(reader->get(), 4 * mebibyte, Access::read_write));
    EXPECT_EQ(areas(), before);
    { const auto mapping = Mapping::map(file->get(), 3 * mebibyte, Access::read_write); }
    EXPECT_EQ(areas(), before);
}

TEST(MemoryFile, IsAllocatedWholeWithHugePagesOrWithout) {
    const auto file = make_memory_file("weir-test", 8 * mebibyte, false);
    ASSERT_TRUE(file);
    const auto mapping = Mapping::map(file->get(), 8 * mebibyte, Access::read_write);
    ASSERT_TRUE(mapping);
    // In there lie two whole huge pages and half of one on each side.
    const auto huge = allocate_memory(file->get(), *mapping, mebibyte, 6 * mebibyte);
    ASSERT_TRUE(huge) << huge.error().sentence;
    struct stat status {};
    ASSERT_EQ(fstat(file->get(), &status), 0);
    EXPECT_EQ(status.st_blocks * 512, 6 * static_cast<std::int64_t>(mebibyte));
    for (std::uint64_t at = mebibyte; at < 7 * mebibyte; at += 4096)
        ASSERT_EQ(mapping->data()[at], std::byte{0}) << at;
    std::ifstream smaps("/proc/self/smaps");
    std::uint64_t mapped = 0;
    for (std::string line; std::getline(smaps, line);)
        if (line.rfind("ShmemPmdMapped:", 0) == 0) mapped += std::stoull(line.substr(15)) * 1024;
    EXPECT_EQ(mapped, *huge) << "it says more than there is, or less";
    if (*huge == 0) GTEST_SKIP() << "the kernel gives no huge pages";
    EXPECT_EQ(*huge, 4 * mebibyte);
}

TEST(MemoryFile, MoreThanThereIsIsRefusedBeforeItIsTaken) {
    const std::uint64_t bytes = memory_available() + 64 * mebibyte;
    const auto file = make_memory_file("weir-test", bytes, false);
    ASSERT_TRUE(file);
    const auto mapping = Mapping::map(file->get(), bytes, Access::read_write);
    ASSERT_TRUE(mapping);
    const auto huge = allocate_memory(file->get(), *mapping, 0, bytes);
    ASSERT_FALSE(huge);
    EXPECT_EQ(huge.error().code, MemoryError::out_of_memory);
    struct stat status {};
    ASSERT_EQ(fstat(file->get(), &status), 0);
    EXPECT_EQ(status.st_blocks, 0);
}

TEST(MemoryAvailable, IsMoreThanNothingAndLessThanEverything) {
    EXPECT_GT(memory_available(), std::uint64_t{1} << 20);
    EXPECT_LT(memory_available(), std::uint64_t{1} << 50);
}

}  // namespace
}  // namespace weir
