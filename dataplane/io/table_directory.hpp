// SPDX-License-Identifier: Apache-2.0
/// The files of connection tables: where they are, whose they are, and what a start finds of those of earlier runs. Main thread.
///
/// A table that was written under the same spreading of flows over workers is its worker's again. One that was not is
/// inherited: no entry of it is lost, but nobody knows whose they are now. What cannot be used is removed, and said.
#pragma once

#include "dataplane/io/hugepage_mounts.hpp"
#include "dataplane/io/memory_supply.hpp"
#include "dataplane/io/result.hpp"
#include "dataplane/io/table_memory.hpp"

#include <cstddef>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace fairlead::io {

/// What all tables of a run have in common.
struct TableShape {
    unsigned worker_count;
    std::size_t compact_bytes; ///< of lines, of one worker
    std::size_t wide_bytes;
    std::string spread;        ///< how flows come to workers, in words
};

class TableDirectory {
  public:
    /// @param runtime_directory names the files: one dataplane has it at a time, so their files never meet.
    /// @param chosen --table-directory; empty: a hugetlbfs mount, the runtime directory, or /dev/shm, the first that will do.
    TableDirectory(const std::filesystem::path &runtime_directory, const std::filesystem::path &chosen,
                   std::vector<HugepageMount> mounts = hugepage_mounts());

    /// Where a start may have its tables, in the order of preference, and which are there already, since an earlier run has left just these: for each
    /// worker the compact, then the wide one. All others it must make, whatever else is left. Never empty. The error: not in the chosen directory.
    /// @param hugepages whether they are wanted; a chosen directory has what it has.
    /// @param is_same judges what an earlier run said of how flows came to workers, perhaps cut to kSpreadTextMax.
    [[nodiscard]] Result<std::vector<TablePlace>> places(const TableShape &shape, bool hugepages, const std::function<bool(std::string_view)> &is_same) const;

    /// Removes what earlier runs have left.
    void forget() const;

    struct Tables {
        std::vector<TableMemory> compact;   ///< by worker
        std::vector<TableMemory> wide;      ///< by worker
        std::vector<TableMemory> inherited;
        std::string place;                  ///< where they are, for a log line
        wire::u64 key_digest = 0;           ///< of what was found of an earlier run
        bool were_in_use = false;           ///< that run was killed

        [[nodiscard]] bool has_found() const; ///< some are of an earlier run
        void keep(); ///< from now on the files outlive this process
    };
    /// Finds or makes the tables of all workers.
    [[nodiscard]] Result<Tables> take(const TableShape &shape, const TablePlace &place) const;

    /// The same, in memory of this process alone.
    [[nodiscard]] static Result<Tables> allocate(const TableShape &shape, std::size_t hugepage_bytes);

  private:
    [[nodiscard]] std::vector<std::filesystem::path> left_files() const;
    [[nodiscard]] std::vector<TableMemory> open_left(const std::string &boot_id) const;
    /// The chosen directory, without what is there.
    [[nodiscard]] Result<TablePlace> chosen_place() const;
    [[nodiscard]] Result<TableMemory> create(const std::filesystem::path &directory, const TableHeader &header) const;

    std::string base_; ///< of the files' names
    std::filesystem::path chosen_;
    std::filesystem::path runtime_directory_;
    std::vector<HugepageMount> mounts_;
};

} // namespace fairlead::io
