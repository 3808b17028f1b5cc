// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/table_memory.hpp"

#include <fmt/format.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstring>

namespace fairlead::io {

Result<TableMemory> TableMemory::allocate(std::size_t size, bool hugepages) {
    constexpr std::size_t kPage = 2U << 20; // what both kinds of hugepage want on this architecture
    size = (size + kPage - 1) & ~(kPage - 1);
    constexpr int kProtection = PROT_READ | PROT_WRITE;
    constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS;
    void *address = MAP_FAILED;
    if (hugepages) address = ::mmap(nullptr, size, kProtection, kFlags | MAP_HUGETLB, -1, 0);
    if (address == MAP_FAILED) {
        address = ::mmap(nullptr, size, kProtection, kFlags, -1, 0);
        if (address == MAP_FAILED)
            return std::unexpected(fmt::format("cannot get {} MB for connections: {}", size >> 20, std::strerror(errno)));
        (void)::madvise(address, size, MADV_HUGEPAGE); // refused where the kernel has none: slower, not wrong
    }
    return TableMemory({static_cast<std::byte *>(address), size});
}

TableMemory::~TableMemory() {
    if (!bytes_.empty()) ::munmap(bytes_.data(), bytes_.size());
}

} // namespace fairlead::io
