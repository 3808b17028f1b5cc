// SPDX-License-Identifier: Apache-2.0
/// What memory the machine has to give, and whether it is taken as hugepages.
#pragma once

#include "dataplane/io/numa.hpp"
#include "dataplane/io/options.hpp"
#include "dataplane/io/result.hpp"

#include <cstddef>
#include <filesystem>
#include <vector>

namespace fairlead::io {

struct MemorySupply {
    std::size_t hugepage_bytes_free = 0;
    std::size_t bytes_available = 0;
    std::size_t page_bytes = 2U << 20; ///< of the smallest hugepages that are free
    std::vector<std::size_t> node_bytes_free{}; ///< hugepages by NUMA node; empty: the machine has one node
    std::vector<std::size_t> node_bytes_set{};  ///< the same, free or not, of those of page_bytes: what the kernel was told to keep

    /// @param sysfs, procfs where they are mounted.
    [[nodiscard]] static MemorySupply read(const std::filesystem::path &sysfs = "/sys",
                                           const std::filesystem::path &procfs = "/proc");
};

/// What a start takes; pieces in hugepages take whole ones.
struct MemoryNeed {
    struct Piece {
        std::size_t bytes;
        int node = kNoNode;        ///< where it must lie; kNoNode: anywhere
        bool has_hugepages = false; ///< is there already, from an earlier run, where it is to be in hugepages
        bool has_memory = false;    ///< the same, where it is to be in other memory
    };
    std::vector<Piece> pieces; ///< each mapped apart
    bool nic = false;          ///< a NIC reads it: hugepages, unless they are turned off

    [[nodiscard]] std::size_t hugepage_bytes(std::size_t page_bytes) const; ///< in whole pages
    /// The same of what must lie on the node.
    [[nodiscard]] std::size_t hugepage_bytes_on(int node, std::size_t page_bytes) const;
    [[nodiscard]] std::size_t memory_bytes() const; ///< without hugepages
};

/// Whether to use hugepages. The error says what is needed and what is there.
[[nodiscard]] Result<bool> choose_hugepages(HugepageUse use, const MemoryNeed &need, const MemorySupply &supply);

} // namespace fairlead::io
