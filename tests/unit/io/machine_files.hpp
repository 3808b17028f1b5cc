// SPDX-License-Identifier: Apache-2.0
/// A machine's sysfs and procfs, as a test lays them out in a directory of its own.
#pragma once

#include <cstddef>
#include <fstream>

#include "tests/unit/io/temporary_directory.hpp"

namespace fairlead::io::test {

inline constexpr std::size_t kMegabyte = 1U << 20;

/// The file, with its directories. The kernel ends what it says with a newline.
inline void write_file(const std::filesystem::path &path, const std::string &text) {
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text << '\n';
}

} // namespace fairlead::io::test
