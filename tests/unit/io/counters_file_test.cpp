// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/counters_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>

namespace fairlead::io {
namespace {

TEST(CountersFile, IsLaidOutAsTheHeaderSays) {
    const auto file = CountersFile::create(3);
    ASSERT_TRUE(file) << file.error();
    const auto &header = file->header();
    EXPECT_EQ(header.magic, FAIRLEAD_COUNTERS_MAGIC);
    EXPECT_EQ(header.abi, static_cast<wire::u32>(wire::kCountersAbi));
    EXPECT_EQ(header.worker_count, 3U);
    EXPECT_EQ(header.size, file->size());
    EXPECT_GT(header.started_unix_ns, 0U);
    EXPECT_EQ(header.worker_offset % 64, 0U);
    EXPECT_EQ(header.worker_stride % 64, 0U);
    EXPECT_GE(header.worker_stride, sizeof(wire::CounterBlock));
    EXPECT_LE(header.worker_offset + 3 * header.worker_stride, header.size);
}

TEST(CountersFile, PortsHaveBlocksOfTheirOwnBeforeTheWorkers) {
    const std::vector<std::string> names{"pci:0000:03:00.0", std::string(100, 'x')};
    const auto file = CountersFile::create(2, names);
    ASSERT_TRUE(file) << file.error();
    EXPECT_EQ(file->header().port_count, 2U);
    EXPECT_LE(file->header().ports_offset + 2 * sizeof(wire::PortCounters), file->header().worker_offset);
    EXPECT_STREQ(file->port(0).name, "pci:0000:03:00.0");
    EXPECT_EQ(std::string(file->port(1).name).size(), sizeof(wire::PortCounters::name) - 1);
    EXPECT_EQ(CountersFile::create(1)->header().ports_offset, 0U);
}

TEST(CountersFile, AReaderSeesWhatAWorkerCounts) {
    const auto file = CountersFile::create(2);
    ASSERT_TRUE(file) << file.error();
    const auto *base = static_cast<const char *>(::mmap(nullptr, file->size(), PROT_READ, MAP_SHARED, file->reader_descriptor(), 0));
    ASSERT_NE(base, MAP_FAILED);
    wire::CounterBlock &block = file->worker(1);
    core::add(block.worker.received_packets, 5);
    core::add(block.service_traffic[wire::kServiceCapacity - 1].packets, 6);
    core::add(block.slot_traffic[wire::kSlotCapacity].bytes, 7);
    core::add(block.services[wire::kServiceCapacity - 1].connections_opened, 8);
    core::add(block.slots[wire::kSlotCapacity].connections_opened, 9);

    const auto &header = *reinterpret_cast<const wire::CountersHeader *>(base);
    const auto &read = *reinterpret_cast<const wire::CounterBlock *>(base + header.worker_offset + header.worker_stride);
    EXPECT_EQ(read.worker.received_packets, 5U);
    EXPECT_EQ(read.service_traffic[wire::kServiceCapacity - 1].packets, 6U);
    EXPECT_EQ(read.slot_traffic[wire::kSlotCapacity].bytes, 7U);
    EXPECT_EQ(read.services[wire::kServiceCapacity - 1].connections_opened, 8U);
    EXPECT_EQ(read.slots[wire::kSlotCapacity].connections_opened, 9U);
    ::munmap(const_cast<char *>(base), file->size());
}

TEST(CountersFile, AReaderCannotWriteEvenByReopening) {
    const auto file = CountersFile::create(1);
    ASSERT_TRUE(file) << file.error();
    EXPECT_EQ(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file->reader_descriptor(), 0), MAP_FAILED);
    const Descriptor reopened(::open(fmt::format("/proc/self/fd/{}", file->reader_descriptor()).c_str(), O_RDWR));
    if (reopened) {
        EXPECT_EQ(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, reopened.get(), 0), MAP_FAILED);
        EXPECT_EQ(::write(reopened.get(), "x", 1), -1);
        EXPECT_EQ(::ftruncate(reopened.get(), 0), -1);
    }
}

TEST(CountersFile, TakesMemoryOnlyForWhatIsUsed) {
    const auto file = CountersFile::create(64);
    ASSERT_TRUE(file) << file.error();
    struct stat status{};
    ASSERT_EQ(::fstat(file->reader_descriptor(), &status), 0);
    EXPECT_GT(status.st_size, 64 << 20);
    EXPECT_LT(status.st_blocks * 512, 64 * 1024);
}

} // namespace
} // namespace fairlead::io
