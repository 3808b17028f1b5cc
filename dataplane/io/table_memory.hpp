// SPDX-License-Identifier: Apache-2.0
/// Memory for one connection table: a page that says what it holds, then its lines. Private to the process, or a file
/// that outlives it (TableHeader is then the file's format).
///
/// Hugepages where asked for and free, else transparent ones, since every packet touches a random line of it. All of a file's
/// pages are there from the start: a worker that touched one for which a full filesystem has no room would be killed.
#pragma once

#include "dataplane/io/descriptor.hpp"
#include "dataplane/io/result.hpp"
#include "dataplane/wire/wire.h"

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <utility>

namespace fairlead::io {

enum class TableKind : wire::u32 { kCompact = 1, kWide = 2 };

/// The first page of a table. A table file is adopted only if all of it fits.
struct TableHeader {
    wire::u64 magic;
    wire::u32 layout;        ///< kTableLayout
    TableKind kind;
    wire::u64 line_count;
    wire::u64 key_digest;    ///< of the flow-hash key that lines were chosen by; 0: none yet, or being cleared
    wire::u64 spread_digest; ///< of how flows come to workers, all of `spread`
    wire::u32 worker;
    wire::u32 worker_count;
    wire::u32 is_in_use;     ///< found so: its process was killed
    wire::u32 reserved;
    char boot_id[40];        ///< ages count from the boot
    char spread[256];        ///< for log lines, perhaps cut
};
inline constexpr wire::u64 kTableMagic = 0x454c424154434c46; // "FLCTABLE"
/// Changes with TableHeader, and with the layout of core's Line and Connection and how core chooses a flow's lines.
inline constexpr wire::u32 kTableLayout = 1;
inline constexpr std::size_t kTableHeaderSize = 4096;
inline constexpr std::size_t kTableLineSize = 64;
inline constexpr std::size_t kSpreadTextMax = sizeof(TableHeader::spread) - 1;
static_assert(sizeof(TableHeader) <= kTableHeaderSize);

class TableMemory {
  public:
    /// Zeroed memory of this process alone.
    /// @param size bytes of lines.
    /// @param hugepage_bytes of those that it is made of where enough are free; 0: of none.
    [[nodiscard]] static Result<TableMemory> allocate(std::size_t size, std::size_t hugepage_bytes);

    /// A new file in memory, zeroed but for its header, mode 0600. It goes with this object unless keep() is called.
    [[nodiscard]] static Result<TableMemory> create(const std::filesystem::path &path, const TableHeader &header);

    /// A file that create() made, perhaps in another process; locked, so that no other process has it, too: then the error is
    /// kInUse.
    static constexpr const char *kInUse = "in use by another process";
    [[nodiscard]] static Result<TableMemory> open(const std::filesystem::path &path);
    /// What open() would find, without taking it.
    [[nodiscard]] static Result<TableHeader> read_header(const std::filesystem::path &path);

    TableMemory(TableMemory &&other) noexcept
        : mapping_(std::exchange(other.mapping_, {})), line_bytes_(other.line_bytes_), path_(std::exchange(other.path_, {})),
          lock_(std::move(other.lock_)), is_kept_(other.is_kept_) {}
    TableMemory &operator=(TableMemory &&) = delete;
    ~TableMemory();

    [[nodiscard]] std::span<std::byte> bytes() const { return mapping_.subspan(kTableHeaderSize, line_bytes_); } ///< the lines
    [[nodiscard]] TableHeader &header() const { return *reinterpret_cast<TableHeader *>(mapping_.data()); }
    [[nodiscard]] const std::filesystem::path &path() const { return path_; } ///< empty: private

    void keep() { is_kept_ = true; } ///< the file outlives this object
    void remove();                   ///< the file's name; the memory stays

  private:
    TableMemory(std::span<std::byte> mapping, std::size_t line_bytes) : mapping_(mapping), line_bytes_(line_bytes) {}
    [[nodiscard]] static Result<TableMemory> map(const std::filesystem::path &path, Descriptor file, std::size_t size);

    std::span<std::byte> mapping_;
    std::size_t line_bytes_;
    std::filesystem::path path_;
    Descriptor lock_; ///< the file
    bool is_kept_ = false;
};

/// Whether files of this directory are memory, and which.
enum class Filesystem { kDisk, kMemory, kHugepages };
[[nodiscard]] Filesystem filesystem_of(const std::filesystem::path &directory);
/// Of those that the directory's files are made of; 0: it is on no hugetlbfs.
[[nodiscard]] std::size_t hugepage_bytes_of(const std::filesystem::path &directory);

} // namespace fairlead::io
