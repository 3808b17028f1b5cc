// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/memory_supply.hpp"

#include <fmt/format.h>

#include <fstream>
#include <string>

namespace fairlead::io {

namespace {

constexpr std::size_t kMegabyte = 1U << 20;

std::size_t megabytes_up(std::size_t bytes) { return (bytes + kMegabyte - 1) / kMegabyte; }

/// kernel/mm/hugepages/hugepages-2048kB/free_hugepages and its siblings.
std::size_t free_hugepage_bytes(const std::filesystem::path &sysfs) {
    std::size_t bytes = 0;
    std::error_code error;
    for (const auto &entry : std::filesystem::directory_iterator(sysfs / "kernel/mm/hugepages", error)) {
        std::size_t page_kilobytes = 0;
        std::size_t pages = 0;
        if (std::sscanf(entry.path().filename().c_str(), "hugepages-%zukB", &page_kilobytes) != 1) continue;
        std::ifstream(entry.path() / "free_hugepages") >> pages;
        bytes += pages * page_kilobytes * 1024;
    }
    return bytes;
}

std::size_t available_bytes(const std::filesystem::path &procfs) {
    std::ifstream meminfo(procfs / "meminfo");
    for (std::string line; std::getline(meminfo, line);) {
        std::size_t kilobytes = 0;
        if (std::sscanf(line.c_str(), "MemAvailable: %zu kB", &kilobytes) == 1) return kilobytes * 1024;
    }
    return 0;
}

} // namespace

MemorySupply MemorySupply::read(const std::filesystem::path &sysfs, const std::filesystem::path &procfs) {
    return {.hugepage_bytes_free = free_hugepage_bytes(sysfs), .bytes_available = available_bytes(procfs)};
}

Result<bool> choose_hugepages(HugepageUse use, std::size_t needed, const MemorySupply &supply) {
    if (use != HugepageUse::kOff && supply.hugepage_bytes_free >= needed) return true;
    if (use == HugepageUse::kOn)
        return std::unexpected(fmt::format("needs {} MB of hugepages, {} MB are free; set vm.nr_hugepages, or --hugepages auto",
                                           megabytes_up(needed), supply.hugepage_bytes_free / kMegabyte));
    if (supply.bytes_available < needed)
        return std::unexpected(fmt::format("needs {} MB of memory, {} MB are available; fewer ports, workers or --connections",
                                           megabytes_up(needed), supply.bytes_available / kMegabyte));
    return false;
}

} // namespace fairlead::io
