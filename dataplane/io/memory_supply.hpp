// SPDX-License-Identifier: Apache-2.0
/// What memory the machine has to give, which of it is taken as hugepages, and where the connection tables go.
#pragma once

#include "dataplane/io/numa.hpp"
#include "dataplane/io/options.hpp"
#include "dataplane/io/result.hpp"

#include <cstddef>
#include <filesystem>
#include <span>
#include <vector>

namespace fairlead::io {

/// Hugepages of one size.
struct HugepageSupply {
    struct Node {
        std::size_t bytes_free = 0;
        std::size_t bytes_set = 0; ///< free or not: what the kernel was told to keep
    };
    std::size_t page_bytes = 2U << 20;
    std::size_t bytes_free = 0;
    std::size_t bytes_set = 0;
    std::vector<Node> nodes{}; ///< the same by NUMA node; empty: the machine has one
};

struct MemorySupply {
    std::vector<HugepageSupply> hugepages{HugepageSupply{}}; ///< by size, the smallest first; never empty
    std::size_t bytes_available = 0;

    [[nodiscard]] std::size_t hugepage_bytes_free() const; ///< of all sizes

    /// @param sysfs, procfs where they are mounted.
    [[nodiscard]] static MemorySupply read(const std::filesystem::path &sysfs = "/sys",
                                           const std::filesystem::path &procfs = "/proc");
};

/// What a start takes, in this order.
struct MemoryNeed {
    struct Piece {
        std::size_t bytes;
        int node = kNoNode; ///< where it must lie; kNoNode: anywhere
    };
    std::vector<Piece> eal{};    ///< DPDK's; in hugepages of whichever sizes it likes
    std::vector<Piece> tables{}; ///< each mapped apart, all in memory of one kind; in hugepages in whole ones
    bool nic = false;            ///< a NIC reads it: hugepages, unless they are turned off

    /// In whole pages of that size. @param is_there the tables for which nothing is asked; empty: none.
    [[nodiscard]] std::size_t hugepage_bytes(std::size_t page_bytes, const std::vector<bool> &is_there = {}) const;
    [[nodiscard]] std::size_t memory_bytes() const; ///< without hugepages
};

/// Where connection tables may go.
struct TablePlace {
    static constexpr std::size_t kNoLimit = ~std::size_t{0};

    std::filesystem::path directory{}; ///< empty: memory of this process alone, of either kind
    std::size_t page_bytes = 0;        ///< of the hugepages that its files are made of; 0: of other memory
    std::size_t bytes_free = kNoLimit; ///< that its filesystem grants
    std::vector<bool> is_there{};      ///< by table: an earlier run has left just this one here; empty: none
};

struct MemoryChoice {
    bool hugepages = false; ///< for DPDK's memory
    TablePlace place{};     ///< for the tables
};

/// Whether DPDK is given hugepages, and where the tables go. The error says what is needed and what is there.
/// @param places_with, places_without where tables may go if DPDK is given hugepages, and if not: the first that has enough is taken. Empty: there are none.
[[nodiscard]] Result<MemoryChoice> choose_memory(HugepageUse use, const MemoryNeed &need, const MemorySupply &supply,
                                                 std::span<const TablePlace> places_with = {}, std::span<const TablePlace> places_without = {});

} // namespace fairlead::io
