// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/numa.hpp"

#include "dataplane/io/placement.hpp"

#include <fmt/format.h>
#include <linux/mempolicy.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <string>

namespace fairlead::io {

std::vector<unsigned> cpus_of_node(int node, const std::filesystem::path &sysfs) {
    std::string list;
    std::getline(std::ifstream(sysfs / fmt::format("devices/system/node/node{}/cpulist", node)) >> std::ws, list);
    return parse_cpu_list(list).value_or(std::vector<unsigned>());
}

unsigned node_count(const std::filesystem::path &sysfs) {
    unsigned count = 1;
    std::error_code error;
    for (const auto &entry : std::filesystem::directory_iterator(sysfs / "devices/system/node", error)) {
        unsigned node = 0;
        if (std::sscanf(entry.path().filename().c_str(), "node%u", &node) == 1) count = std::max(count, node + 1);
    }
    return count;
}

NearNode::NearNode(int node) {
    constexpr int kNodeMax = 63;
    if (node < 0 || node > kNodeMax) return;
    const unsigned long mask = 1UL << node;
    set_ = ::syscall(SYS_set_mempolicy, MPOL_PREFERRED, &mask, sizeof(mask) * 8) == 0;
}

NearNode::~NearNode() {
    if (set_) ::syscall(SYS_set_mempolicy, MPOL_DEFAULT, nullptr, 0);
}

} // namespace fairlead::io
