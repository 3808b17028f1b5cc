// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/table_memory.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 // Linux 6.1
#endif

namespace fairlead::io {

namespace {

constexpr std::size_t kHugepage = 2U << 20; // what both kinds of hugepage want on this architecture

constexpr std::size_t round_up(std::size_t size, std::size_t page) { return (size + page - 1) / page * page; }

/// The pages that a directory's files are made of: hugetlbfs knows whole ones only.
std::size_t page_size(const std::filesystem::path &directory) {
    const auto hugepage = hugepage_bytes_of(directory);
    return hugepage != 0 ? hugepage : kTableHeaderSize;
}

std::size_t file_size(const std::filesystem::path &path, std::size_t line_bytes) {
    return round_up(kTableHeaderSize + line_bytes, page_size(path.parent_path()));
}

struct TableFile {
    Descriptor file; ///< locked
    std::size_t size;
};

Result<TableFile> open_own(const std::filesystem::path &path) {
    Descriptor file(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
    if (!file) return cannot("open", path, errno);
    struct stat status{};
    if (::fstat(file.get(), &status) != 0) return cannot("look at", path, errno);
    // Directories of memory are open to everyone: what others have put there is not ours.
    if (!S_ISREG(status.st_mode) || status.st_uid != ::geteuid() || (status.st_mode & 0077) != 0)
        return std::unexpected("not a file of this user's alone");
    if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) return std::unexpected(TableMemory::kInUse);
    const auto size = static_cast<std::size_t>(status.st_size);
    if (size < kTableHeaderSize + 2 * kTableLineSize) return std::unexpected("cut short");
    return TableFile{.file = std::move(file), .size = size};
}

Result<void> check(const TableHeader &header, const std::filesystem::path &path, std::size_t size) {
    if (header.magic != kTableMagic) return std::unexpected("no connection table");
    if (header.layout != kTableLayout) return std::unexpected(fmt::format("of layout {}, not {}", header.layout, kTableLayout));
    if (header.line_count < 2 || header.line_count > ~wire::u32{0} || size != file_size(path, header.line_count * kTableLineSize))
        return std::unexpected("of another size than it says");
    if (header.kind != TableKind::kCompact && header.kind != TableKind::kWide) return std::unexpected("of an unknown kind");
    return {};
}

/// At an address that hugepages want: a tmpfs that is not mounted for them gives any.
void *map_aligned(int file, std::size_t size, std::size_t alignment) {
    void *room = ::mmap(nullptr, size + alignment, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED) return MAP_FAILED;
    const auto begin = reinterpret_cast<std::uintptr_t>(room);
    const auto aligned = round_up(begin, alignment);
    if (aligned != begin) ::munmap(room, aligned - begin);
    ::munmap(reinterpret_cast<void *>(aligned + size), begin + alignment - aligned);
    void *address = ::mmap(reinterpret_cast<void *>(aligned), size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_POPULATE, file, 0);
    if (address == MAP_FAILED) {
        const int error = errno;
        ::munmap(reinterpret_cast<void *>(aligned), size);
        errno = error;
    }
    return address;
}

} // namespace

Filesystem filesystem_of(const std::filesystem::path &directory) {
    struct statfs filesystem{};
    if (::statfs(directory.c_str(), &filesystem) != 0) return Filesystem::kDisk;
    if (filesystem.f_type == HUGETLBFS_MAGIC) return Filesystem::kHugepages;
    return filesystem.f_type == TMPFS_MAGIC || filesystem.f_type == RAMFS_MAGIC ? Filesystem::kMemory : Filesystem::kDisk;
}

std::size_t hugepage_bytes_of(const std::filesystem::path &directory) {
    struct statfs filesystem{};
    if (::statfs(directory.c_str(), &filesystem) != 0 || filesystem.f_type != HUGETLBFS_MAGIC) return 0;
    return static_cast<std::size_t>(filesystem.f_bsize);
}

Result<TableMemory> TableMemory::allocate(std::size_t size, std::size_t hugepage_bytes) {
    const std::size_t total = round_up(kTableHeaderSize + size, std::max(kHugepage, hugepage_bytes));
    constexpr int kProtection = PROT_READ | PROT_WRITE;
    constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS;
    void *address = MAP_FAILED;
    const int size_flag = std::countr_zero(hugepage_bytes) << MAP_HUGE_SHIFT;
    if (hugepage_bytes != 0) address = ::mmap(nullptr, total, kProtection, kFlags | MAP_HUGETLB | size_flag, -1, 0);
    if (address == MAP_FAILED) {
        address = ::mmap(nullptr, total, kProtection, kFlags, -1, 0);
        if (address == MAP_FAILED)
            return std::unexpected(fmt::format("cannot get {} MB for connections: {}", total >> 20, std::strerror(errno)));
        (void)::madvise(address, total, MADV_HUGEPAGE); // refused where the kernel has none: slower, not wrong
    }
    return TableMemory({static_cast<std::byte *>(address), total}, size);
}

Result<TableMemory> TableMemory::map(const std::filesystem::path &path, Descriptor file, std::size_t size) {
    void *address = map_aligned(file.get(), size, std::max(kHugepage, page_size(path.parent_path())));
    if (address == MAP_FAILED) return cannot("map", path, errno);
    if (filesystem_of(path.parent_path()) != Filesystem::kHugepages && size >= kHugepage) {
        // Where the kernel has neither: slower, not wrong.
        (void)::madvise(address, size, MADV_HUGEPAGE);
        (void)::madvise(address, size, MADV_COLLAPSE);
    }
    TableMemory memory({static_cast<std::byte *>(address), size}, 0);
    memory.path_ = path;
    memory.lock_ = std::move(file);
    return memory;
}

Result<TableMemory> TableMemory::create(const std::filesystem::path &path, const TableHeader &header) {
    const std::size_t line_bytes = header.line_count * kTableLineSize, size = file_size(path, line_bytes);
    Descriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!file) return cannot("make", path, errno);
    const auto give_up = [&](int error) {
        ::unlink(path.c_str());
        return std::unexpected(fmt::format("cannot get {} MB for {}: {}; fewer --connections, another --table-directory, or --forget",
                                           (size >> 20) + 1, path.string(), std::strerror(error)));
    };
    if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) return give_up(errno);
    if (const int error = ::posix_fallocate(file.get(), 0, static_cast<off_t>(size)); error != 0) return give_up(error);
    auto memory = map(path, std::move(file), size);
    if (!memory) {
        ::unlink(path.c_str());
        return memory;
    }
    memory->line_bytes_ = line_bytes;
    memory->header() = header;
    return memory;
}

Result<TableMemory> TableMemory::open(const std::filesystem::path &path) {
    auto opened = open_own(path);
    if (!opened) return std::unexpected(opened.error());
    const auto size = opened->size;
    auto memory = map(path, std::move(opened->file), size);
    if (!memory) return memory;
    if (auto checked = check(memory->header(), path, size); !checked) return std::unexpected(checked.error());
    memory->line_bytes_ = memory->header().line_count * kTableLineSize;
    memory->is_kept_ = true;
    return memory;
}

Result<TableHeader> TableMemory::read_header(const std::filesystem::path &path) {
    const auto opened = open_own(path);
    if (!opened) return std::unexpected(opened.error());
    TableHeader header{};
    if (::pread(opened->file.get(), &header, sizeof header, 0) != static_cast<ssize_t>(sizeof header)) return cannot("read", path, errno);
    if (auto checked = check(header, path, opened->size); !checked) return std::unexpected(checked.error());
    return header;
}

void TableMemory::remove() {
    if (!path_.empty()) ::unlink(path_.c_str());
    path_.clear();
}

TableMemory::~TableMemory() {
    if (mapping_.empty()) return; // moved from
    if (is_kept_) header().is_in_use = 0;
    else remove();
    ::munmap(mapping_.data(), mapping_.size());
}

} // namespace fairlead::io
