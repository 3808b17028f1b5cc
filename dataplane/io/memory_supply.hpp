// SPDX-License-Identifier: Apache-2.0
/// What memory the machine has to give, and whether it is taken as hugepages.
#pragma once

#include "dataplane/io/options.hpp"
#include "dataplane/io/result.hpp"

#include <filesystem>

namespace fairlead::io {

struct MemorySupply {
    std::size_t hugepage_bytes_free = 0;
    std::size_t bytes_available = 0;

    /// @param sysfs, procfs where they are mounted.
    [[nodiscard]] static MemorySupply read(const std::filesystem::path &sysfs = "/sys",
                                           const std::filesystem::path &procfs = "/proc");
};

/// Whether to use hugepages for `needed` bytes. The error says what is needed and what is there.
[[nodiscard]] Result<bool> choose_hugepages(HugepageUse use, std::size_t needed, const MemorySupply &supply);

} // namespace fairlead::io
