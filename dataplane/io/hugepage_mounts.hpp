// SPDX-License-Identifier: Apache-2.0
/// Where files of hugepages can be made.
#pragma once

#include <cstddef>
#include <filesystem>
#include <vector>

namespace fairlead::io {

struct HugepageMount {
    std::filesystem::path directory; ///< the mount itself or, since it is root's, the directory in it that a service of another user is given
    std::size_t page_bytes;
    std::size_t bytes_granted; ///< by the mount's own limit, whether pages are free or not
};

/// Those that this process can write to, of the smallest pages first.
[[nodiscard]] std::vector<HugepageMount> hugepage_mounts();

/// What the limit of a directory's mount leaves.
[[nodiscard]] std::size_t hugepage_bytes_granted(const std::filesystem::path &directory);

} // namespace fairlead::io
