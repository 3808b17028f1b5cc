// SPDX-License-Identifier: Apache-2.0
#include "controlplane/publish/sealed_segment.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "controlplane/publish/snapshot_builder.hpp"

namespace fairlead::publish {
namespace {

constexpr int kAllSeals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

SegmentBytes rows_of_size(std::size_t count, std::uint64_t id) {
    std::vector<std::uint16_t> rows(count);
    for (std::size_t i = 0; i < count; ++i) rows[i] = static_cast<std::uint16_t>(i % 3);
    return build_rows_segment(id, rows);
}

SealedSegment seal_rows(std::uint64_t id = 7) {
    auto sealed = SealedSegment::seal(rows_of_size(65537, id));
    EXPECT_TRUE(sealed) << sealed.error().format();
    return *std::move(sealed);
}

std::string path_of(int descriptor) { return "/proc/self/fd/" + std::to_string(descriptor); }

TEST(SealedSegment, HoldsWhatWasSealed) {
    const SegmentBytes bytes = rows_of_size(65537, 7);
    const auto sealed = SealedSegment::seal(bytes);
    ASSERT_TRUE(sealed) << sealed.error().format();
    EXPECT_EQ(sealed->id(), 7u);
    EXPECT_EQ(sealed->size(), bytes.size());
    void *mapped = ::mmap(nullptr, bytes.size(), PROT_READ, MAP_SHARED, sealed->descriptor(), 0);
    ASSERT_NE(mapped, MAP_FAILED) << std::strerror(errno);
    EXPECT_EQ(std::memcmp(mapped, bytes.data(), bytes.size()), 0);
    ::munmap(mapped, bytes.size());
}

TEST(SealedSegment, DescriptorIsReadOnlyAndDoesNotOutliveExec) {
    const SealedSegment sealed = seal_rows();
    EXPECT_EQ(::fcntl(sealed.descriptor(), F_GETFL) & O_ACCMODE, O_RDONLY);
    EXPECT_EQ(::fcntl(sealed.descriptor(), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    EXPECT_EQ(::fcntl(sealed.descriptor(), F_GET_SEALS) & kAllSeals, kAllSeals);
}

TEST(SealedSegment, NobodyCanWriteToItThroughADescriptorReopenedForWriting) {
    const SealedSegment sealed = seal_rows();
    const char byte = 1;
    EXPECT_EQ(::write(sealed.descriptor(), &byte, 1), -1);
    EXPECT_EQ(errno, EBADF);

    const Descriptor writable(::open(path_of(sealed.descriptor()).c_str(), O_RDWR | O_CLOEXEC));
    ASSERT_TRUE(writable) << std::strerror(errno); // opening works for its owner: only the seals are in the way
    EXPECT_EQ(::pwrite(writable.get(), &byte, 1, 64), -1);
    EXPECT_EQ(errno, EPERM);
    EXPECT_EQ(::ftruncate(writable.get(), 64), -1);
    EXPECT_EQ(errno, EPERM);
    EXPECT_EQ(::ftruncate(writable.get(), 1 << 20), -1);
    EXPECT_EQ(errno, EPERM);
    EXPECT_EQ(::fallocate(writable.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), -1);
    EXPECT_EQ(errno, EPERM);
    EXPECT_EQ(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, writable.get(), 0), MAP_FAILED);
    EXPECT_EQ(errno, EPERM);
    EXPECT_EQ(::fcntl(writable.get(), F_ADD_SEALS, F_SEAL_FUTURE_WRITE), -1);
    EXPECT_EQ(errno, EPERM);
}

TEST(SealedSegment, AMappingOfItCannotBeMadeWritable) {
    const SealedSegment sealed = seal_rows();
    void *mapped = ::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, sealed.descriptor(), 0);
    ASSERT_NE(mapped, MAP_FAILED);
    EXPECT_EQ(::mprotect(mapped, 4096, PROT_READ | PROT_WRITE), -1);
    EXPECT_EQ(errno, EACCES);
    ::munmap(mapped, 4096);
}

TEST(SealedSegment, RefusesWhatIsNoSegment) {
    EXPECT_FALSE(SealedSegment::seal({}));
    SegmentBytes bytes = rows_of_size(100, 1);
    EXPECT_FALSE(SealedSegment::seal(std::span(bytes).first(sizeof(wire::SegmentHeader) - 1)));
    EXPECT_FALSE(SealedSegment::seal(std::span(bytes).first(bytes.size() - 1)));
    bytes[0] ^= std::byte{1};
    EXPECT_FALSE(SealedSegment::seal(bytes));
}

TEST(SealedSegment, ClosesItsDescriptorOnceWhenMoved) {
    SealedSegment first = seal_rows(1);
    const int number = first.descriptor();
    {
        const SealedSegment second = std::move(first);
        EXPECT_EQ(second.descriptor(), number);
        EXPECT_EQ(::fcntl(number, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    }
    EXPECT_EQ(::fcntl(number, F_GETFD), -1);
}

} // namespace
} // namespace fairlead::publish
