// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/memory_supply.hpp"

#include "dataplane/io/numa.hpp"

#include <fmt/format.h>

#include <fstream>
#include <string>

namespace fairlead::io {

namespace {

constexpr std::size_t kMegabyte = 1U << 20;
constexpr std::size_t kGigabyte = 1U << 30;

std::size_t megabytes_up(std::size_t bytes) { return (bytes + kMegabyte - 1) / kMegabyte; }

std::size_t in_pages(std::size_t bytes, std::size_t page_bytes) { return (bytes + page_bytes - 1) / page_bytes * page_bytes; }

struct FreePages {
    std::size_t bytes = 0;
    std::size_t page_bytes = 0; ///< the smallest that are free; 0: none are
};

/// hugepages-2048kB/free_hugepages and its siblings.
FreePages free_hugepages(const std::filesystem::path &directory) {
    FreePages found;
    std::error_code error;
    for (const auto &entry : std::filesystem::directory_iterator(directory, error)) {
        std::size_t page_kilobytes = 0;
        std::size_t pages = 0;
        if (std::sscanf(entry.path().filename().c_str(), "hugepages-%zukB", &page_kilobytes) != 1) continue;
        std::ifstream(entry.path() / "free_hugepages") >> pages;
        found.bytes += pages * page_kilobytes * 1024;
        if (pages != 0 && (found.page_bytes == 0 || page_kilobytes * 1024 < found.page_bytes)) found.page_bytes = page_kilobytes * 1024;
    }
    return found;
}

/// Of those of the size, free or not.
std::size_t set_hugepage_bytes(const std::filesystem::path &directory, std::size_t page_bytes) {
    std::size_t pages = 0;
    std::ifstream(directory / fmt::format("hugepages-{}kB/nr_hugepages", page_bytes / 1024)) >> pages;
    return pages * page_bytes;
}

/// The command that sets so many on the node that this many more are free; it takes what there shall be in all.
std::string more_hugepages(std::size_t lacking, const MemorySupply &supply, unsigned node) {
    const auto bytes = in_pages(supply.node_bytes_set[node] + lacking, supply.page_bytes);
    return fmt::format("scripts/host.sh hugepages --node {} --memory {}M{}", node, bytes / kMegabyte, supply.page_bytes < kGigabyte ? "" : " --size 1G");
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

std::size_t MemoryNeed::hugepage_bytes(std::size_t page_bytes) const {
    std::size_t sum = 0;
    for (const auto &piece : pieces)
        if (!piece.has_hugepages) sum += in_pages(piece.bytes, page_bytes);
    return sum;
}

std::size_t MemoryNeed::hugepage_bytes_on(int node, std::size_t page_bytes) const {
    std::size_t sum = 0;
    for (const auto &piece : pieces)
        if (piece.node == node && !piece.has_hugepages) sum += in_pages(piece.bytes, page_bytes);
    return sum;
}

std::size_t MemoryNeed::memory_bytes() const {
    std::size_t sum = 0;
    for (const auto &piece : pieces)
        if (!piece.has_memory) sum += piece.bytes;
    return sum;
}

MemorySupply MemorySupply::read(const std::filesystem::path &sysfs, const std::filesystem::path &procfs) {
    const auto pages = free_hugepages(sysfs / "kernel/mm/hugepages");
    MemorySupply supply{.hugepage_bytes_free = pages.bytes, .bytes_available = available_bytes(procfs)};
    if (pages.page_bytes != 0) supply.page_bytes = pages.page_bytes;
    if (const auto nodes = node_count(sysfs); nodes > 1)
        for (unsigned node = 0; node < nodes; ++node) {
            const auto directory = sysfs / fmt::format("devices/system/node/node{}/hugepages", node);
            supply.node_bytes_free.push_back(free_hugepages(directory).bytes);
            supply.node_bytes_set.push_back(set_hugepage_bytes(directory, supply.page_bytes));
        }
    return supply;
}

Result<bool> choose_hugepages(HugepageUse use, const MemoryNeed &need, const MemorySupply &supply) {
    const auto pages = [&](std::size_t bytes) { return (bytes + supply.page_bytes - 1) / supply.page_bytes; };
    std::string lack;
    const auto look = [&](std::size_t needed, std::size_t free, const std::string &where, const std::string &mend) {
        if (lack.empty() && needed > free)
            lack = fmt::format("needs {} MB of hugepages{}, {} MB are free ({} pages of {} MB, {} are free); {}{}", megabytes_up(needed), where,
                               free / kMegabyte, pages(needed), supply.page_bytes / kMegabyte, free / supply.page_bytes, mend,
                               need.nic ? ", or --hugepages off" : ", or --hugepages auto");
    };
    look(need.hugepage_bytes(supply.page_bytes), supply.hugepage_bytes_free, "", "set vm.nr_hugepages");
    for (unsigned node = 0; node < supply.node_bytes_free.size(); ++node) {
        const auto needed = need.hugepage_bytes_on(static_cast<int>(node), supply.page_bytes);
        const auto free = supply.node_bytes_free[node];
        look(needed, free, fmt::format(" on NUMA node {}", node), more_hugepages(needed - std::min(needed, free), supply, node));
    }
    if (use != HugepageUse::kOff && lack.empty()) return true;
    if (use == HugepageUse::kOn || (use == HugepageUse::kAuto && need.nic)) return std::unexpected(lack);
    if (const auto needed = need.memory_bytes(); supply.bytes_available < needed)
        return std::unexpected(fmt::format("needs {} MB of memory, {} MB are available; fewer ports, workers or --connections",
                                           megabytes_up(needed), supply.bytes_available / kMegabyte));
    return false;
}

} // namespace fairlead::io
