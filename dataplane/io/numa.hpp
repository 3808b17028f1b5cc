// SPDX-License-Identifier: Apache-2.0
/// NUMA nodes: which CPUs are near a NIC, and what memory lies there. A machine that names no nodes has one, and all is near.
#pragma once

#include "dataplane/io/result.hpp"

#include <filesystem>
#include <span>
#include <vector>

namespace fairlead::io {

inline constexpr int kNoNode = -1;

/// The CPUs of a node, ascending; empty: it has none, or there is no such node.
[[nodiscard]] std::vector<unsigned> cpus_of_node(int node, const std::filesystem::path &sysfs = "/sys");

/// Nodes that have memory or CPUs: one more than the highest.
[[nodiscard]] unsigned node_count(const std::filesystem::path &sysfs = "/sys");

/// Memory that this thread touches first comes from the node while it can, as long as this lives.
class NearNode {
  public:
    explicit NearNode(int node);
    ~NearNode();
    NearNode(const NearNode &) = delete;
    NearNode &operator=(const NearNode &) = delete;

  private:
    bool set_ = false;
};

} // namespace fairlead::io
