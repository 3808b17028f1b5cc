// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/memory_supply.hpp"

#include "dataplane/io/table_memory.hpp"
#include "tests/unit/io/machine_files.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace fairlead::io {
namespace {

using namespace test;

MemoryNeed need(std::size_t bytes) { return {.eal = {{bytes}}}; }

/// A machine with so many free pages of 2 MB and of 1 GB.
MemorySupply supply(std::size_t small, std::size_t large, std::size_t bytes_available = 512 * kMegabyte) {
    return {.hugepages = {{.page_bytes = kSmallPage, .bytes_free = small * kSmallPage, .bytes_set = small * kSmallPage},
                          {.page_bytes = kGigabyte, .bytes_free = large * kGigabyte, .bytes_set = large * kGigabyte}},
            .bytes_available = bytes_available};
}
MemorySupply supply(std::size_t small) {
    auto one = supply(small, 0);
    one.hugepages.pop_back();
    return one;
}

const TablePlace kTmpfs{.directory = "/tmpfs"};

TEST(MemorySupply, KnowsFreeHugepagesBySize) {
    const test::TemporaryDirectory root;
    write_file(root.path() / "sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "3");
    write_file(root.path() / "sys/kernel/mm/hugepages/hugepages-1048576kB/free_hugepages", "1");
    write_file(root.path() / "sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages", "2");
    write_file(root.path() / "proc/meminfo", "MemTotal: 100 kB\nMemAvailable:    2048 kB");
    const auto supply = MemorySupply::read(root.path() / "sys", root.path() / "proc");
    ASSERT_EQ(supply.hugepages.size(), 2U);
    EXPECT_EQ(supply.hugepages[0].page_bytes, kSmallPage);
    EXPECT_EQ(supply.hugepages[0].bytes_free, 6 * kMegabyte);
    EXPECT_EQ(supply.hugepages[1].page_bytes, kGigabyte);
    EXPECT_EQ(supply.hugepages[1].bytes_free, kGigabyte);
    EXPECT_EQ(supply.hugepages[1].bytes_set, 2 * kGigabyte);
    EXPECT_EQ(supply.hugepage_bytes_free(), 1030 * kMegabyte);
    EXPECT_EQ(supply.bytes_available, 2 * kMegabyte);
}

TEST(MemorySupply, IsNothingWhereTheKernelSaysNothing) {
    const test::TemporaryDirectory root;
    const auto supply = MemorySupply::read(root.path(), root.path());
    EXPECT_EQ(supply.hugepage_bytes_free(), 0U);
    EXPECT_EQ(supply.bytes_available, 0U);
}

TEST(MemorySupply, HugepagesAreUsedWhereEnoughAreFree) {
    EXPECT_TRUE(choose_memory(HugepageUse::kAuto, need(64 * kMegabyte), supply(32)).value().hugepages);
    EXPECT_FALSE(choose_memory(HugepageUse::kAuto, need(65 * kMegabyte), supply(32)).value().hugepages);
    EXPECT_FALSE(choose_memory(HugepageUse::kOff, need(kMegabyte), supply(32)).value().hugepages);
    EXPECT_TRUE(choose_memory(HugepageUse::kOn, need(kMegabyte), supply(32)).value().hugepages);
}

TEST(MemorySupply, WhatLacksIsSaidWithBothNumbers) {
    const auto on = choose_memory(HugepageUse::kOn, need(65 * kMegabyte), supply(32));
    ASSERT_FALSE(on);
    EXPECT_NE(on.error().find("needs 66 MB of hugepages, 64 MB are free"), std::string::npos) << on.error();
    const auto off = choose_memory(HugepageUse::kAuto, need(513 * kMegabyte), supply(32));
    ASSERT_FALSE(off);
    EXPECT_NE(off.error().find("needs 513 MB of memory, 512 MB are available"), std::string::npos) << off.error();
}

TEST(MemorySupply, EveryPieceTakesWholePages) {
    const MemoryNeed two{.eal = {{kMegabyte}}, .tables = {{3 * kMegabyte}}};
    EXPECT_EQ(two.hugepage_bytes(kSmallPage), 6 * kMegabyte);
    EXPECT_EQ(two.hugepage_bytes(kSmallPage, {true}), 2 * kMegabyte);
    EXPECT_EQ(two.hugepage_bytes(kGigabyte), 2 * kGigabyte);
    EXPECT_EQ(two.memory_bytes(), 4 * kMegabyte);
    EXPECT_EQ(choose_memory(HugepageUse::kOn, two, supply(2), {{kSmallMount}}).error(),
              "needs 6 MB of hugepages, 4 MB are free (3 pages of 2 MB, 2 are free); set vm.nr_hugepages, or --hugepages auto");
}

TEST(MemorySupply, WhatIsThereIsAskedForNoMoreInItsKindOfMemory) {
    const MemoryNeed need{.eal = {{4 * kMegabyte}}, .tables = {{3 * kMegabyte}}};
    auto mount = kSmallMount, tmpfs = kTmpfs;
    tmpfs.is_there = {true}; // hugepages were off
    EXPECT_EQ(choose_memory(HugepageUse::kOn, need, supply(2, 0, 4 * kMegabyte), {{mount}}, {{tmpfs}}).error(),
              "needs 8 MB of hugepages, 4 MB are free (4 pages of 2 MB, 2 are free); set vm.nr_hugepages, or --hugepages auto");
    EXPECT_FALSE(choose_memory(HugepageUse::kOff, need, supply(2, 0, 4 * kMegabyte), {{mount}}, {{tmpfs}}).value().hugepages);
    mount.is_there = {true};
    tmpfs.is_there = {};
    EXPECT_TRUE(choose_memory(HugepageUse::kOn, need, supply(2, 0, 4 * kMegabyte), {{mount}}, {{tmpfs}}).value().hugepages);
    EXPECT_FALSE(choose_memory(HugepageUse::kOff, need, supply(2, 0, 4 * kMegabyte), {{mount}}, {{tmpfs}})) << "hugepages were on, and their tables are only inherited";
}

TEST(MemorySupply, ANicGetsHugepagesUnlessTheyAreTurnedOff) {
    const MemoryNeed need{.eal = {{kMegabyte}}, .nic = true};
    EXPECT_FALSE(choose_memory(HugepageUse::kAuto, need, supply(0)));
    EXPECT_FALSE(choose_memory(HugepageUse::kOff, need, supply(0)).value().hugepages);
}

TEST(MemorySupply, TablesGoToTheSmallestPagesOfWhichEnoughAreFree) {
    const MemoryNeed need{.eal = {{30 * kMegabyte}}, .tables = {{20 * kMegabyte}, {38 * kMegabyte}}};
    const std::vector mounts{kSmallMount, kLargeMount};
    const auto chosen = [&](const MemorySupply &supply) {
        const auto choice = choose_memory(HugepageUse::kOn, need, supply, mounts);
        return choice ? choice->place.directory.string() : choice.error();
    };
    EXPECT_EQ(chosen(supply(44, 3)), "/small");
    EXPECT_EQ(chosen(supply(0, 3)), "/large");
    EXPECT_EQ(chosen(supply(10, 3)), "/large") << "DPDK takes one of the large ones";
    EXPECT_EQ(chosen(supply(15, 2)), "/large") << "DPDK takes all of the small ones";
    EXPECT_EQ(chosen(supply(0, 2)), "needs 3072 MB of hugepages, 2048 MB are free (3 pages of 1024 MB, 2 are free); "
                                    "scripts/host.sh hugepages --memory 3072M --size 1G, or --hugepages auto");
    EXPECT_EQ(chosen(supply(10, 1)), "needs 88 MB of hugepages, 20 MB are free (44 pages of 2 MB, 10 are free; or 3 pages of 1024 MB, 1 are free); "
                                     "set vm.nr_hugepages, or --hugepages auto");
    EXPECT_EQ(chosen(supply(29, 1)), "needs 88 MB of hugepages, 58 MB are free (44 pages of 2 MB, 29 are free; or 3 pages of 1024 MB, 1 are free); "
                                     "set vm.nr_hugepages, or --hugepages auto") << "which would do for the tables, but DPDK takes 15 of them";
}

TEST(MemorySupply, PagesThatNoTableCanHaveDoForDpdkAlone) {
    const MemoryNeed need{.eal = {{30 * kMegabyte}}, .tables = {{58 * kMegabyte}}};
    EXPECT_TRUE(choose_memory(HugepageUse::kOn, need, supply(29, 0), {{kSmallMount}}).error().find("(44 pages of 2 MB, 29 are free)") != std::string::npos);
    EXPECT_FALSE(choose_memory(HugepageUse::kOn, need, supply(29, 1), {{kSmallMount}})) << "DPDK takes small ones while they do";
    EXPECT_EQ(choose_memory(HugepageUse::kOn, need, supply(0, 9), {{kSmallMount}}).error(),
              "needs 88 MB of hugepages, 0 MB are free (44 pages of 2 MB, 0 are free; 9 pages of 1024 MB are free, but no hugetlbfs of theirs can be written to); "
              "set vm.nr_hugepages, or --hugepages auto");
    const MemoryNeed more{.eal = {{60 * kMegabyte}}, .tables = {{58 * kMegabyte}}};
    EXPECT_EQ(choose_memory(HugepageUse::kOn, more, supply(29, 1), {{kSmallMount}}).value().place.directory, "/small") << "DPDK takes the large one";
}

TEST(MemorySupply, DpdkFillsLargePagesBeforeItTakesSmallOnes) {
    const MemoryNeed need{.eal = {{kGigabyte + 6 * kMegabyte}}, .tables = {{4 * kMegabyte}}};
    EXPECT_TRUE(choose_memory(HugepageUse::kOn, need, supply(5, 1), {{kSmallMount}}));
    EXPECT_FALSE(choose_memory(HugepageUse::kOn, need, supply(4, 1), {{kSmallMount}}));
    EXPECT_TRUE(choose_memory(HugepageUse::kOn, need, supply(2, 2), {{kSmallMount}})) << "small ones would not do for the rest";
    EXPECT_FALSE(choose_memory(HugepageUse::kOn, need, supply(3, 2), {{kSmallMount}})) << "now they do, and are gone";
}

TEST(MemorySupply, WhereTablesWillLieDecidesOfWhichMemoryTheyAre) {
    const MemoryNeed need{.eal = {{30 * kMegabyte}}, .tables = {{58 * kMegabyte}}, .nic = true};
    const std::vector tmpfs{kTmpfs}, mount{kSmallMount};
    EXPECT_TRUE(choose_memory(HugepageUse::kOn, need, supply(15, 0, 58 * kMegabyte), tmpfs, tmpfs).value().hugepages);
    EXPECT_EQ(choose_memory(HugepageUse::kOn, need, supply(14), tmpfs, tmpfs).error(),
              "needs 30 MB of hugepages, 28 MB are free (15 pages of 2 MB, 14 are free); set vm.nr_hugepages, or --hugepages off");
    EXPECT_EQ(choose_memory(HugepageUse::kOn, need, supply(15, 0, 57 * kMegabyte), tmpfs, tmpfs).error(),
              "needs 58 MB of memory, 57 MB are available; fewer ports, workers or --connections");
    EXPECT_EQ(choose_memory(HugepageUse::kOff, need, supply(15, 0, 87 * kMegabyte), tmpfs, tmpfs).error(),
              "needs 88 MB of memory, 87 MB are available; fewer ports, workers or --connections");
    EXPECT_TRUE(choose_memory(HugepageUse::kOff, need, supply(29, 0, 30 * kMegabyte), mount, mount)) << "--table-directory names hugepages";
    EXPECT_EQ(choose_memory(HugepageUse::kOff, need, supply(28, 0, 30 * kMegabyte), mount, mount).error(),
              "needs 58 MB of hugepages, 56 MB are free (29 pages of 2 MB, 28 are free); set vm.nr_hugepages, or another --table-directory");
}

TEST(MemorySupply, AFilesystemMayGrantLessThanThereIs) {
    const MemoryNeed need{.eal = {{kMegabyte}}, .tables = {{57 * kMegabyte}}};
    auto mount = kSmallMount, tmpfs = kTmpfs;
    mount.bytes_free = tmpfs.bytes_free = 57 * kMegabyte;
    EXPECT_TRUE(choose_memory(HugepageUse::kOff, need, supply(0), {}, {{tmpfs}}));
    EXPECT_EQ(choose_memory(HugepageUse::kOn, need, supply(99), {{mount}}).error(),
              "needs 58 MB in /small, 57 MB are free there; fewer --connections, another --table-directory, or --forget");
    EXPECT_EQ(choose_memory(HugepageUse::kOn, need, supply(99, 1), {{mount, kLargeMount}}).value().place.directory, "/large");
    tmpfs.bytes_free -= 1;
    EXPECT_FALSE(choose_memory(HugepageUse::kOff, need, supply(0), {}, {{tmpfs}}));
    tmpfs.is_there = {true};
    EXPECT_TRUE(choose_memory(HugepageUse::kOff, need, supply(0), {}, {{tmpfs}}));
}

TEST(MemorySupply, AProcesssOwnTablesAreOfPagesOfAnySize) {
    const MemoryNeed need{.eal = {{30 * kMegabyte}}, .tables = {{58 * kMegabyte}}};
    EXPECT_EQ(choose_memory(HugepageUse::kOn, need, supply(44, 1)).value().place.page_bytes, kSmallPage);
    EXPECT_EQ(choose_memory(HugepageUse::kOn, need, supply(0, 2)).value().place.page_bytes, kGigabyte);
    EXPECT_EQ(choose_memory(HugepageUse::kOff, need, supply(44, 2)).value().place.page_bytes, 0U);
}

TEST(TableMemory, IsZeroAlignedAndWritable) {
    const auto memory = TableMemory::allocate(100, false);
    ASSERT_TRUE(memory) << memory.error();
    EXPECT_GE(memory->bytes().size(), 100U);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory->bytes().data()) % 64, 0U);
    EXPECT_TRUE(std::ranges::all_of(memory->bytes(), [](std::byte b) { return b == std::byte{0}; }));
    std::ranges::fill(memory->bytes(), std::byte{1});
}

TEST(TableMemory, WhereNoSuchHugepagesAreFreeOtherMemoryDoes) {
    for (const std::size_t page_bytes : {std::size_t{0}, kSmallPage, kGigabyte}) {
        const auto memory = TableMemory::allocate(100, page_bytes);
        ASSERT_TRUE(memory) << memory.error();
        std::ranges::fill(memory->bytes(), std::byte{1});
    }
}

TEST(TableMemory, WhatCannotBeIsAnError) { EXPECT_FALSE(TableMemory::allocate(std::size_t{1} << 60, false)); }

} // namespace
} // namespace fairlead::io
