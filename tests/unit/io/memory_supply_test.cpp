// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/memory_supply.hpp"

#include "dataplane/io/table_memory.hpp"
#include "tests/unit/io/machine_files.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace fairlead::io {
namespace {

using test::kMegabyte;
using test::write_file;

MemoryNeed need(std::size_t bytes) { return {.pieces = {{bytes}}}; }

TEST(MemorySupply, AddsUpFreeHugepagesOfAllSizes) {
    const test::TemporaryDirectory root;
    write_file(root.path() / "sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "3");
    write_file(root.path() / "sys/kernel/mm/hugepages/hugepages-1048576kB/free_hugepages", "1");
    write_file(root.path() / "proc/meminfo", "MemTotal: 100 kB\nMemAvailable:    2048 kB");
    const auto supply = MemorySupply::read(root.path() / "sys", root.path() / "proc");
    EXPECT_EQ(supply.hugepage_bytes_free, 1030 * kMegabyte);
    EXPECT_EQ(supply.bytes_available, 2 * kMegabyte);
}

TEST(MemorySupply, IsNothingWhereTheKernelSaysNothing) {
    const test::TemporaryDirectory root;
    const auto supply = MemorySupply::read(root.path(), root.path());
    EXPECT_EQ(supply.hugepage_bytes_free, 0U);
    EXPECT_EQ(supply.bytes_available, 0U);
}

TEST(MemorySupply, HugepagesAreUsedWhereEnoughAreFree) {
    const MemorySupply supply{.hugepage_bytes_free = 64 * kMegabyte, .bytes_available = 512 * kMegabyte};
    EXPECT_TRUE(choose_hugepages(HugepageUse::kAuto, need(64 * kMegabyte), supply).value());
    EXPECT_FALSE(choose_hugepages(HugepageUse::kAuto, need(65 * kMegabyte), supply).value());
    EXPECT_FALSE(choose_hugepages(HugepageUse::kOff, need(kMegabyte), supply).value());
    EXPECT_TRUE(choose_hugepages(HugepageUse::kOn, need(kMegabyte), supply).value());
}

TEST(MemorySupply, WhatLacksIsSaidWithBothNumbers) {
    const MemorySupply supply{.hugepage_bytes_free = 64 * kMegabyte, .bytes_available = 512 * kMegabyte};
    const auto on = choose_hugepages(HugepageUse::kOn, need(65 * kMegabyte), supply);
    ASSERT_FALSE(on);
    EXPECT_NE(on.error().find("needs 66 MB of hugepages, 64 MB are free"), std::string::npos) << on.error();
    const auto off = choose_hugepages(HugepageUse::kAuto, need(513 * kMegabyte), supply);
    ASSERT_FALSE(off);
    EXPECT_NE(off.error().find("needs 513 MB of memory, 512 MB are available"), std::string::npos) << off.error();
}

TEST(MemorySupply, EveryPieceTakesWholePages) {
    const MemoryNeed two{.pieces = {{kMegabyte}, {3 * kMegabyte}}};
    EXPECT_EQ(two.hugepage_bytes(2 * kMegabyte), 6 * kMegabyte);
    EXPECT_EQ(two.memory_bytes(), 4 * kMegabyte);
    const MemorySupply one_short{.hugepage_bytes_free = 4 * kMegabyte, .bytes_available = 512 * kMegabyte};
    EXPECT_EQ(choose_hugepages(HugepageUse::kOn, two, one_short).error(),
              "needs 6 MB of hugepages, 4 MB are free (3 pages of 2 MB, 2 are free); set vm.nr_hugepages, or --hugepages auto");
}

TEST(MemorySupply, WhatIsThereIsAskedForNoMoreInItsKindOfMemory) {
    const MemorySupply supply{.hugepage_bytes_free = 4 * kMegabyte, .bytes_available = 4 * kMegabyte};
    MemoryNeed need{.pieces = {{4 * kMegabyte}, {3 * kMegabyte}}};
    need.pieces[1].has_memory = true; // hugepages were off
    EXPECT_EQ(choose_hugepages(HugepageUse::kOn, need, supply).error(),
              "needs 8 MB of hugepages, 4 MB are free (4 pages of 2 MB, 2 are free); set vm.nr_hugepages, or --hugepages auto");
    EXPECT_FALSE(choose_hugepages(HugepageUse::kOff, need, supply).value());
    need.pieces[1] = {.bytes = 3 * kMegabyte, .has_hugepages = true};
    EXPECT_TRUE(choose_hugepages(HugepageUse::kOn, need, supply).value());
    EXPECT_FALSE(choose_hugepages(HugepageUse::kOff, need, supply)) << "hugepages were on, and their tables are only inherited";
}

TEST(MemorySupply, ANicGetsHugepagesUnlessTheyAreTurnedOff) {
    const MemorySupply none{.hugepage_bytes_free = 0, .bytes_available = 512 * kMegabyte};
    const MemoryNeed need{.pieces = {{kMegabyte}}, .nic = true};
    EXPECT_FALSE(choose_hugepages(HugepageUse::kAuto, need, none));
    EXPECT_FALSE(choose_hugepages(HugepageUse::kOff, need, none).value());
}

TEST(TableMemory, IsZeroAlignedAndWritable) {
    const auto memory = TableMemory::allocate(100, false);
    ASSERT_TRUE(memory) << memory.error();
    EXPECT_GE(memory->bytes().size(), 100U);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory->bytes().data()) % 64, 0U);
    EXPECT_TRUE(std::ranges::all_of(memory->bytes(), [](std::byte b) { return b == std::byte{0}; }));
    std::ranges::fill(memory->bytes(), std::byte{1});
}

TEST(TableMemory, WhatCannotBeIsAnError) { EXPECT_FALSE(TableMemory::allocate(std::size_t{1} << 60, false)); }

} // namespace
} // namespace fairlead::io
