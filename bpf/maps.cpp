// SPDX-License-Identifier: Apache-2.0
#include "bpf/maps.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <unistd.h>

namespace fairlead::bpf {

namespace {

bool less(const wire::AddressKey &a, const wire::AddressKey &b) { return std::memcmp(&a, &b, sizeof(a)) < 0; }

} // namespace

Descriptor::~Descriptor() {
    if (descriptor_ >= 0) ::close(descriptor_);
}

std::string explain(std::string_view cannot, int error) {
    std::string line(cannot);
    line += ": ";
    line += std::strerror(error);
    if (error == EPERM || error == EACCES) line += " (needs root: CAP_BPF, CAP_NET_ADMIN and CAP_SYS_ADMIN)";
    return line;
}

Result<void> AddressSet::add(const wire::AddressKey &key) const {
    const wire::u8 present = 1;
    if (bpf_map_update_elem(map_, &key, &present, BPF_ANY) != 0)
        return std::unexpected(explain("cannot add " + format_address(key), errno));
    return {};
}

Result<void> AddressSet::remove(const wire::AddressKey &key) const {
    if (bpf_map_delete_elem(map_, &key) != 0 && errno != ENOENT)
        return std::unexpected(explain("cannot remove " + format_address(key), errno));
    return {};
}

Result<void> AddressSet::assign(std::span<const wire::AddressKey> keys) const {
    const auto before = list();
    if (!before) return std::unexpected(before.error());
    for (const auto &key : keys)
        if (auto added = add(key); !added) return added;

    std::vector<wire::AddressKey> wanted(keys.begin(), keys.end());
    std::ranges::sort(wanted, less);
    for (const auto &key : *before) {
        if (std::ranges::binary_search(wanted, key, less)) continue;
        if (auto removed = remove(key); !removed) return removed;
    }
    return {};
}

Result<std::vector<wire::AddressKey>> AddressSet::list() const {
    std::vector<wire::AddressKey> keys;
    wire::AddressKey key{};
    const wire::AddressKey *previous = nullptr;
    while (bpf_map_get_next_key(map_, previous, &key) == 0) {
        keys.push_back(key);
        previous = &keys.back(); // the next push_back may move it, after it has been read
    }
    if (errno != ENOENT) return std::unexpected(explain("cannot read a set of addresses", errno));
    std::ranges::sort(keys, less);
    return keys;
}

Result<std::vector<std::uint64_t>> read_outcomes(int map, std::uint32_t count) {
    const int cpu_count = libbpf_num_possible_cpus();
    if (cpu_count < 0) return std::unexpected(explain("cannot count the CPUs", -cpu_count));
    std::vector<std::uint64_t> sums(count);
    std::vector<std::uint64_t> per_cpu(static_cast<std::size_t>(cpu_count));
    for (std::uint32_t outcome = 0; outcome < count; ++outcome) {
        if (bpf_map_lookup_elem(map, &outcome, per_cpu.data()) != 0)
            return std::unexpected(explain("cannot read the counters", errno));
        for (const auto value : per_cpu) sums[outcome] += value;
    }
    return sums;
}

} // namespace fairlead::bpf
