// SPDX-License-Identifier: Apache-2.0
/// DPDK's environment. It keeps everything in memory and in anonymous files: no file, mount or hugepage
/// outlives the process, however it ends. One in a process's life.
#pragma once

#include "dataplane/io/placement.hpp"
#include "dataplane/io/result.hpp"

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

namespace fairlead::io {

struct EalOptions {
    Placement placement;
    bool hugepages = false;
    std::size_t memory_bytes = 0;           ///< for buffers and tables of DPDK
    std::vector<std::size_t> node_bytes{};  ///< the same by NUMA node; empty: wherever
    std::vector<std::string> pci_addresses; ///< NICs to take; none: the PCI bus is left alone
    std::filesystem::path scratch_directory; ///< where EAL may make its directory, which is removed at once
};

class Eal {
  public:
    [[nodiscard]] static Result<Eal> start(const EalOptions &options);

    Eal(Eal &&other) noexcept;
    Eal &operator=(Eal &&) = delete;
    ~Eal();

  private:
    Eal() = default;
    bool running_ = true;
};

/// EAL's arguments, the program's name included.
[[nodiscard]] std::vector<std::string> eal_arguments(const EalOptions &options);

} // namespace fairlead::io
