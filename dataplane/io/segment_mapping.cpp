// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/segment_mapping.hpp"

#include "dataplane/wire/snapshot.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <cerrno>
#include <cstring>

namespace fairlead::io {

namespace {

constexpr int kSealsNeeded = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

/// The longest segment that snapshot.h allows: a rows segment.
constexpr std::size_t kSizeMax = sizeof(wire::SegmentHeader) + std::size_t{wire::kRowCountMax} * (1 + wire::kAlternateCount) * sizeof(wire::u16);

} // namespace

Result<SegmentMapping> SegmentMapping::map(int descriptor) {
    const int seals = ::fcntl(descriptor, F_GET_SEALS);
    if (seals < 0) return std::unexpected("not a memory file that can be sealed");
    if ((seals & kSealsNeeded) != kSealsNeeded)
        return std::unexpected(fmt::format("not sealed: has seals {:#x}, needs {:#x} (write, shrink, grow, seal)", seals, kSealsNeeded));
    // On hugetlbfs a hole that cannot be filled kills who reads it.
    struct statfs filesystem{};
    if (::fstatfs(descriptor, &filesystem) != 0 || filesystem.f_type != TMPFS_MAGIC)
        return std::unexpected("not a memory file of ordinary pages");
    struct stat status{};
    if (::fstat(descriptor, &status) != 0) return std::unexpected(fmt::format("no size: {}", std::strerror(errno)));
    const auto size = static_cast<std::size_t>(status.st_size);
    if (size < sizeof(wire::SegmentHeader) || size > kSizeMax)
        return std::unexpected(fmt::format("{} bytes; a segment has {} to {}", size, sizeof(wire::SegmentHeader), kSizeMax));
    // Private, since kernels before 6.7 refuse a shared mapping of a write-sealed file that was opened for writing.
    // It is never written, so it is the file's own pages. Populated, so that no worker takes a page fault.
    void *address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, descriptor, 0);
    if (address == MAP_FAILED) return std::unexpected(fmt::format("cannot map {} bytes: {}", size, std::strerror(errno)));
    return SegmentMapping({static_cast<const std::byte *>(address), size});
}

SegmentMapping::~SegmentMapping() {
    if (!bytes_.empty()) ::munmap(const_cast<std::byte *>(bytes_.data()), bytes_.size());
}

} // namespace fairlead::io
