// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/memory_supply.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <optional>
#include <string>
#include <utility>

namespace fairlead::io {

namespace {

constexpr std::size_t kMegabyte = 1U << 20;
constexpr std::size_t kGigabyte = 1U << 30;

std::size_t megabytes_up(std::size_t bytes) { return (bytes + kMegabyte - 1) / kMegabyte; }

std::size_t in_pages(std::size_t bytes, std::size_t page_bytes) { return (bytes + page_bytes - 1) / page_bytes * page_bytes; }

/// The pages of hugepages-2048kB/free_hugepages and its siblings, in bytes.
std::size_t read_pages(const std::filesystem::path &directory, std::size_t page_bytes, const char *which) {
    std::size_t pages = 0;
    std::ifstream(directory / fmt::format("hugepages-{}kB", page_bytes / 1024) / which) >> pages;
    return pages * page_bytes;
}

std::vector<HugepageSupply> read_hugepages(const std::filesystem::path &sysfs) {
    const auto directory = sysfs / "kernel/mm/hugepages";
    std::vector<HugepageSupply> sizes;
    std::error_code error;
    for (const auto &entry : std::filesystem::directory_iterator(directory, error)) {
        std::size_t page_kilobytes = 0;
        if (std::sscanf(entry.path().filename().c_str(), "hugepages-%zukB", &page_kilobytes) == 1 && page_kilobytes != 0)
            sizes.push_back({.page_bytes = page_kilobytes * 1024});
    }
    if (sizes.empty()) sizes.emplace_back(); // a kernel without any: none of the usual ones are free
    std::ranges::sort(sizes, {}, &HugepageSupply::page_bytes);
    const auto nodes = node_count(sysfs);
    for (auto &size : sizes) {
        size.bytes_free = read_pages(directory, size.page_bytes, "free_hugepages");
        size.bytes_set = read_pages(directory, size.page_bytes, "nr_hugepages");
        for (unsigned node = 0; nodes > 1 && node < nodes; ++node) {
            const auto there = sysfs / fmt::format("devices/system/node/node{}/hugepages", node);
            size.nodes.push_back({.bytes_free = read_pages(there, size.page_bytes, "free_hugepages"),
                                  .bytes_set = read_pages(there, size.page_bytes, "nr_hugepages")});
        }
    }
    return sizes;
}

std::size_t available_bytes(const std::filesystem::path &procfs) {
    std::ifstream meminfo(procfs / "meminfo");
    for (std::string line; std::getline(meminfo, line);) {
        std::size_t kilobytes = 0;
        if (std::sscanf(line.c_str(), "MemAvailable: %zu kB", &kilobytes) == 1) return kilobytes * 1024;
    }
    return 0;
}

bool names_node(const HugepageSupply &size, int node) { return node >= 0 && static_cast<std::size_t>(node) < size.nodes.size(); }

std::size_t free_on(const HugepageSupply &size, int node) {
    return names_node(size, node) ? std::min(size.bytes_free, size.nodes[static_cast<std::size_t>(node)].bytes_free) : size.bytes_free;
}

bool take(HugepageSupply &size, int node, std::size_t bytes) {
    if (bytes > free_on(size, node)) return false;
    size.bytes_free -= bytes;
    if (names_node(size, node)) size.nodes[static_cast<std::size_t>(node)].bytes_free -= bytes;
    return true;
}

/// DPDK's own way (lib/eal/common/eal_common_dynmem.c, eal_dynmem_calc_num_pages_per_socket()): of the largest pages as many as it fills,
/// the rest of smaller ones if these have all of it, else one large page more. It uses them without a mount, too, since nothing of its is a file.
bool take_as_dpdk_does(std::vector<HugepageSupply> &sizes, const MemoryNeed::Piece &piece) {
    std::size_t left = in_pages(piece.bytes, kMegabyte); // it is told so
    for (auto size = sizes.rbegin(); size != sizes.rend() && left != 0; ++size) {
        const auto free = free_on(*size, piece.node);
        auto taken = std::min(left / size->page_bytes * size->page_bytes, free);
        std::size_t smaller = 0;
        for (auto other = std::next(size); other != sizes.rend(); ++other) smaller += free_on(*other, piece.node);
        if (taken < left && taken < free && smaller < left - taken) taken += size->page_bytes;
        if (!take(*size, piece.node, taken)) return false;
        left -= std::min(left, taken);
    }
    return left == 0;
}

bool is_table_there(const std::vector<bool> &is_there, std::size_t table) { return table < is_there.size() && is_there[table]; }

/// Of what is still to be made: the bytes of pages, or, of other memory, of themselves.
std::size_t table_bytes(const MemoryNeed &need, const TablePlace &place, int node = kNoNode) {
    std::size_t sum = 0;
    for (std::size_t table = 0; table < need.tables.size(); ++table) {
        const auto &piece = need.tables[table];
        if (is_table_there(place.is_there, table) || (node != kNoNode && piece.node != node)) continue;
        sum += place.page_bytes == 0 ? piece.bytes : in_pages(piece.bytes, place.page_bytes);
    }
    return sum;
}

std::size_t eal_bytes(const MemoryNeed &need, std::size_t page_bytes, int node = kNoNode) {
    std::size_t sum = 0;
    for (const auto &piece : need.eal)
        if (node == kNoNode || piece.node == node) sum += in_pages(piece.bytes, page_bytes);
    return sum;
}

bool take_tables(std::vector<HugepageSupply> sizes, const MemoryNeed &need, const TablePlace &place) {
    const auto size = std::ranges::find(sizes, place.page_bytes, &HugepageSupply::page_bytes);
    if (size == sizes.end()) return table_bytes(need, place) == 0;
    for (std::size_t table = 0; table < need.tables.size(); ++table)
        if (!is_table_there(place.is_there, table) && !take(*size, need.tables[table].node, in_pages(need.tables[table].bytes, size->page_bytes)))
            return false;
    return true;
}

/// Either with hugepages for DPDK, or without.
class Attempt {
  public:
    Attempt(const MemoryNeed &need, const MemorySupply &supply, bool hugepages, std::span<const TablePlace> places)
        : need_(need), supply_(supply), hugepages_(hugepages) {
        if (places.empty()) places = kNoTables;
        for (const auto &place : places) {
            if (!hugepages || !place.directory.empty() || place.page_bytes != 0) places_.push_back(place);
            else // a process's own memory is of pages of any size, mounted or not
                for (const auto &size : supply.hugepages) places_.push_back({.directory = {}, .page_bytes = size.page_bytes, .is_there = place.is_there});
        }
    }

    [[nodiscard]] Result<MemoryChoice> choose() const {
        auto sizes = supply_.hugepages;
        bool has_enough = true;
        if (hugepages_)
            for (const auto &piece : need_.eal) has_enough = has_enough && take_as_dpdk_does(sizes, piece);
        std::optional<std::string> lack;
        for (const auto &place : places_) {
            if (!has_enough || (place.page_bytes != 0 && !take_tables(sizes, need_, place))) continue;
            auto more = lack_of_room(place);
            if (!more) return MemoryChoice{.hugepages = hugepages_, .place = place};
            if (!lack) lack = std::move(more);
        }
        return std::unexpected(lack ? *lack : lack_of_hugepages());
    }

  private:
    /// All but pages.
    [[nodiscard]] std::optional<std::string> lack_of_room(const TablePlace &place) const {
        const auto tables = table_bytes(need_, place);
        std::size_t memory = place.page_bytes == 0 ? tables : 0;
        if (!hugepages_)
            for (const auto &piece : need_.eal) memory += piece.bytes;
        if (memory > supply_.bytes_available)
            return fmt::format("needs {} MB of memory, {} MB are available; fewer ports, workers or --connections", megabytes_up(memory),
                               supply_.bytes_available / kMegabyte);
        if (tables > place.bytes_free)
            return fmt::format("needs {} MB in {}, {} MB are free there; fewer --connections, another --table-directory, or --forget", megabytes_up(tables),
                               place.directory.string(), place.bytes_free / kMegabyte);
        return std::nullopt;
    }

    struct Lack {
        HugepageSupply size;
        std::size_t needed, free, set;
        std::optional<unsigned> node{}; ///< where; none: on all nodes together
    };

    /// What would do, were there no pages of another size.
    [[nodiscard]] Lack lack_of_pages(const TablePlace &place) const {
        const auto size = supply_of(place.page_bytes);
        Lack lack{.size = size, .needed = needed_on(kNoNode, place), .free = size.bytes_free, .set = size.bytes_set};
        for (unsigned node = 0; node < size.nodes.size() && lack.needed <= lack.free; ++node)
            lack = {.size = size, .needed = needed_on(static_cast<int>(node), place), .free = size.nodes[node].bytes_free, .set = size.nodes[node].bytes_set, .node = node};
        return lack;
    }

    /// Sizes of which the tables could be; of all where they are in other memory.
    [[nodiscard]] std::vector<Lack> lacks() const {
        std::vector<Lack> found;
        const bool are_elsewhere = std::ranges::none_of(places_, [](const TablePlace &place) { return place.page_bytes != 0; });
        for (const auto &size : supply_.hugepages)
            if (are_elsewhere) found.push_back(lack_of_pages({.page_bytes = size.page_bytes, .is_there = std::vector<bool>(need_.tables.size(), true)}));
        for (const auto &place : places_)
            if (place.page_bytes != 0 && std::ranges::none_of(found, [&](const Lack &other) { return other.size.page_bytes == place.page_bytes; }))
                found.push_back(lack_of_pages(place));
        std::ranges::stable_sort(found, {}, [](const Lack &lack) { return std::pair(lack.free == 0, lack.size.page_bytes); });
        return found;
    }

    [[nodiscard]] std::string lack_of_hugepages() const {
        const auto found = lacks();
        const auto &first = found.front();
        const auto where = [](const Lack &lack) { return lack.node ? fmt::format(" on NUMA node {}", *lack.node) : ""; };
        const auto pages = [](const Lack &lack, const std::string &there) {
            const auto page = lack.size.page_bytes;
            return fmt::format("{} pages of {} MB{}, {} are free", in_pages(lack.needed, page) / page, page / kMegabyte, there, lack.free / page);
        };
        std::string others;
        for (const auto &other : std::span(found).subspan(1))
            if (other.free != 0) others += "; or " + pages(other, where(other));
        for (const auto &size : supply_.hugepages)
            if (size.bytes_free != 0 && std::ranges::none_of(found, [&](const Lack &lack) { return lack.size.page_bytes == size.page_bytes; }))
                others += fmt::format("; {} pages of {} MB are free, but no hugetlbfs of theirs can be written to", size.bytes_free / size.page_bytes,
                                      size.page_bytes / kMegabyte);
        return fmt::format("needs {} MB of hugepages{}, {} MB are free ({}{}); {}{}", megabytes_up(first.needed), where(first), first.free / kMegabyte,
                           pages(first, ""), others, more_hugepages(first),
                           !hugepages_ ? ", or another --table-directory" : need_.nic ? ", or --hugepages off" : ", or --hugepages auto");
    }

    [[nodiscard]] std::size_t needed_on(int node, const TablePlace &place) const {
        return (hugepages_ ? eal_bytes(need_, place.page_bytes, node) : 0) + table_bytes(need_, place, node);
    }

    [[nodiscard]] HugepageSupply supply_of(std::size_t page_bytes) const {
        const auto size = std::ranges::find(supply_.hugepages, page_bytes, &HugepageSupply::page_bytes);
        return size == supply_.hugepages.end() ? HugepageSupply{.page_bytes = page_bytes} : *size;
    }

    /// The command that sets so many that this many more are free; it takes what there shall be in all.
    static std::string more_hugepages(const Lack &lack) {
        const auto page = lack.size.page_bytes;
        if (!lack.node && page < kGigabyte) return "set vm.nr_hugepages";
        return fmt::format("scripts/host.sh hugepages{} --memory {}M{}", lack.node ? fmt::format(" --node {}", *lack.node) : "",
                           in_pages(lack.set + lack.needed - std::min(lack.needed, lack.free), page) / kMegabyte, page < kGigabyte ? "" : " --size 1G");
    }

    const MemoryNeed &need_;
    const MemorySupply &supply_;
    bool hugepages_;
    static inline const std::array<TablePlace, 1> kNoTables{};
    std::vector<TablePlace> places_;
};

} // namespace

std::size_t MemoryNeed::hugepage_bytes(std::size_t page_bytes, const std::vector<bool> &is_there) const {
    return eal_bytes(*this, page_bytes) + table_bytes(*this, {.page_bytes = page_bytes, .is_there = is_there});
}

std::size_t MemoryNeed::memory_bytes() const {
    std::size_t sum = 0;
    for (const auto *pieces : {&eal, &tables})
        for (const auto &piece : *pieces) sum += piece.bytes;
    return sum;
}

std::size_t MemorySupply::hugepage_bytes_free() const {
    std::size_t sum = 0;
    for (const auto &size : hugepages) sum += size.bytes_free;
    return sum;
}

MemorySupply MemorySupply::read(const std::filesystem::path &sysfs, const std::filesystem::path &procfs) {
    return {.hugepages = read_hugepages(sysfs), .bytes_available = available_bytes(procfs)};
}

Result<MemoryChoice> choose_memory(HugepageUse use, const MemoryNeed &need, const MemorySupply &supply, std::span<const TablePlace> places_with,
                                   std::span<const TablePlace> places_without) {
    if (use != HugepageUse::kOff) {
        auto with = Attempt(need, supply, true, places_with).choose();
        if (with || use == HugepageUse::kOn || need.nic) return with;
    }
    return Attempt(need, supply, false, places_without).choose();
}

} // namespace fairlead::io
