// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/hugepage_mounts.hpp"

#include "dataplane/io/table_memory.hpp"

#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <string>

namespace fairlead::io {

namespace {

/// As where a mount is bound to a second place: a file would be found twice.
bool is_same(const std::filesystem::path &left, const std::filesystem::path &right) {
    std::error_code error;
    return std::filesystem::equivalent(left, right, error);
}

} // namespace

std::vector<HugepageMount> hugepage_mounts() {
    std::vector<HugepageMount> found;
    std::ifstream mounts("/proc/self/mounts");
    for (std::string device, where, type, rest; mounts >> device >> where >> type && std::getline(mounts, rest);) {
        if (type != "hugetlbfs") continue;
        for (const auto &directory : {std::filesystem::path(where), std::filesystem::path(where) / "fairlead"}) {
            const auto page_bytes = hugepage_bytes_of(directory); // 0: another mount has hidden it
            if (page_bytes == 0 || ::access(directory.c_str(), W_OK) != 0) continue;
            if (std::ranges::any_of(found, [&](const HugepageMount &other) { return is_same(other.directory, directory); })) break;
            found.push_back({.directory = directory, .page_bytes = page_bytes, .bytes_granted = hugepage_bytes_granted(directory)});
            break;
        }
    }
    std::ranges::stable_sort(found, {}, &HugepageMount::page_bytes);
    return found;
}

std::size_t hugepage_bytes_granted(const std::filesystem::path &directory) {
    struct statfs status{};
    // hugetlbfs has 0 blocks, or -1, where its mount has no limit of its own.
    if (::statfs(directory.c_str(), &status) != 0 || static_cast<std::make_signed_t<decltype(status.f_blocks)>>(status.f_blocks) <= 0) return ~std::size_t{0};
    return static_cast<std::size_t>(status.f_bavail) * static_cast<std::size_t>(status.f_bsize);
}

} // namespace fairlead::io
