// SPDX-License-Identifier: Apache-2.0
/// A machine's sysfs and procfs, as a test lays them out in a directory of its own, and its hugepages.
#pragma once

#include "dataplane/io/memory_supply.hpp"

#include <cstddef>
#include <fstream>

#include "tests/unit/io/temporary_directory.hpp"

namespace fairlead::io::test {

inline constexpr std::size_t kMegabyte = 1U << 20;
inline constexpr std::size_t kGigabyte = 1U << 30;
inline constexpr std::size_t kSmallPage = 2 * kMegabyte;
inline const TablePlace kSmallMount{.directory = "/small", .page_bytes = kSmallPage};
inline const TablePlace kLargeMount{.directory = "/large", .page_bytes = kGigabyte};

/// The file, with its directories. The kernel ends what it says with a newline.
inline void write_file(const std::filesystem::path &path, const std::string &text) {
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text << '\n';
}

} // namespace fairlead::io::test
